//! What a key usually counts: a rhythm of the week, a level, and how much counts vary around both.
//!
//! | part | is | follows |
//! |---|---|---|
//! | season | median of the same clock hour in the last 4 weeks, drawn towards the median of that hour in the last 7 days, and that towards the median of the last 24 known hours | weeks |
//! | level | counted ÷ season, half-life [`LEVEL_HALF_LIFE_MS`] | slow trends |
//! | overdispersion | (squared error − mean) ÷ mean², half-life [`SPREAD_HALF_LIFE_MS`] | burstiness of this key |
//!
//! Each estimate of the season has as many votes as it has values and the coarser one below it has one, in
//! logarithms: with one week of history the hour of the week has half a say, with four weeks four fifths. Between
//! the middles of hours it is a straight line. The level is a quotient of sums, so small counts do not bias it.
//! Overdispersion is the moment estimate of a negative binomial (variance μ + αμ²), drawn towards
//! [`SPREAD_AT_FIRST`] by the weight of one day.
//!
//! Whoever feeds it sets aside what is not usual: one burst at a clock hour moves nothing; from the second on, they vote
//! like other days, so that a shop that opens at nine is learned though every morning looks like a burst. Besides, where outliers are clipped, no count enters season and level
//! with more than three standard deviations above the mean: what is unusual and not yet flagged moves neither.

use crate::bits;
use crate::zone::{HOUR_MS, Zone};
use serde::{Deserialize, Serialize};

/// Hours that are remembered: four weeks, and a few for the edges and for clocks that change.
const HOURS: i64 = 28 * 24 + 4;
/// Days back whose same clock hour is asked, for the rhythm of the week and of the day.
const WEEKS: [i64; 4] = [7, 14, 21, 28];
const DAYS: [i64; 7] = [1, 2, 3, 4, 5, 6, 7];
/// Hours of the local level, and how far back they are looked for.
const LOCAL_HOURS: usize = 24;
const LOCAL_REACH_HOURS: i64 = 7 * 24;
/// Before so many hours are known, nothing is expected.
pub const WARM_UP_HOURS: usize = 3;
/// The level forgets half in this time of known windows (CATALOG 2.21-g).
pub const LEVEL_HALF_LIFE_MS: i64 = 6 * HOUR_MS;
/// The overdispersion forgets half in this time of known windows.
pub const SPREAD_HALF_LIFE_MS: i64 = 7 * 24 * HOUR_MS;
/// Overdispersion of a key of which nothing is known: a rate that wavers by a third.
pub const SPREAD_AT_FIRST: f64 = 0.1;
/// Never less: a rate that wavers by a tenth.
pub const SPREAD_MIN: f64 = 0.01;
/// The season itself, in counts that vote for a level of 1.
const LEVEL_PRIOR_COUNT: f64 = 10.0;
/// Half an event per hour keeps logarithms of empty hours finite.
const HALF_AN_EVENT: f64 = 0.5;
const CLIP_DEVIATIONS: f64 = 3.0;
/// An hour of which too little is known.
const UNKNOWN: f32 = -1.0;
/// At most this is an hour whose windows were set aside.
const SET_ASIDE: f32 = -2.0;
/// So many set aside at one clock hour are a rhythm.
const RHYTHM_MIN: usize = 2;

/// Which history an expectation rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The last day only.
    Recent,
    /// At least two days had this hour.
    HourOfDay,
    /// At least two weeks had this hour.
    HourOfWeek,
}

/// What one window was expected to count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// By the rhythm of the week alone.
    pub season: f64,
    /// The same, or less where the same hour of earlier weeks had less: for who must not expect too much. Of the
    /// hour, not of the window.
    pub least: f64,
    /// Factor by which the last hours differed from the rhythm.
    pub level: f64,
    /// α of the variance μ + αμ².
    pub overdispersion: f64,
    /// History behind it.
    pub basis: Basis,
}

impl Expectation {
    /// Expected count.
    pub fn mean(&self) -> f64 {
        self.season * self.level
    }
}

