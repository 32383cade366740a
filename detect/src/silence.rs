//! Silence of a source that is expected to report.
//!
//! | source | is silent when | needs |
//! |---|---|---|
//! | declared: an event at least every so long | it said nothing for longer, in open time | nothing: who never spoke is silent since the first known window |
//! | declared: so many events per open hour | the chance of nothing is at most `chance_max` | the same |
//! | busy: at least one event per hour | the chance of nothing, by its rhythm of the week, is at most `chance_max` | a week, or [`OPEN_HOURS_MIN`] hours where opening hours are declared |
//! | sparse | it said nothing for [`GAP_FACTOR`] times the gap that 95 % of its gaps stay below, in open time | [`GAPS_MIN`] gaps |
//!
//! The chance of nothing where Λ events were expected is (1 + αΛ)^(−1/α), α being the key's overdispersion: as if the
//! rate wavered for the whole time together, which is the careful reading. Λ adds up season × level over the open
//! time since the last event: of the season the [least](crate::baseline::Expectation::least), the level as it was at
//! the last event. Closed hours and holidays
//! ([`Calendar`]) are expected to be silent: nothing is learned from them and nobody is told of them. What
//! was silence is not learned either. Before there is enough history, the verdict is that it is unknown, and why.

use crate::baseline::{Baseline, Outliers};
use crate::bits;
use crate::calendar::Calendar;
use crate::gaps::Gaps;
use crate::spike::{Error, admit};
use crate::tail;
use crate::zone::HOUR_MS;
use serde::{Deserialize, Serialize};
use std::fmt;

mod text;

pub use text::BadRhythm;

/// Known hours before the rhythm is trusted: a week, lest the first Saturday is told as silence.
pub const HOURS_MIN: usize = 7 * 24;
/// Where opening hours are declared, so many of them.
pub const OPEN_HOURS_MIN: usize = 24;
/// Gaps before their distribution is trusted.
pub const GAPS_MIN: u64 = 20;
/// Times the 95 % quantile of the gaps. Events at random have a longer gap once in 8,000.
pub const GAP_FACTOR: i64 = 3;
const GAP_QUANTILE: f64 = 0.95;
/// Fewer events per hour are sparse.
const BUSY_PER_HOUR: f64 = 1.0;
/// Silence is followed for so long; then the numbers stay as they are.
const HOURS_MAX: i64 = 28 * 24;
/// Overdispersion of a declared rate.
const DECLARED_OVERDISPERSION: f64 = 0.1;

/// What somebody declared of a source. Read from texts such as `every 3h` and `40 per 1h`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// An event at least every so many milliseconds of open time.
    EveryMs(i64),
    /// So many events per open hour.
    PerHour(f64),
}

/// Of whom what is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Length of a window; divides an hour.
    pub window_ms: i64,
    /// When it is open, and whose clock its rhythm follows.
    pub calendar: Calendar,
    /// Instead of what would be learned.
    pub declared: Option<Declared>,
    /// Chance of nothing from which on silence is told.
    pub chance_max: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window_ms: 60_000, calendar: Calendar::default(), declared: None, chance_max: 1e-5 }
    }
}

/// One source, fed with one complete window after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reporter {
    settings: Settings,
    baseline: Baseline,
    gaps: Gaps,
    last_ms: Option<i64>,
    /// End of the last window with events, or since when it is awaited.
    spoke_ms: Option<i64>,
    /// Level at that time.
    #[serde(with = "bits::one")]
    level: f64,
    /// Silence was told since, or would have been: what is silent is not learned.
    silent: bool,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// No event was ever seen, and nothing was declared.
    NoEvents,
    /// So many gaps of [`GAPS_MIN`] are known of a sparse source.
    FewGaps(u64),
    /// So many hours of [`HOURS_MIN`] or [`OPEN_HOURS_MIN`] are known of a busy source.
    FewHours(usize),
}

/// By what silence is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What somebody declared.
    Declared,
    /// Its rhythm of the week.
    Rhythm,
    /// The gaps between its events.
    Gaps,
}

/// The numbers of the sentence. Displayed: `nothing for 3 h, usually 40 by now; usual gap 5 min`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Numbers {
    /// End of the last window with events; where none is known, start of the first that was looked at.
    pub since_ms: i64,
    /// How long of that it was open.
    pub open_ms: i64,
    /// Events that usually had come by now.
    pub expected: Option<f64>,
    /// Chance that none came.
    pub chance: Option<f64>,
    /// Open time after which its silence is told, where gaps say so.
    pub limit_ms: Option<i64>,
    /// Median gap.
    pub usual_gap_ms: Option<i64>,
    /// By what.
    pub by: By,
}

