//! Help for this crate's tests.

use crate::{BusinessDay, Generator, Scenario, Settings, SimulatedEvent, Truth};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// 2026-03-14T00:00:00Z.
pub(crate) const START_MS: i64 = 1_773_446_400_000;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;

pub(crate) fn settings(scenario: &str, minutes: i64) -> Settings {
    let settings = Settings::new(Scenario::named(scenario).unwrap(), 7, START_MS);
    Settings { duration_ms: Some(minutes * MINUTE_MS), daily_rhythm: false, ..settings }
}

/// A week of fewer events.
pub(crate) fn week(scenario: &str) -> Settings {
    let settings = Settings::week(Scenario::named(scenario).unwrap(), 7, START_MS);
    assert_eq!(settings.business_day, BusinessDay::Day);
    Settings { events_per_second: 0.2, creators: 12, ..settings }
}

pub(crate) fn run(settings: Settings) -> Vec<SimulatedEvent> {
    Generator::new(settings).unwrap().collect()
}

/// Half as many events.
pub(crate) fn calm(scenario: &str, minutes: i64) -> Settings {
    Settings { events_per_second: 100.0, ..settings(scenario, minutes) }
}

/// Twenty ordinary minutes, made once for all tests.
pub(crate) fn steady() -> &'static [SimulatedEvent] {
    static EVENTS: OnceLock<Vec<SimulatedEvent>> = OnceLock::new();
    EVENTS.get_or_init(|| run(calm("steady", 20)))
}

/// An ordinary week, made once for all tests.
pub(crate) fn steady_week() -> &'static [SimulatedEvent] {
    static EVENTS: OnceLock<Vec<SimulatedEvent>> = OnceLock::new();
    EVENTS.get_or_init(|| run(week("steady")))
}

/// The week with everything, made once for all tests.
pub(crate) fn eventful_week() -> &'static [SimulatedEvent] {
    static EVENTS: OnceLock<Vec<SimulatedEvent>> = OnceLock::new();
    EVENTS.get_or_init(|| run(week("week")))
}

pub(crate) fn json(event: &SimulatedEvent) -> Value {
    serde_json::from_slice(&event.body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&event.body)))
}

/// An attribute of the envelope, by looking for it: parsing everything takes long.
pub(crate) fn attribute<'a>(event: &'a SimulatedEvent, name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(&event.body).unwrap();
    let envelope = &body[..body.find("\"data\":")?];
    let value = &envelope[envelope.find(&format!("\"{name}\":\""))? + name.len() + 4..];
    Some(&value[..value.find('"')?])
}

/// Events of a type, which may be told by its middle, as in `label.completed`.
pub(crate) fn of_type<'a>(
    events: &'a [SimulatedEvent],
    kind: &'a str,
) -> impl Iterator<Item = &'a SimulatedEvent> + use<'a> {
    let infix = format!(".{kind}.");
    events.iter().filter(move |event| event.event_type.contains(&infix))
}

/// Events that an engine counts: each once, and none that is bad.
pub(crate) fn is_counted(event: &&SimulatedEvent) -> bool {
    !matches!(event.truth, Truth::Duplicate | Truth::Bad(_))
}

/// Parsed events by one of their fields in `data`, each list in the order of arrival.
pub(crate) fn by_field<'a>(
    events: impl Iterator<Item = &'a SimulatedEvent>,
    field: &str,
) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events {
        let event = json(event);
        let Some(key) = event["data"][field].as_str().map(str::to_owned) else { continue };
        found.entry(key).or_default().push(event);
    }
    found
}

/// An integer in `data`.
pub(crate) fn int(event: &Value, field: &str) -> i64 {
    event["data"][field].as_i64().unwrap_or_else(|| panic!("{field} in {event}"))
}

/// A text in `data`.
pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event["data"][field].as_str().unwrap_or_else(|| panic!("{field} in {event}"))
}

/// Time of the event since the start, in milliseconds.
pub(crate) fn elapsed_ms(event: &SimulatedEvent) -> i64 {
    event.event_time_ms - START_MS
}
