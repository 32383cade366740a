//! Viral spikes: counts far above what a key usually counts.
//!
//! A window's **score** is −log₁₀ of the probability to see at least its count, by a negative binomial with the
//! expected mean and the key's own overdispersion: of this window alone or of this and the one before together,
//! whichever is rarer, and counted double for having looked twice. The expected mean is
//! season × max(level, 1), at least [`EXPECTED_MIN`]: after a quiet time (an outage) the return to the rhythm of
//! the week is no spike.
//!
//! A spike **opens** when score, lift (counted ÷ expected) and count reach their thresholds ([`Settings`]). It
//! starts with the first of the elevated windows before that. It **ends** when the windows have been calm for the
//! hold, or becomes the **new normal** after [`Settings::accept_ms`]: then the history is scaled to it. While it is
//! open, the baseline learns nothing.

use crate::baseline::{Baseline, Basis, Expectation, Spread, decay};
use crate::bits;
use crate::bursts::{self, Bursts};
use crate::tail;
use crate::zone::{HOUR_MS, Zone};
use serde::{Deserialize, Serialize};

/// Less is not expected of any window: below it a count says little about a rate (CATALOG 2.21-g).
pub const EXPECTED_MIN: f64 = 1.0;
/// A window less rare than this (−log₁₀) is calm.
const CALM_SCORE: f64 = 2.0;
/// Unknown windows for longer than this end an open spike.
const UNKNOWN_MAX_MS: i64 = HOUR_MS;
/// Scores are not compared beyond this; it also is what a probability of 0 has.
const TRAIL_HALF_LIFE_MS: i64 = HOUR_MS / 2;
const SCORE_MAX: f64 = 1e6;

/// What a spike is. The defaults are for "viral": tell on-call people about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Length of a window; divides an hour.
    pub window_ms: i64,
    /// Whose clock the rhythm of the week follows.
    pub zone: Zone,
    /// Score to open: 8 is one window in a hundred million, were the counts as modelled.
    pub score_open: f64,
    /// A burst larger than that comes once in this time, by the key's own history.
    pub k: f64,
    /// y
    pub trail: bool,
    /// z
    pub power: f64,
    /// Lift to open.
    pub lift_open: f64,
    /// Count of a window, below which nothing opens.
    pub count_min: u64,
    /// Below this lift a window is calm.
    pub lift_close: f64,
    /// So long calm ends a spike.
    pub hold_ms: i64,
    /// So long open makes it the new normal.
    pub accept_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window_ms: 60_000,
            zone: Zone::UTC,
            score_open: 8.0,
            k: 4.0, trail: true, power: 0.0,
            lift_open: 3.0,
            count_min: 10,
            lift_close: 1.5,
            hold_ms: 15 * 60_000,
            accept_ms: 24 * HOUR_MS,
        }
    }
}

impl Settings {
    /// The defaults with windows of this length.
    pub fn of_windows(window_ms: i64) -> Self {
        Self { window_ms, ..Self::default() }
    }

    fn check(&self) -> Result<(), Error> {
        if self.window_ms <= 0 || HOUR_MS % self.window_ms != 0 {
            return Err(Error::Width(self.window_ms));
        }
        Ok(())
    }
}

/// Why a window was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Windows divide an hour.
    #[error("expected windows that divide an hour, found {0} ms: take 60000 or another divisor of 3600000")]
    Width(i64),
    /// Windows come aligned.
    #[error("expected the start of a window of {window_ms} ms, found {found_ms}: round it down to a multiple")]
    Unaligned {
        /// Start that was given.
        found_ms: i64,
        /// Length of a window.
        window_ms: i64,
    },
    /// Windows come in order and once each.
    #[error(
        "expected a window after {last_ms}, found {found_ms}: windows come in order, once each, when they are \
         complete; after amendments replay the stored ones"
    )]
    NotAfter {
        /// Start that was given.
        found_ms: i64,
        /// Start of the last window taken.
        last_ms: i64,
    },
}

/// Why a spike is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Calm for the hold.
    Calm,
    /// Open for so long that it is what is expected from now on.
    NewNormal,
    /// An hour of windows was unknown.
    Unknown,
}