/// What is done with a count far above the expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outliers {
    /// It enters season and level with three standard deviations above the mean.
    Clipped,
    /// It enters as it is; medians of hours alone resist it.
    Whole,
}

/// What is known of one key, fed with one complete window after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    window_ms: i64,
    /// Mean count per window of the last hours; hour `h` stands at `h` modulo the length. [`UNKNOWN`] where too little
    /// is known, [`SET_ASIDE`] − mean of hours that were bursts.
    #[serde(with = "bits::many")]
    hours: Vec<f32>,
    /// The hour that is being gathered, counted from 1970; none before the first window.
    hour: Option<i64>,
    #[serde(with = "bits::one")]
    gathered: f64,
    gathered_windows: u32,
    #[serde(with = "bits::one")]
    aside: f64,
    aside_windows: u32,
    #[serde(with = "bits::one")]
    level_seen: f64,
    #[serde(with = "bits::one")]
    level_expected: f64,
    spread: Spread,
    #[serde(skip)]
    cache: Cache,
}

/// Is no part of what is known, so that all are equal.
#[derive(Debug, Clone, Copy, Default)]
struct Cache(Option<Seasons>);

impl PartialEq for Cache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Seasons of an hour and its neighbours, computed once an hour.
#[derive(Debug, Clone, Copy)]
struct Seasons {
    hour: i64,
    around: [f64; 3],
    least: f64,
    basis: Basis,
}

/// Season of one hour.
#[derive(Debug, Clone, Copy)]
struct Season {
    blended: f64,
    least: f64,
    basis: Basis,
}

impl Baseline {
    /// Nothing known. `window_ms` divides an hour.
    pub fn new(window_ms: i64) -> Self {
        Self {
            window_ms,
            hours: vec![UNKNOWN; HOURS as usize],
            hour: None,
            gathered: 0.0,
            gathered_windows: 0,
            aside: 0.0,
            aside_windows: 0,
            level_seen: 0.0,
            level_expected: 0.0,
            spread: Spread::default(),
            cache: Cache::default(),
        }
    }

    /// Goes on to the hour of this window, which is not before the last one. Hours in between are unknown.
    pub fn advance(&mut self, window_start_ms: i64, zone: Zone) {
        let hour = window_start_ms.div_euclid(HOUR_MS);
        match self.hour {
            Some(last) if last == hour => {
                self.cache = Cache(self.cache.0.or_else(|| self.seasons_around(hour, zone)));
                return;
            }
            Some(last) => {
                self.set(last, self.gathered_hour());
                for unknown in (last + 1..hour).rev().take(HOURS as usize) {
                    self.set(unknown, UNKNOWN);
                }
            }
            None => {}
        }
        (self.hour, self.gathered, self.gathered_windows) = (Some(hour), 0.0, 0);
        (self.aside, self.aside_windows) = (0.0, 0);
        self.cache = Cache(self.seasons_around(hour, zone));
    }

    /// What a window is expected to count; none while fewer than [`WARM_UP_HOURS`] hours are known.
    pub fn expect(&self, window_start_ms: i64, zone: Zone) -> Option<Expectation> {
        let hour = window_start_ms.div_euclid(HOUR_MS);
        let seasons = match self.cache.0 {
            Some(known) if known.hour == hour => known,
            _ => self.seasons_around(hour, zone)?,
        };
        let [before, during, after] = seasons.around;
        let middle = (window_start_ms.rem_euclid(HOUR_MS) + self.window_ms / 2) as f64 / HOUR_MS as f64 - 0.5;
        let towards = if middle < 0.0 { before } else { after };
        Some(Expectation {
            season: during + (towards - during) * middle.abs(),
            least: seasons.least,
            level: self.level(),
            overdispersion: self.spread.overdispersion(self.window_ms),
            basis: seasons.basis,
        })
    }