/// What is said of a source at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub enum Verdict {
    /// Too little history.
    Unknown(Unknown),
    /// Closed; when it opens next.
    Closed(Option<i64>),
    /// As expected.
    Reporting(Numbers),
    /// It should have said something.
    Silent(Numbers),
}

impl Reporter {
    /// Nothing known.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        if settings.window_ms <= 0 || HOUR_MS % settings.window_ms != 0 {
            return Err(Error::Width(settings.window_ms));
        }
        let baseline = Baseline::new(settings.window_ms);
        Ok(Self { settings, baseline, gaps: Gaps::default(), last_ms: None, spoke_ms: None, level: 1.0, silent: false })
    }

    /// Takes the next complete window, with 0 where nothing came. Windows left out are unknown.
    ///
    /// # Errors
    /// Windows out of order or unaligned; the state is as before.
    pub fn observe(&mut self, window_start_ms: i64, count: u64) -> Result<(), Error> {
        admit(self.settings.window_ms, self.last_ms, window_start_ms)?;
        let window_end_ms = window_start_ms + self.settings.window_ms;
        let unknown = self.last_ms.is_some_and(|last| window_start_ms - last > self.settings.window_ms);
        let open = self.settings.calendar.open_ms(window_start_ms, window_end_ms) > 0;
        let was_silent = self.silent;
        self.last_ms = Some(window_start_ms);
        self.baseline.advance(window_start_ms, self.settings.calendar.zone);
        let expected = self.baseline.expect(window_start_ms, self.settings.calendar.zone);
        if open && !(was_silent && count == 0) {
            self.baseline.learn(count, expected, Outliers::Whole);
        }
        if unknown && count == 0 {
            // What was not seen may have had events: silence begins anew where windows are known again.
            self.spoke_ms = self.spoke_ms.map(|_| window_start_ms);
        }
        if count == 0 && self.settings.declared.is_some() {
            // Who is declared is awaited from the first known window on, heard of or not.
            self.spoke_ms = self.spoke_ms.or(Some(window_start_ms));
        }
        if count > 0 {
            if let Some(spoke_ms) = self.spoke_ms.filter(|_| !was_silent && !unknown) {
                self.gaps.learn(self.settings.calendar.open_ms(spoke_ms, window_start_ms) + self.settings.window_ms);
            }
            self.spoke_ms = Some(window_end_ms);
            let now = self.baseline.expect(window_start_ms, self.settings.calendar.zone);
            self.level = now.map_or(1.0, |now| now.level);
            self.silent = false;
        } else if open && !unknown {
            self.silent = was_silent || matches!(self.judge(window_end_ms), Verdict::Silent(_));
        }
        Ok(())
    }

    /// What is to be said at `now_ms`: up to where all windows are complete (the watermark), not the wall clock.
    pub fn at(&self, now_ms: i64) -> Verdict {
        let calendar = &self.settings.calendar;
        if !calendar.is_open(now_ms) {
            return Verdict::Closed(calendar.opens_ms(now_ms));
        }
        match self.judge(now_ms) {
            // What it usually says does not decide, and is worth telling where it is known.
            Verdict::Silent(numbers) if numbers.by == By::Declared && numbers.expected.is_none() => {
                let spans = self.open_spans(numbers.since_ms, now_ms);
                let usual = self.usual(&spans).map(|(expected, _)| expected).filter(|expected| *expected >= 0.5);
                Verdict::Silent(Numbers { expected: usual, ..numbers })
            }
            verdict => verdict,
        }
    }

    /// The open time since then, as far back as silence is followed.
    fn open_spans(&self, since_ms: i64, now_ms: i64) -> Vec<(i64, i64)> {
        self.settings.calendar.open_spans(since_ms.max(now_ms - HOURS_MAX * HOUR_MS), now_ms)
    }

    /// What is to be said of a time at which it is open.
    fn judge(&self, now_ms: i64) -> Verdict {
        let Some(since_ms) = self.spoke_ms else { return Verdict::Unknown(Unknown::NoEvents) };
        let spans = self.open_spans(since_ms, now_ms);
        let open_ms = spans.iter().map(|(from, to)| to - from).sum();
        let usual_gap_ms = self.gaps.quantile_ms(0.5);
        let by = |by| Numbers { since_ms, open_ms, expected: None, chance: None, limit_ms: None, usual_gap_ms, by };
        let with_limit = |limit_ms, numbers: Numbers| {
            let numbers = Numbers { limit_ms: Some(limit_ms), ..numbers };
            if open_ms > limit_ms { Verdict::Silent(numbers) } else { Verdict::Reporting(numbers) }
        };
        let with_chance = |expected, overdispersion, numbers: Numbers| {
            let chance = tail::nothing(expected, overdispersion);
            let numbers = Numbers { expected: Some(expected), chance: Some(chance), ..numbers };
            if chance <= self.settings.chance_max { Verdict::Silent(numbers) } else { Verdict::Reporting(numbers) }
        };
        match self.settings.declared {
            Some(Declared::EveryMs(limit_ms)) => return with_limit(limit_ms, by(By::Declared)),
            Some(Declared::PerHour(rate)) => {
                let expected = rate * open_ms as f64 / HOUR_MS as f64;
                return with_chance(expected, DECLARED_OVERDISPERSION, by(By::Declared));
            }
            None => {}
        }
        if self.is_busy() {
            let unknown = || Verdict::Unknown(Unknown::FewHours(self.baseline.hours_known()));
            return self.usual(&spans).map_or_else(unknown, |(expected, overdispersion)| {
                with_chance(expected, overdispersion, by(By::Rhythm))
            });
        }
        match self.gaps.quantile_ms(GAP_QUANTILE) {
            Some(gap_ms) if self.gaps.count() >= GAPS_MIN => with_limit(GAP_FACTOR * gap_ms, by(By::Gaps)),
            _ => Verdict::Unknown(Unknown::FewGaps(self.gaps.count())),
        }
    }

    fn is_busy(&self) -> bool {
        let windows_of_hour = HOUR_MS as f64 / self.settings.window_ms as f64;
        self.baseline.mean_known().is_some_and(|mean| mean * windows_of_hour >= BUSY_PER_HOUR)
    }

    /// Events that the rhythm expects in spans of open time, with the overdispersion, once enough hours are known.
    fn usual(&self, spans: &[(i64, i64)]) -> Option<(f64, f64)> {
        let needed = if self.settings.calendar.week.is_some() { OPEN_HOURS_MIN } else { HOURS_MIN };
        if self.baseline.hours_known() < needed {
            return None;
        }
        let zone = self.settings.calendar.zone;
        let mut expected = 0.0;
        let overdispersion = self.baseline.expect(self.last_ms?, zone)?.overdispersion;
        for (from_ms, to_ms) in spans {
            let mut from_ms = *from_ms;
            while from_ms < *to_ms {
                let hour_ms = from_ms.div_euclid(HOUR_MS) * HOUR_MS;
                let until_ms = (hour_ms + HOUR_MS).min(*to_ms);
                let usual = self.baseline.expect(hour_ms + HOUR_MS / 2, zone)?;
                expected += usual.least * self.level * (until_ms - from_ms) as f64 / self.settings.window_ms as f64;
                from_ms = until_ms;
            }
        }
        Some((expected, overdispersion))
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Baseline>() + self.baseline.bytes() + size_of_val(&self.gaps) * 8
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing for {}", Span(self.open_ms))?;
        if let Some(expected) = self.expected {
            write!(f, ", usually {expected:.0} by now")?;
        }
        if let Some(limit_ms) = self.limit_ms {
            write!(f, ", expected within {}", Span(limit_ms))?;
        }
        match self.usual_gap_ms {
            Some(gap_ms) => write!(f, "; usual gap {}", Span(gap_ms)),
            None => Ok(()),
        }
    }
}

/// A duration as people say it, in its largest unit.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, i64); 3] = [("d", 48 * HOUR_MS), ("h", HOUR_MS), ("min", 60_000)];
        let unit = UNITS.iter().find(|(_, from)| self.0 >= *from);
        match unit {
            Some((name @ "d", _)) => write!(f, "{} {name}", (self.0 + 12 * HOUR_MS) / (24 * HOUR_MS)),
            Some((name, ms)) => write!(f, "{} {name}", (self.0 + ms / 2) / ms),
            None => write!(f, "{} s", (self.0 + 500) / 1000),
        }
    }
}

#[cfg(test)]
mod tests;