/// One spike, so far or whole. Times are starts of windows in ms since 1970; `end_ms` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// First elevated window.
    pub start_ms: i64,
    /// Window in which it opened.
    pub opened_ms: i64,
    /// End of the last elevated window so far.
    pub end_ms: i64,
    /// Window with the highest count.
    pub peak_ms: i64,
    /// Its count.
    pub peak_count: u64,
    /// What was expected of it.
    #[serde(with = "bits::one")]
    pub peak_expected: f64,
    /// Counted from start to end.
    pub observed: u64,
    /// Expected from start to end.
    #[serde(with = "bits::one")]
    pub expected: f64,
    /// Highest score of its windows.
    #[serde(with = "bits::one")]
    pub score: f64,
}

impl Spike {
    /// Observed ÷ expected.
    pub fn lift(&self) -> f64 {
        self.observed as f64 / self.expected
    }

    /// Observed − expected: what would not have come otherwise.
    pub fn excess(&self) -> f64 {
        self.observed as f64 - self.expected
    }

    /// Peak count ÷ expected of that window.
    pub fn peak_lift(&self) -> f64 {
        self.peak_count as f64 / self.peak_expected
    }
}

/// What a window means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// Too little history to expect anything.
    Learning,
    /// Nothing special.
    Quiet,
    /// A spike opens with this window.
    Opened(Spike),
    /// A spike goes on.
    Open(Spike),
    /// The spike is over; this window is not part of it.
    Ended(Spike, End),
}

/// What is said of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct Verdict {
    /// Start of the window, inclusive.
    pub window_start_ms: i64,
    /// What it counted.
    pub count: u64,
    /// What was expected of it, as the thresholds see it; none while learning.
    pub expected: Option<f64>,
    /// −log₁₀ of the tail probability; 0 where the count is not above the expected.
    pub score: f64,
    /// x
    pub rarity: f64,
    /// History behind the expectation; none while learning.
    pub basis: Option<Basis>,
    /// What it means.
    pub state: State,
}

impl Verdict {
    /// Counted ÷ expected; none while learning.
    pub fn lift(&self) -> Option<f64> {
        self.expected.map(|expected| self.count as f64 / expected)
    }

    /// Whether a spike is open after this window.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Opened(_) | State::Open(_))
    }
}

/// The detector of one key. The same windows give the same verdicts, bit for bit, also after the state was stored
/// and read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    settings: Settings,
    baseline: Baseline,
    last_ms: Option<i64>,
    last: Option<Window>,
    hour: Trail,
    hour_spread: Spread,
    /// Elevated windows up to now that have not opened a spike.
    rise: Option<Spike>,
    open: Option<Open>,
    bursts: Bursts,
    /// Largest size of the burst that is going on, and for how long it has been calm.
    burst: Option<Burst>,
}

/// A burst that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Burst {
    #[serde(with = "bits::one")]
    size: f64,
    calm_ms: i64,
}