    /// Takes in a complete, usual window of the hour advanced to.
    pub fn learn(&mut self, count: u64, expected: Option<Expectation>, outliers: Outliers) {
        let x = count as f64;
        let Some(expected) = expected else {
            self.gather(x);
            return;
        };
        let mean = expected.mean();
        let clipped = match outliers {
            Outliers::Clipped => clip(x, mean, expected.overdispersion),
            Outliers::Whole => x,
        };
        self.gather(clipped);

        let keep = decay(self.window_ms, LEVEL_HALF_LIFE_MS);
        self.level_seen = self.level_seen * keep + clipped;
        self.level_expected = self.level_expected * keep + expected.season;

        self.spread.learn(x, mean, 1.0, self.window_ms);
    }

    /// Takes note of a complete window that is not usual. It is left out of everything, unless most of its hour is, and
    /// was at the same clock hour of another day too: then both have their votes.
    pub fn set_aside(&mut self, count: u64) {
        self.aside += count as f64;
        self.aside_windows += 1;
    }

    /// All history was `ratio` times what it was: a new normal.
    pub fn rescale(&mut self, ratio: f64, zone: Zone) {
        for value in &mut self.hours {
            let scaled = |mean: f32| (f64::from(mean) * ratio) as f32;
            match *value {
                known if known >= 0.0 => *value = scaled(known),
                aside if aside <= SET_ASIDE => *value = SET_ASIDE - scaled(SET_ASIDE - aside),
                _ => {}
            }
        }
        (self.level_seen, self.level_expected) = (0.0, 0.0);
        self.cache = Cache(self.hour.and_then(|hour| self.seasons_around(hour, zone)));
    }

    /// All history is forgotten but for a day with this mean per window: what a rhythm of nothing is followed by.
    pub fn restart(&mut self, mean: f64, zone: Zone) {
        self.hours.fill(UNKNOWN);
        let now = self.hour.unwrap_or_default();
        (now - LOCAL_HOURS as i64..now).for_each(|hour| self.set(hour, mean as f32));
        self.rescale(1.0, zone);
    }

    /// Hours of the last four weeks that are known.
    pub fn hours_known(&self) -> usize {
        self.hours.iter().filter(|v| **v >= 0.0).count()
    }

    /// Mean count per window of all known hours; none while none is known.
    pub fn mean_known(&self) -> Option<f64> {
        let known = self.hours.iter().filter(|v| **v >= 0.0);
        let (sum, n) = known.fold((0.0, 0), |(sum, n), v| (sum + f64::from(*v), n + 1));
        (n > 0).then(|| sum / f64::from(n))
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.hours.capacity() * size_of::<f32>()
    }

    /// Mean count per window of a known hour.
    pub fn hour_mean(&self, hour: i64) -> Option<f64> {
        self.stored(hour).filter(|value| *value >= 0.0).map(f64::from)
    }

    /// Mean count per window of an hour that was set aside.
    fn hour_aside(&self, hour: i64) -> Option<f64> {
        self.stored(hour).filter(|value| *value <= SET_ASIDE).map(|value| f64::from(SET_ASIDE - value))
    }

    /// The ring holds the hours before the one that is being gathered.
    fn stored(&self, hour: i64) -> Option<f32> {
        let now = self.hour?;
        let value = self.hours.get(hour.rem_euclid(HOURS) as usize)?;
        (hour < now && hour >= now - HOURS).then_some(*value)
    }

    /// Less than half of an hour says little of it.
    fn gathered_hour(&self) -> f32 {
        let enough = |windows: u32| i64::from(windows) * 2 * self.window_ms >= HOUR_MS;
        let all = self.gathered_windows + self.aside_windows;
        if enough(self.gathered_windows) {
            (self.gathered / f64::from(self.gathered_windows)) as f32
        } else if enough(all) {
            SET_ASIDE - ((self.gathered + self.aside) / f64::from(all)) as f32
        } else {
            UNKNOWN
        }
    }

    fn gather(&mut self, x: f64) {
        self.gathered += x;
        self.gathered_windows += 1;
    }

    fn level(&self) -> f64 {
        (self.level_seen + LEVEL_PRIOR_COUNT) / (self.level_expected + LEVEL_PRIOR_COUNT)
    }

    fn set(&mut self, hour: i64, value: f32) {
        if let Some(slot) = self.hours.get_mut(hour.rem_euclid(HOURS) as usize) {
            *slot = value;
        }
    }

