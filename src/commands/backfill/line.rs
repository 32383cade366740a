//! The line that says how a backfill goes: redrawn every second on a terminal, elsewhere now and then.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::time::format_rfc3339;
use tidewatch_ingest::backfill::Progress;
use tidewatch_ingest::clock::Clock;

const REDRAW: Duration = Duration::from_secs(1);
const LOG_EVERY: u32 = 30;
const LOG_FIRST: u32 = 5;

/// Shows how a job goes, until dropped.
pub struct Line {
    pub progress: Arc<Progress>,
    pub clock: Arc<dyn Clock>,
    /// How late events may come, and the width of a window: for what can be said about deleted records.
    pub disorder_us: i64,
    pub pane_us: Option<i64>,
}

impl Line {
    pub async fn run(self) {
        let is_terminal = std::io::stderr().is_terminal();
        let mut ticks = tokio::time::interval(REDRAW);
        ticks.tick().await;
        let (started, mut last, mut count) = (self.clock.monotonic(), (0, self.clock.monotonic()), 0u32);
        loop {
            ticks.tick().await;
            count += 1;
            let (records, now) = (self.progress.records(), self.clock.monotonic());
            let rate = (records - last.0) as f64 / (now - last.1).as_secs_f64().max(0.001);
            last = (records, now);
            let (passed, total) = self.progress.offsets();
            let left = left(passed, total - passed, now - started);
            let line = text(records, rate, passed, total, left);
            // A terminal that went away is no reason to stop.
            let _ = match is_terminal {
                true => write!(std::io::stderr(), "\r\x1b[2K{line}"),
                false if count % LOG_EVERY == LOG_FIRST => writeln!(std::io::stderr(), "{line}"),
                false => Ok(()),
            };
        }
    }

    /// What is missing for ever, if anything is.
    pub fn loss(&self) -> Option<String> {
        let deleted = self.progress.deleted();
        if deleted == 0 {
            return None;
        }
        let from = match self.progress.whole_from(self.disorder_us, self.pane_us) {
            Some(time_us) => format!("; the numbers are whole from {} on", format_rfc3339(time_us)),
            None => String::new(),
        };
        Some(format!("retention has deleted {deleted} offsets before they could be read{from}"))
    }
}

fn text(records: u64, rate: f64, passed: i64, total: i64, left: Option<Duration>) -> String {
    let percent = if total == 0 { 100.0 } else { 100.0 * passed as f64 / total as f64 };
    let left = left.map_or_else(String::new, |left| {
        format!(" · {} left", humantime_serde::re::humantime::format_duration(Duration::from_secs(left.as_secs())))
    });
    format!("{rate:>7.0} events/s · {records} in all · {percent:.1} % of the offsets{left}")
}

/// How long the rest takes at the speed so far.
fn left(done: i64, rest: i64, elapsed: Duration) -> Option<Duration> {
    (done > 0).then(|| Duration::from_secs_f64(elapsed.as_secs_f64() * rest as f64 / done as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_speed_share_and_time_left() {
        let left = left(250, 750, Duration::from_secs(40));
        assert_eq!(left, Some(Duration::from_secs(120)));
        assert_eq!(text(240, 6.0, 250, 1000, left), "      6 events/s · 240 in all · 25.0 % of the offsets · 2m left");
        assert_eq!(text(0, 0.0, 0, 0, None), "      0 events/s · 0 in all · 100.0 % of the offsets");
    }
}