/// An open spike with what its end needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Open {
    spike: Spike,
    size: f64,
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Trail {
    #[serde(with = "bits::one")]
    seen: f64,
    #[serde(with = "bits::one")]
    expected: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Window {
    count: u64,
    #[serde(with = "bits::one")]
    expected: f64,
}

/// A window beside what was expected of it.
#[derive(Debug, Clone, Copy)]
struct Reading {
    start_ms: i64,
    window: Window,
    score: f64,
    calm: bool,
    hour: Trail,
    opens: bool,
    size: Option<f64>,
    rarity: f64,
}

impl Detector {
    /// Nothing known.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let baseline = Baseline::new(settings.window_ms);
        Ok(Self { settings, baseline, last_ms: None, last: None, hour: Trail::default(), hour_spread: Spread::default(), rise: None, open: None, bursts: Bursts::default(), burst: None })
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
        self.admit(window_start_ms)?;
        let unknown_ms = self.last_ms.map_or(0, |last| window_start_ms - last - self.settings.window_ms);
        self.last_ms = Some(window_start_ms);
        self.baseline.advance(window_start_ms, self.settings.zone);
        let expectation = self.baseline.expect(window_start_ms, self.settings.zone);
        if unknown_ms > 0 {
            (self.last, self.rise, self.hour) = (None, None, Trail::default());
        }
        let ended = if unknown_ms > UNKNOWN_MAX_MS { self.open.take() } else { None };
        let Some(expectation) = expectation else {
            self.baseline.learn(count, None);
            return Ok(learning(window_start_ms, count, ended));
        };
        let reading = self.read(window_start_ms, count, &expectation);
        self.last = Some(reading.window);
        self.hour = reading.hour;
        let state = match (ended, self.open.take()) {
            (Some(ended), _) => {
                self.baseline.learn(count, Some(expectation));
                State::Ended(ended.spike, End::Unknown)
            }
            (None, Some(open)) => self.go_on(open, &reading, &expectation),
            (None, None) => self.watch(&reading, &expectation),
        };
        Ok(verdict(&reading, &expectation, state))
    }

    /// What would be said if this window were complete with this count; nothing changes. Counts only grow, so a
    /// spike found in a window that is still open will not go away: this is how one is known before its window ends.
    ///
    /// # Errors
    /// As [`Detector::observe`].
    pub fn peek(&self, window_start_ms: i64, count: u64) -> Result<Verdict, Error> {
        self.admit(window_start_ms)?;
        self.clone().observe(window_start_ms, count)
    }

    /// The spike that is open.
    pub fn open(&self) -> Option<&Spike> {
        self.open.as_ref().map(|open| &open.spike)
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
        size_of::<Self>() - size_of::<Baseline>() + self.baseline.bytes()
    }

    pub fn bursts(&self) -> &Bursts { &self.bursts }
    fn admit(&self, found_ms: i64) -> Result<(), Error> {
        let window_ms = self.settings.window_ms;
        if found_ms.rem_euclid(window_ms) != 0 {
            return Err(Error::Unaligned { found_ms, window_ms });
        }
        match self.last_ms {
            Some(last_ms) if found_ms <= last_ms => Err(Error::NotAfter { found_ms, last_ms }),
            _ => Ok(()),
        }
    }

    fn read(&self, start_ms: i64, count: u64, expectation: &Expectation) -> Reading {
        let expected = (expectation.season * expectation.level.max(1.0)).max(EXPECTED_MIN);
        let window = Window { count, expected };
        let alone = score(window, expectation.overdispersion);
        let with_last = self.last.map_or(0.0, |last| {
            let both = Window { count: last.count + count, expected: last.expected + expected };
            score(both, expectation.overdispersion)
        });
        let lift = count as f64 / expected;
        let keep = decay(self.settings.window_ms, TRAIL_HALF_LIFE_MS);
        let hour = Trail { seen: self.hour.seen * keep + count as f64, expected: self.hour.expected * keep + expected };
        let hour_window = Window { count: hour.seen as u64, expected: hour.expected };
        let in_hour = if self.settings.trail { score(hour_window, self.hour_spread.overdispersion(self.settings.window_ms)) } else { 0.0 };
        let size = (alone >= bursts::SCORE || in_hour >= bursts::SCORE).then_some(if self.settings.trail { hour.seen - hour.expected } else { count as f64 - expected });
        let rarity = size.map_or(0.0, |size| self.bursts.as_large(start_ms, size) as f64);
        let best = (alone.max(with_last).max(in_hour) - libm::log10(3.0)).max(0.0);
        let lift_best = lift.max(if in_hour - libm::log10(3.0) >= self.settings.score_open { hour.seen / hour.expected } else { 0.0 });
        let Settings { score_open, lift_open, count_min, lift_close, .. } = self.settings;
        Reading {
            start_ms,
            window,
            score: best,
            hour,
            calm: lift < lift_close || alone < CALM_SCORE,
            size,
            rarity,
            opens: !(lift < lift_close || alone < CALM_SCORE) && rarity < self.settings.k && best >= score_open && lift_best >= lift_open && count >= count_min,
        }
    }

    /// No spike is open.
    fn watch(&mut self, reading: &Reading, expectation: &Expectation) -> State {
        let rise = self.rise.take().filter(|_| !reading.calm);
        let rise = rise.map_or_else(|| self.first(reading), |rise| self.and(rise, reading));
        if reading.opens {
            self.burst = None;
            let spike = Spike { opened_ms: reading.start_ms, ..rise };
            let seen = reading.window.count;
            let season = expectation.season;
            self.open = Some(Open { spike, size: reading.size.unwrap_or(0.0), calm_ms: 0, calm_observed: 0, calm_expected: 0.0, seen, season });
            return State::Opened(spike);
        }
        self.baseline.learn(reading.window.count, Some(*expectation));
        let chance = 1.0 / (1.0 + decay(self.settings.window_ms, TRAIL_HALF_LIFE_MS));
        self.hour_spread.learn(self.hour.seen, self.hour.expected, chance, self.settings.window_ms);
        match (reading.size, &mut self.burst) {
            (Some(size), Some(burst)) => *burst = Burst { size: burst.size.max(size), calm_ms: 0 },
            (Some(size), none) => *none = Some(Burst { size, calm_ms: 0 }),
            (None, Some(burst)) => burst.calm_ms += self.settings.window_ms,
            (None, None) => {}
        }
        if let Some(over) = self.burst.filter(|burst| burst.calm_ms >= self.settings.hold_ms) {
            self.bursts.learn(reading.start_ms, over.size);
            self.burst = None;
        }
        self.rise = Some(rise).filter(|_| !reading.calm);
        State::Quiet
    }

    /// A spike is open.
    fn go_on(&mut self, mut open: Open, reading: &Reading, expectation: &Expectation) -> State {
        open.seen += reading.window.count;
        open.season += expectation.season;
        if reading.calm {
            open.calm_ms += self.settings.window_ms;
            open.calm_observed += reading.window.count;
            open.calm_expected += reading.window.expected;
        } else {
            open.spike.observed += open.calm_observed;
            open.spike.expected += open.calm_expected;
            (open.calm_ms, open.calm_observed, open.calm_expected) = (0, 0, 0.0);
            open.spike = self.and(open.spike, reading);
        }
        open.size = open.size.max(reading.size.unwrap_or(0.0));
        if open.calm_ms >= self.settings.hold_ms.max(1) {
            self.bursts.learn(reading.start_ms, open.size);
            self.hour = Trail::default();
            return State::Ended(open.spike, End::Calm);
        }
        if reading.start_ms - open.spike.opened_ms >= self.settings.accept_ms {
            let half_an_event = 0.5;
            let ratio = (open.seen as f64 + half_an_event) / (open.season + half_an_event);
            self.baseline.rescale(ratio, self.settings.zone);
            return State::Ended(open.spike, End::NewNormal);
        }
        self.open = Some(open);
        State::Open(open.spike)
    }

    fn first(&self, reading: &Reading) -> Spike {
        let Reading { start_ms, window, score, .. } = *reading;
        Spike {
            start_ms,
            opened_ms: start_ms,
            end_ms: start_ms + self.settings.window_ms,
            peak_ms: start_ms,
            peak_count: window.count,
            peak_expected: window.expected,
            observed: window.count,
            expected: window.expected,
            score,
        }
    }

    fn and(&self, mut spike: Spike, reading: &Reading) -> Spike {
        let Reading { start_ms, window, score, .. } = *reading;
        spike.end_ms = start_ms + self.settings.window_ms;
        spike.observed += window.count;
        spike.expected += window.expected;
        spike.score = spike.score.max(score);
        if window.count > spike.peak_count {
            (spike.peak_ms, spike.peak_count, spike.peak_expected) = (start_ms, window.count, window.expected);
        }
        spike
    }
}

fn score(window: Window, overdispersion: f64) -> f64 {
    if window.count as f64 <= window.expected {
        return 0.0;
    }
    (-tail::log10_upper(window.count, window.expected, overdispersion)).min(SCORE_MAX)
}

fn learning(window_start_ms: i64, count: u64, ended: Option<Open>) -> Verdict {
    let state = ended.map_or(State::Learning, |ended| State::Ended(ended.spike, End::Unknown));
    Verdict { window_start_ms, count, expected: None, score: 0.0, rarity: 0.0, basis: None, state }
}

fn verdict(reading: &Reading, expectation: &Expectation, state: State) -> Verdict {
    Verdict {
        window_start_ms: reading.start_ms,
        count: reading.window.count,
        expected: Some(reading.window.expected),
        score: reading.score,
        rarity: reading.rarity,
        basis: Some(expectation.basis),
        state,
    }
}

#[cfg(test)]
mod tests;
