//! What a run is to be.

use crate::scenario::Scenario;

const DAY_MS: i64 = 86_400_000;

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Same settings, same events, byte for byte.
    pub seed: u64,
    /// First moment of event time, in milliseconds since 1970.
    pub start_ms: i64,
    /// Length of event time; without it the events never end. What happened before the end still arrives
    /// after it, so that no event is missing.
    pub duration_ms: Option<i64>,
    /// Mean over a week of a run long enough for whole order lives: it starts at some 60 % of this rate,
    /// and reaches it when the first orders are delivered. Effects of the scenario come on top.
    pub events_per_second: f64,
    /// Follow the rhythm of day and week (0.4 to 1.9 times the mean); otherwise every hour is average.
    pub daily_rhythm: bool,
    /// How long a day of warehouses, roads and suppliers lasts.
    pub business_day: BusinessDay,
    /// Number of creators. Their sizes fall off as 1, 1/2, 1/3, …
    pub creators: usize,
    /// What goes wrong, and when.
    pub scenario: Scenario,
}

/// How long a day of warehouses, roads and suppliers lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusinessDay {
    /// Orders are delivered some four minutes after they were placed: for runs that are watched.
    Minute,
    /// Orders are delivered after some four days: for runs of a week.
    Day,
}

impl BusinessDay {
    /// The one for a run of that length: a minute unless the run takes a day or more.
    pub fn for_duration(duration_ms: Option<i64>) -> Self {
        if duration_ms.is_some_and(|length| length >= DAY_MS) { Self::Day } else { Self::Minute }
    }

    pub(crate) fn length_us(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Day => DAY_MS * 1000,
        }
    }
}

impl Settings {
    /// 50 creators, 200 events per second with the rhythm of day and week, without end, and orders that
    /// are delivered within minutes.
    pub fn new(scenario: Scenario, seed: u64, start_ms: i64) -> Self {
        Self {
            seed,
            start_ms,
            duration_ms: None,
            events_per_second: 200.0,
            daily_rhythm: true,
            business_day: BusinessDay::Minute,
            creators: 50,
            scenario,
        }
    }

    /// A week of 50 creators, in which orders take days: about two million events.
    pub fn week(scenario: Scenario, seed: u64, start_ms: i64) -> Self {
        Self {
            duration_ms: Some(7 * DAY_MS),
            events_per_second: 3.5,
            business_day: BusinessDay::Day,
            ..Self::new(scenario, seed, start_ms)
        }
    }

    /// Whether a run can be made of them.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        check(self)
    }
}

/// Settings that make no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Not a positive number, or more than the microsecond resolution can tell apart.
    #[error("events_per_second: expected more than 0 and at most 1000000, found {0}")]
    Rate(f64),
    /// None, or so many that most would never act.
    #[error("creators: expected 1 to 100000, found {0}")]
    Creators(usize),
    /// Negative.
    #[error("duration_ms: expected 0 or more, found {0}")]
    Duration(i64),
    /// Before 1970 or after the year 9000.
    #[error("start_ms: expected milliseconds between the years 1970 and 9000, found {0}")]
    Start(i64),
}

fn check(settings: &Settings) -> Result<(), SettingsError> {
    const YEAR_9000_MS: i64 = 221_845_392_000_000;
    let rate = settings.events_per_second;
    if !(rate > 0.0 && rate <= 1e6) {
        return Err(SettingsError::Rate(rate));
    }
    if !(1..=100_000).contains(&settings.creators) {
        return Err(SettingsError::Creators(settings.creators));
    }
    if let Some(duration_ms) = settings.duration_ms.filter(|d| *d < 0) {
        return Err(SettingsError::Duration(duration_ms));
    }
    if !(0..YEAR_9000_MS).contains(&settings.start_ms) {
        return Err(SettingsError::Start(settings.start_ms));
    }
    Ok(())
}
