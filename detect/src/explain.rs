//! Which label values moved a number: decompositions whose parts add up to the whole change.
//!
//! | number | part of a label value | adds up |
//! |---|---|---|
//! | [`sum`]: counts and sums | current − baseline | exactly, in integers |
//! | [`ratio`]: Σn ÷ Σd | rate: mean share × change of its ratio; mix: change of its share × (its mean ratio − mean whole ratio) | to rounding |
//! | [`tail_mass`]: a percentile, by the share of values above a threshold | as a ratio, with n the values above | to rounding |
//!
//! The ratio's is the symmetric (midpoint) decomposition of Marshall and Edgeworth: with w the share of a label value in
//! the denominator and r its ratio, Δ(w·r) = w̄·Δr + r̄·Δw, and subtracting the mean whole ratio from r̄ changes nothing in
//! the sum, as ΣΔw = 0. A value that is new or gone has no other ratio to compare with, so all of it is mix.

use serde::Serialize;
use std::collections::BTreeMap;

/// One label value's part of a change of a sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SumPart<L> {
    /// The label value; none is all the others together.
    pub label: Option<L>,
    /// What it counts now.
    pub current: i128,
    /// What it counted before, or what was expected.
    pub baseline: i128,
}

impl<L> SumPart<L> {
    /// Current − baseline.
    pub fn change(&self) -> i128 {
        self.current - self.baseline
    }
}

/// A change of a sum and what it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SumChange<L> {
    /// Current − baseline of everything.
    pub change: i128,
    /// The largest parts, by size of their change; then, if there are more, all others as one.
    pub parts: Vec<SumPart<L>>,
}

impl<L> SumChange<L> {
    /// Part ÷ whole change; none where nothing changed. Parts against the change are negative, others may be above 1.
    pub fn share(&self, part: &SumPart<L>) -> Option<f64> {
        (self.change != 0).then(|| part.change() as f64 / self.change as f64)
    }
}

/// What a change of a count or sum consists of: the `top` largest parts and the rest. Values that come more than
/// once are added up.
pub fn sum<L: Ord>(
    current: impl IntoIterator<Item = (L, i128)>,
    baseline: impl IntoIterator<Item = (L, i128)>,
    top: usize,
) -> SumChange<L> {
    let mut of: BTreeMap<L, (i128, i128)> = BTreeMap::new();
    current.into_iter().for_each(|(label, n)| of.entry(label).or_default().0 += n);
    baseline.into_iter().for_each(|(label, n)| of.entry(label).or_default().1 += n);
    let change = of.values().map(|(current, baseline)| current - baseline).sum();
    let part = |(label, (current, baseline))| SumPart { label: Some(label), current, baseline };
    let mut parts: Vec<SumPart<L>> = of.into_iter().map(part).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.change().unsigned_abs()));
    let others = parts.split_off(top.min(parts.len()));
    if !others.is_empty() {
        let (current, baseline) = others.iter().fold((0, 0), |(c, b), part| (c + part.current, b + part.baseline));
        parts.push(SumPart { label: None, current, baseline });
    }
    SumChange { change, parts }
}

/// Numerator and denominator of a label value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Fraction {
    /// Such as errors.
    pub numerator: f64,
    /// Such as requests.
    pub denominator: f64,
}

/// One label value's part of a change of a ratio.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RatioPart<L> {
    /// The label value; none is all the others together.
    pub label: Option<L>,
    /// By its own ratio having changed.
    pub rate: f64,
    /// By its share of the whole having changed.
    pub mix: f64,
}

impl<L> RatioPart<L> {
    /// Rate and mix together.
    pub fn change(&self) -> f64 {
        self.rate + self.mix
    }
}

/// A change of a ratio and what it consists of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RatioChange<L> {
    /// Whole ratio now.
    pub current: f64,
    /// Whole ratio before.
    pub baseline: f64,
    /// The largest parts, by size; then, if there are more, all others as one.
    pub parts: Vec<RatioPart<L>>,
}

