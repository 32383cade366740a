//! Viral spikes: counts far above what a key usually counts.
//!
//! Every complete window is seen in three views: alone, together with the one before, and with its last hour (older
//! windows fade with [`TRAIL_HALF_LIFE_MS`]). A view's probability is that of at least its count, by a negative
//! binomial with the expected mean and the overdispersion that this key has in that view. The **score** is −log₁₀
//! of the smallest of them, times three for having looked three times. The expected mean is
//! season × max(level, 1) of the [baseline](crate::baseline), at least [`EXPECTED_MIN`]: the return to the rhythm of
//! the week after a quiet time (an outage) is no spike.
//!
//! A window that is not calm and has score, lift (counted ÷ expected) and count of [`Settings`] begins a
//! [burst](crate::bursts). It is a spike, and **opens**, as soon as fewer than `as_large_max` bursts of the last four
//! weeks were as large. It starts with the first of the elevated windows before that. It **ends** when windows have
//! been calm for the hold (lift below `lift_close`, or a chance above one in a hundred), or becomes the **new
//! normal** after `accept_ms`: then the history is scaled to it (or forgotten, if it was nearly nothing). Windows of a
//! burst, spike or not, are [set aside](Baseline::set_aside): one burst leaves no trace in the baseline.

mod settings;
mod verdict;
mod view;

pub(crate) use settings::admit;
pub use settings::{Error, Settings};
pub use verdict::{End, Spike, State, Verdict};
pub use view::{EXPECTED_MIN, TRAIL_HALF_LIFE_MS};

use crate::baseline::{Baseline, Expectation, Outliers};
use crate::bits;
use crate::bursts::Bursts;
use crate::zone::HOUR_MS;
use serde::{Deserialize, Serialize};
use view::{Reading, Views};

/// Unknown windows for longer than this end an open spike.
pub const UNKNOWN_MAX_MS: i64 = HOUR_MS;

/// The detector of one key. The same windows give the same verdicts, bit for bit, also after the state was stored
/// and read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    settings: Settings,
    baseline: Baseline,
    last_ms: Option<i64>,
    views: Views,
    bursts: Bursts,
    /// Elevated windows up to now that have not opened a spike.
    rise: Option<Spike>,
    open: Option<Open>,
}

/// A burst that goes on, with what its end needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    spike: Spike,
    /// Whether it is a spike that was told, or a usual burst.
    told: bool,
    /// Largest excess of an hour.
    #[serde(with = "bits::one")]
    excess: f64,
    calm_ms: i64,
    /// The calm windows since the last elevated one: part of the spike if another one follows.
    calm_observed: u64,
    #[serde(with = "bits::one")]
    calm_expected: f64,
    /// Counted and season of all its windows: the scale of the new normal, should it become that.
    seen: u64,
    #[serde(with = "bits::one")]
    season: f64,
}

