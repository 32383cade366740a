//! The live line: events per second, lag, last commit. On a terminal it is redrawn every second,
//! elsewhere it is a log line now and then.

use prometheus::core::Collector;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::metrics::IngestMetrics;

const REDRAW: Duration = Duration::from_secs(1);
const LOG_EVERY: u32 = 30;
const LOG_FIRST: u32 = 5;

/// Shows how it goes, until dropped.
#[derive(Debug)]
pub struct Status {
    metrics: IngestMetrics,
    clock: Arc<dyn Clock>,
    last_records: u64,
    last_at: Duration,
    ticks: u32,
    is_terminal: bool,
}

impl Status {
    pub fn new(metrics: IngestMetrics, clock: Arc<dyn Clock>) -> Self {
        let last_at = clock.monotonic();
        Self { metrics, clock, last_records: 0, last_at, ticks: 0, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Redraws for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(REDRAW);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let line = self.line();
            self.ticks += 1;
            if self.is_terminal {
                // A terminal that went away is no reason to stop counting.
                let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            } else if self.ticks % LOG_EVERY == LOG_FIRST {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    fn line(&mut self) -> String {
        let (records, now) = (sum(&self.metrics.records) as u64, self.clock.monotonic());
        let seconds = (now - self.last_at).as_secs_f64().max(0.001);
        let rate = records.saturating_sub(self.last_records) as f64 / seconds;
        (self.last_records, self.last_at) = (records, now);
        let commit = match self.metrics.last_commit.get() {
            0.0 => "no commit yet".to_owned(),
            at => format!("last commit {:.0} s ago", (self.clock.now_us() as f64 / 1e6 - at).max(0.0)),
        };
        let dead = sum(&self.metrics.dead_letters);
        let paused = if self.metrics.paused.get() == 1 { " · PAUSED: commits do not keep up" } else { "" };
        format!(
            "{rate:>7.0} events/s · {records} in all · lag {} · {} open rows · {dead} dead letters · {commit}{paused}",
            sum(&self.metrics.lag),
            self.metrics.open_rows.get(),
        )
    }
}

/// Sum over all labels.
fn sum(metric: &impl Collector) -> f64 {
    let families = metric.collect();
    let values = families.iter().flat_map(|f| f.get_metric());
    values.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).fold(0.0, |a, b| a + b)
}