/// What a change of Σ numerators ÷ Σ denominators consists of. None where a whole denominator is not above zero, or a
/// denominator is negative: there is no ratio to explain.
pub fn ratio<L: Ord>(
    current: impl IntoIterator<Item = (L, Fraction)>,
    baseline: impl IntoIterator<Item = (L, Fraction)>,
    top: usize,
) -> Option<RatioChange<L>> {
    let mut of: BTreeMap<L, [Fraction; 2]> = BTreeMap::new();
    let add = |to: &mut Fraction, more: Fraction| {
        to.numerator += more.numerator;
        to.denominator += more.denominator;
    };
    current.into_iter().for_each(|(label, more)| add(&mut of.entry(label).or_default()[0], more));
    baseline.into_iter().for_each(|(label, more)| add(&mut of.entry(label).or_default()[1], more));
    let whole = [0, 1].map(|side| {
        let mut whole = Fraction::default();
        of.values().filter_map(|sides| sides.get(side)).for_each(|more| add(&mut whole, *more));
        whole
    });
    let bad = |fraction: &Fraction| fraction.denominator.is_nan() || fraction.denominator < 0.0;
    if whole.iter().any(|whole| whole.denominator <= 0.0) || of.values().flatten().any(bad) {
        return None;
    }
    let [now, before] = whole.map(|whole| whole.numerator / whole.denominator);
    let mut parts: Vec<RatioPart<L>> =
        of.into_iter().map(|(label, sides)| ratio_part(label, sides, whole, 0.5 * (now + before))).collect();
    parts.sort_by(|a, b| b.change().abs().total_cmp(&a.change().abs()));
    let others = parts.split_off(top.min(parts.len()));
    if !others.is_empty() {
        let (rate, mix) = others.iter().fold((0.0, 0.0), |(rate, mix), part| (rate + part.rate, mix + part.mix));
        parts.push(RatioPart { label: None, rate, mix });
    }
    Some(RatioChange { current: now, baseline: before, parts })
}

fn ratio_part<L>(label: L, sides: [Fraction; 2], whole: [Fraction; 2], middle: f64) -> RatioPart<L> {
    let [now, before] = sides;
    let [all_now, all_before] = whole;
    let shares = (now.denominator / all_now.denominator, before.denominator / all_before.denominator);
    let own = |side: Fraction, other: Fraction| match (side.denominator > 0.0, other.denominator > 0.0) {
        (true, _) => side.numerator / side.denominator,
        (false, true) => other.numerator / other.denominator,
        (false, false) => 0.0,
    };
    let ratios = (own(now, before), own(before, now));
    RatioPart {
        label: Some(label),
        rate: 0.5 * (shares.0 + shares.1) * (ratios.0 - ratios.1),
        mix: (shares.0 - shares.1) * (0.5 * (ratios.0 + ratios.1) - middle),
    }
}

/// Buckets of a histogram: upper bounds (inclusive) with counts, in any order.
pub type Buckets = Vec<(f64, u64)>;

/// What moved a percentile, by label value: the change of the share of values above `threshold`, usually the
/// percentile before. Parts are as of [`ratio`]. Values of a bucket count as above when its upper bound is, so a
/// threshold that is a bound of the buckets cuts exactly. None where a side has no values.
pub fn tail_mass<L: Ord>(
    current: impl IntoIterator<Item = (L, Buckets)>,
    baseline: impl IntoIterator<Item = (L, Buckets)>,
    threshold: f64,
    top: usize,
) -> Option<RatioChange<L>> {
    let fraction = |(label, buckets): (L, Buckets)| {
        let of = |above: f64| buckets.iter().filter(|(bound, _)| *bound > above).map(|(_, n)| *n as f64).sum();
        (label, Fraction { numerator: of(threshold), denominator: of(f64::NEG_INFINITY) })
    };
    ratio(current.into_iter().map(fraction), baseline.into_iter().map(fraction), top)
}

/// The upper bound of the bucket that holds the value at rank ⌈q·n⌉ of all histograms together.
pub fn quantile<'a>(histograms: impl IntoIterator<Item = &'a Buckets>, q: f64) -> Option<f64> {
    let mut all: Vec<(f64, u64)> = histograms.into_iter().flatten().copied().collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n: u64 = all.iter().map(|(_, n)| n).sum();
    let rank = (libm::ceil(q * n as f64) as u64).max(1);
    let mut below = 0;
    all.into_iter().find_map(|(bound, n)| {
        below += n;
        (below >= rank).then_some(bound)
    })
}

#[cfg(test)]
mod tests;