impl Detector {
    /// Nothing known.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self {
            settings,
            baseline: Baseline::new(settings.window_ms),
            last_ms: None,
            views: Views::default(),
            bursts: Bursts::default(),
            rise: None,
            open: None,
        })
    }

    /// The state after these windows, in order, with the verdict on each: how a state is rebuilt from stored rollups.
    ///
    /// # Errors
    /// As [`Detector::observe`].
    pub fn replay(
        settings: Settings,
        windows: impl IntoIterator<Item = (i64, u64)>,
    ) -> Result<(Self, Vec<Verdict>), Error> {
        let mut detector = Self::new(settings)?;
        let verdicts: Result<_, _> = windows.into_iter().map(|(at, count)| detector.observe(at, count)).collect();
        verdicts.map(|verdicts| (detector, verdicts))
    }

    /// Takes the next complete window. Windows without events are given with 0; windows that are not complete are
    /// left out, and are unknown: nothing is learned from them.
    ///
    /// # Errors
    /// Windows out of order or unaligned; the state is as before.
    pub fn observe(&mut self, window_start_ms: i64, count: u64) -> Result<Verdict, Error> {
        admit(self.settings.window_ms, self.last_ms, window_start_ms)?;
        let unknown_ms = self.last_ms.map_or(0, |last| window_start_ms - last - self.settings.window_ms);
        self.last_ms = Some(window_start_ms);
        self.baseline.advance(window_start_ms, self.settings.zone);
        if unknown_ms > 0 {
            self.views.forget();
            self.rise = None;
        }
        let lost = if unknown_ms > UNKNOWN_MAX_MS { self.open.take() } else { None };
        let was_told = lost.is_some_and(|open| open.told);
        let lost = lost.map(|open| self.end(&open, window_start_ms, End::Unknown)).filter(|_| was_told);
        let Some(expectation) = self.baseline.expect(window_start_ms, self.settings.zone) else {
            self.baseline.learn(count, None, Outliers::Clipped);
            let state = lost.unwrap_or(State::Learning);
            return Ok(Verdict { window_start_ms, count, expected: None, score: 0.0, as_large: 0, basis: None, state });
        };
        let reading = self.views.read(&self.settings, (window_start_ms, count), &expectation);
        self.views.pass(&reading);
        let as_large = if reading.exceeds { self.bursts.as_large(window_start_ms, reading.excess) } else { 0 };
        let state = match (lost, self.open.take()) {
            (Some(lost), _) => {
                self.learn(&reading, &expectation);
                lost
            }
            (None, Some(open)) => self.go_on(open, &reading, &expectation),
            (None, None) => self.watch(&reading, &expectation),
        };
        Ok(Verdict {
            window_start_ms,
            count,
            expected: Some(reading.expected),
            score: reading.score,
            as_large,
            basis: Some(expectation.basis),
            state,
        })
    }

    /// What would be said if this window were complete with this count; nothing changes. Counts only grow, so a
    /// spike found in a window that is still open will not go away: this is how one is known before its window ends.
    ///
    /// # Errors
    /// As [`Detector::observe`].
    pub fn peek(&self, window_start_ms: i64, count: u64) -> Result<Verdict, Error> {
        self.clone().observe(window_start_ms, count)
    }

    /// The spike that is open.
    pub fn open(&self) -> Option<&Spike> {
        self.open.as_ref().filter(|open| open.told).map(|open| &open.spike)
    }

    /// What is usual.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// What it was built with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() - size_of::<Baseline>() + self.baseline.bytes() + self.bursts.bytes()
    }

    /// No spike is open.
    fn watch(&mut self, reading: &Reading, expectation: &Expectation) -> State {
        let rise = self.rise.take().filter(|_| !reading.calm);
        let rise = rise.map_or_else(|| self.first(reading), |rise| self.and(rise, reading));
        if reading.exceeds {
            let open = Open {
                spike: Spike { opened_ms: reading.start_ms, ..rise },
                told: false,
                excess: reading.excess,
                calm_ms: 0,
                calm_observed: 0,
                calm_expected: 0.0,
                seen: reading.count,
                season: expectation.season,
            };
            return self.tell(open, reading);
        }
        self.learn(reading, expectation);
        self.rise = Some(rise).filter(|_| !reading.calm);
        State::Quiet
    }

    /// A spike is open.
    fn go_on(&mut self, mut open: Open, reading: &Reading, expectation: &Expectation) -> State {
        open.seen += reading.count;
        open.season += expectation.season;
        open.excess = open.excess.max(reading.excess);
        if reading.calm {
            open.calm_ms += self.settings.window_ms;
            open.calm_observed += reading.count;
            open.calm_expected += reading.expected;
        } else {
            open.spike.observed += open.calm_observed;
            open.spike.expected += open.calm_expected;
            (open.calm_ms, open.calm_observed, open.calm_expected) = (0, 0, 0.0);
            open.spike = self.and(open.spike, reading);
        }
        if open.calm_ms >= self.settings.hold_ms.max(1) {
            return self.end(&open, reading.start_ms, End::Calm);
        }
        if reading.start_ms - open.spike.start_ms >= self.settings.accept_ms {
            let windows = ((reading.start_ms - open.spike.start_ms) / self.settings.window_ms + 1) as f64;
            if open.season < EXPECTED_MIN * windows {
                self.baseline.restart(open.seen as f64 / windows, self.settings.zone);
            } else {
                self.baseline.rescale(open.seen as f64 / open.season, self.settings.zone);
            }
            return self.end(&open, reading.start_ms, End::NewNormal);
        }
        self.tell(open, reading)
    }

    /// Goes on with a burst, and tells of it as soon as it is larger than what is usual.
    fn tell(&mut self, mut open: Open, reading: &Reading) -> State {
        self.baseline.set_aside(reading.count);
        let opens = !open.told && !reading.calm && {
            self.bursts.as_large(reading.start_ms, open.excess) < self.settings.as_large_max
        };
        if opens {
            open.told = true;
            open.spike.opened_ms = reading.start_ms;
        }
        let spike = open.spike;
        self.open = Some(open);
        match (opens, open.told) {
            (true, _) => State::Opened(spike),
            (false, true) => State::Open(spike),
            (false, false) => State::Quiet,
        }
    }

    fn end(&mut self, open: &Open, at_ms: i64, why: End) -> State {
        self.bursts.learn(at_ms, open.excess);
        self.views.forget();
        if open.told { State::Ended(open.spike, why) } else { State::Quiet }
    }

    /// Takes in a usual window.
    fn learn(&mut self, reading: &Reading, expectation: &Expectation) {
        self.baseline.learn(reading.count, Some(*expectation), Outliers::Clipped);
        self.views.learn(self.settings.window_ms);
    }

    fn first(&self, reading: &Reading) -> Spike {
        Spike {
            start_ms: reading.start_ms,
            opened_ms: reading.start_ms,
            end_ms: reading.start_ms + self.settings.window_ms,
            peak_ms: reading.start_ms,
            peak_count: reading.count,
            peak_expected: reading.expected,
            observed: reading.count,
            expected: reading.expected,
            score: reading.score,
        }
    }

    fn and(&self, mut spike: Spike, reading: &Reading) -> Spike {
        spike.end_ms = reading.start_ms + self.settings.window_ms;
        spike.observed += reading.count;
        spike.expected += reading.expected;
        spike.score = spike.score.max(reading.score);
        if reading.count > spike.peak_count {
            spike.peak_ms = reading.start_ms;
            (spike.peak_count, spike.peak_expected) = (reading.count, reading.expected);
        }
        spike
    }
}

#[cfg(test)]
mod tests;