    fn seasons_around(&self, hour: i64, zone: Zone) -> Option<Seasons> {
        let now = self.hour?;
        let recent: Vec<f64> =
            (1..=LOCAL_REACH_HOURS).filter_map(|back| self.hour_mean(now - back)).take(LOCAL_HOURS).collect();
        if recent.len() < WARM_UP_HOURS {
            return None;
        }
        let local = median(recent)?;
        let (before, during, after) =
            (self.season(hour - 1, zone, local), self.season(hour, zone, local), self.season(hour + 1, zone, local));
        let around = [before.blended, during.blended, after.blended];
        Some(Seasons { hour, around, least: during.least, basis: during.basis })
    }

    fn season(&self, hour: i64, zone: Zone, local: f64) -> Season {
        let same_clock = |days: &[i64]| -> Vec<f64> {
            let hours = || days.iter().map(|days| zone.hour_days_before(hour, *days));
            let mut values: Vec<f64> = hours().filter_map(|hour| self.hour_mean(hour)).collect();
            let aside: Vec<f64> = hours().filter_map(|hour| self.hour_aside(hour)).collect();
            if aside.len() >= RHYTHM_MIN {
                values.extend(aside);
            }
            values
        };
        let (daily, weekly) = (same_clock(&DAYS), same_clock(&WEEKS));
        let basis = match (weekly.len(), daily.len()) {
            (2.., _) => Basis::HourOfWeek,
            (_, 2..) => Basis::HourOfDay,
            _ => Basis::Recent,
        };
        let half_an_event = HALF_AN_EVENT * self.window_ms as f64 / HOUR_MS as f64;
        let mut ln = libm::log(local + half_an_event);
        let (votes, middles) = ([daily.len(), weekly.len()], [median(daily), median(weekly)]);
        for (votes, middle) in votes.into_iter().zip(middles) {
            if let Some(middle) = middle {
                ln = (ln + votes as f64 * libm::log(middle + half_an_event)) / (votes as f64 + 1.0);
            }
        }
        let blended = (libm::exp(ln) - half_an_event).max(0.0);
        let [_, last_weeks] = middles;
        Season { blended, least: last_weeks.map_or(blended, |middle| middle.min(blended)), basis }
    }
}

/// How much counts vary around what is expected, more than counts must.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    #[serde(with = "bits::one")]
    seen: f64,
    #[serde(with = "bits::one")]
    scale: f64,
    #[serde(with = "bits::one")]
    windows: f64,
}

impl Spread {
    /// Takes in a count; `chance` is the variance by chance alone, in means.
    pub(crate) fn learn(&mut self, x: f64, mean: f64, chance: f64, window_ms: i64) {
        let clipped = clip(x, mean, self.overdispersion(window_ms));
        let keep = decay(window_ms, SPREAD_HALF_LIFE_MS);
        let weight = 1.0 / mean.max(1.0);
        self.seen = self.seen * keep + ((clipped - mean) * (clipped - mean) - chance * mean) * weight;
        self.scale = self.scale * keep + mean * mean * weight;
        self.windows = self.windows * keep + 1.0;
    }

    pub(crate) fn overdispersion(&self, window_ms: i64) -> f64 {
        let at_first = (24 * HOUR_MS / window_ms) as f64;
        let seen = if self.scale > 0.0 { self.seen / self.scale } else { 0.0 };
        ((seen * self.windows + SPREAD_AT_FIRST * at_first) / (self.windows + at_first)).max(SPREAD_MIN)
    }
}

/// Of a mean below one, as if it were one: what begins from nothing is not clipped to nothing.
fn clip(x: f64, mean: f64, overdispersion: f64) -> f64 {
    let mean = mean.max(1.0);
    x.min((mean + CLIP_DEVIATIONS * (mean + overdispersion * mean * mean).sqrt()).ceil())
}

/// What is kept per window so that half is left after the half-life.
pub(crate) fn decay(window_ms: i64, half_life_ms: i64) -> f64 {
    libm::exp2(-(window_ms as f64) / half_life_ms as f64)
}

/// Middle value, of an even number the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests;
