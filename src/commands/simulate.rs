//! `tidewatch simulate`.

use crate::cli::{Simulate, Target};
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidewatch_engine::time::parse_rfc3339;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_simulate::{
    BusinessDay, Generator, KafkaTarget, Pace, Progress, Run, Scenario, Settings, scenarios, to_file, to_kafka,
};

const REDRAW: Duration = Duration::from_millis(500);

pub fn simulate(options: &Simulate) -> Result<ExitCode> {
    if options.list {
        for scenario in scenarios() {
            println!("{:18} {}", scenario.name, scenario.description);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let clock = SystemClock::new();
    let settings = settings(options, &clock)?;
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_interrupt(Arc::clone(&stop))?;
    let now_ms = || clock.now_us() / 1000;
    let pace = if options.real_time { Pace::RealTime(&now_ms) } else { Pace::AsFastAsPossible };
    let mut reporter = Reporter { clock: &clock, shown: Duration::ZERO, started: clock.monotonic() };
    let total_ms = settings.duration_ms;
    let expected = total_ms.map(|ms| (ms as f64 / 1000.0 * settings.events_per_second) as u64);
    let run = Run::new(&stop).paced(pace).on_progress(move |progress| reporter.show(progress, expected));
    let events = Generator::new(settings)?;
    let summary = match (options.to, &options.path, &options.bootstrap_servers) {
        (Some(Target::File), Some(path), _) => to_file(events, path, run)?,
        (Some(Target::Kafka), _, Some(servers)) => {
            let target =
                options.properties.iter().fold(KafkaTarget::new(servers), |t, (name, value)| t.with(name, value));
            to_kafka(events, &target, run)?
        }
        _ => bail!("--to file needs --path, --to kafka needs --bootstrap-servers"),
    };
    let stopped = if summary.is_stopped { " (stopped)" } else { "" };
    eprintln!("\r\x1b[2K{} events, {:.1} MB{stopped}", summary.events, summary.bytes as f64 / 1e6);
    Ok(ExitCode::SUCCESS)
}

fn settings(options: &Simulate, clock: &SystemClock) -> Result<Settings> {
    let start_ms = match &options.start {
        None => clock.now_us() / 1000,
        Some(text) => {
            parse_rfc3339(text)
                .with_context(|| format!("--start: expected RFC 3339 as in 2026-03-14T18:00:00Z, found {text:?}"))?
                / 1000
        }
    };
    let duration_ms = options.duration.map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    Ok(Settings {
        duration_ms,
        // In a run of a day or more parcels take their days; in a shorter one they would never arrive.
        business_day: BusinessDay::for_duration(duration_ms),
        events_per_second: options.rate,
        creators: options.creators,
        ..Settings::new(Scenario::named(&options.scenario)?, options.seed, start_ms)
    })
}

/// Ctrl-C ends the run in order: what was made so far is complete.
fn stop_on_interrupt(stop: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            if let Ok(mut shutdown) = crate::signals::Shutdown::listen() {
                shutdown.requested().await;
                stop.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(())
}

struct Reporter<'a> {
    clock: &'a SystemClock,
    shown: Duration,
    started: Duration,
}

impl Reporter<'_> {
    fn show(&mut self, progress: Progress, expected: Option<u64>) {
        let now = self.clock.monotonic();
        if now - self.shown < REDRAW || !std::io::stderr().is_terminal() {
            return;
        }
        self.shown = now;
        let rate = progress.events as f64 / (now - self.started).as_secs_f64().max(0.001);
        let of = progress.total.or(expected).map(|total| format!(" of about {total}")).unwrap_or_default();
        // A terminal that went away is no reason to stop.
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[2K{} events{of}, {:.1} MB, {rate:.0} events/s",
            progress.events,
            progress.bytes as f64 / 1e6
        );
    }
}
