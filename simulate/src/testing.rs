//! Help for this crate's tests.

use crate::{Generator, Scenario, Settings, SimulatedEvent};
use serde_json::Value;

/// 2026-03-14T00:00:00Z.
pub(crate) const START_MS: i64 = 1_773_446_400_000;

pub(crate) const MINUTE_MS: i64 = 60_000;

pub(crate) fn settings(scenario: &str, minutes: i64) -> Settings {
    let settings = Settings::new(Scenario::named(scenario).unwrap(), 7, START_MS);
    Settings { duration_ms: Some(minutes * MINUTE_MS), daily_rhythm: false, ..settings }
}

pub(crate) fn run(settings: Settings) -> Vec<SimulatedEvent> {
    Generator::new(settings).unwrap().collect()
}

pub(crate) fn json(event: &SimulatedEvent) -> Value {
    serde_json::from_slice(&event.body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&event.body)))
}

/// Time of the event since the start, in milliseconds.
pub(crate) fn elapsed_ms(event: &SimulatedEvent) -> i64 {
    event.event_time_ms - START_MS
}
