//! From the series of two instants to the label that explains the change best, and its values' shares.
//!
//! Every label whose values differ is tried; it explains the better the fewer of its values make
//! [`EXPLAINED`] of the change.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_detect::explain::{self, Buckets, Fraction, RatioChange};
use tidewatch_promql::labels::{BUCKET, METRIC_NAME};
use tidewatch_promql::{Labels, Matcher, Sample, VectorSample};

use super::shape::{Shape, Summand};
use crate::route::alert::Contribution;

/// Label values that are named.
pub const CONTRIBUTIONS_MAX: usize = 5;
/// Labels that are tried; those with fewer values come first.
pub const LABELS_MAX: usize = 16;
/// A label with more values than this is skipped: it names single things.
pub const VALUES_MAX: usize = 1000;
/// The part of a change that makes it explained.
const EXPLAINED: f64 = 0.8;
/// A smaller part of the change is not shown: it would read 0 %.
const SHARE_MIN: f64 = 0.005;
/// A change that is a smaller part of the numbers themselves comes from rounding.
const CHANGE_MIN: f64 = 1e-9;

/// The series of every operand of a shape at one instant.
pub type Operands = Vec<Vec<VectorSample>>;

/// Label values with their parts of the change.
type Shares = Vec<(String, f64)>;
/// Whether it is the rule's own label, how many values explain the change, and its name: the smallest is the best.
type Rank = (bool, usize, String);

/// The shares of the label that explains the change best, largest first. Without `before` those of the number itself,
/// as far as it is a sum. Empty where nothing changed, or no label has several values.
pub fn contributions(shape: &Shape, now: &Operands, before: Option<&Operands>) -> Vec<Contribution> {
    let own = shape.own_labels();
    let mut best: Option<(Rank, Shares)> = None;
    for name in candidates(now, before) {
        let shares = shares(shape, &name, now, before);
        let Some(needed) = needed(&shares) else { continue };
        let rank = (own.contains(&name), needed, name);
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, shares));
        }
    }
    let Some(((_, _, name), mut shares)) = best else { return Vec::new() };
    shares.retain(|(_, share)| share.abs() >= SHARE_MIN);
    shares.sort_by(|one, two| two.1.abs().total_cmp(&one.1.abs()).then_with(|| one.0.cmp(&two.0)));
    shares.truncate(CONTRIBUTIONS_MAX);
    let named = |(value, share)| Contribution { label: Matcher::equal(name.clone(), value).to_string(), share };
    shares.into_iter().map(named).collect()
}

/// Labels with several values, by their number and name.
fn candidates(now: &Operands, before: Option<&Operands>) -> Vec<String> {
    let series = || now.iter().chain(before.into_iter().flatten()).flatten();
    let names: BTreeSet<&str> = series().flat_map(|sample| sample.labels.iter()).map(|label| &*label.name).collect();
    let mut counted: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| *name != METRIC_NAME && *name != BUCKET)
        .map(|name| (series().map(|sample| sample.labels.get(name)).collect::<BTreeSet<&str>>().len(), name))
        .filter(|(values, _)| (2..=VALUES_MAX).contains(values))
        .collect();
    counted.sort_unstable();
    counted.into_iter().take(LABELS_MAX).map(|(_, name)| name.to_string()).collect()
}

/// How many of the values make [`EXPLAINED`] of the change; `None` where there is none.
fn needed(shares: &[(String, f64)]) -> Option<usize> {
    let mut along: Vec<f64> = shares.iter().map(|(_, share)| *share).filter(|share| *share > 0.0).collect();
    along.sort_by(|one, two| two.total_cmp(one));
    let mut sum = 0.0;
    let place = along.iter().position(|share| {
        sum += share;
        sum >= EXPLAINED - CHANGE_MIN
    });
    place.map(|place| place + 1)
}

fn shares(shape: &Shape, name: &str, now: &Operands, before: Option<&Operands>) -> Shares {
    match (shape, before) {
        (Shape::Sum(summand), _) => sum(summand, name, first(now), before.map_or(&[], first)),
        (Shape::Ratio(numerator, denominator), Some(before)) => {
            let sides = [now, before].map(|operands| fractions(numerator, denominator, name, operands));
            let [now, before] = sides;
            of_ratio(explain::ratio(now, before, usize::MAX))
        }
        (Shape::Quantile { q, .. }, Some(before)) => quantile(*q, name, first(now), first(before)),
        (_, None) => Vec::new(),
    }
}

fn first(operands: &Operands) -> &[VectorSample] {
    operands.first().map_or(&[], Vec::as_slice)
}

/// What a series adds to the sum.
fn added(summand: &Summand, sample: &VectorSample) -> Option<f64> {
    match (&sample.value, summand.counts_series) {
        (_, true) => Some(1.0),
        (Sample::Float(value), false) => Some(*value).filter(|value| value.is_finite()),
        (Sample::Histogram(_), false) => None,
    }
}

fn sum(summand: &Summand, name: &str, now: &[VectorSample], before: &[VectorSample]) -> Shares {
    let [now, before] = [now, before].map(|samples| {
        let all = samples.iter().filter_map(|sample| Some((sample.labels.get(name), added(summand, sample)?)));
        all.collect::<Vec<(&str, f64)>>()
    });
    let sizes = || now.iter().chain(&before).map(|(_, value)| value.abs());
    // In integers, of which the parts are the whole exactly: by a power of two every float stays what it is.
    let scale = scale(sizes().fold(0.0, f64::max), 80);
    let [whole_now, whole_before] = [&now, &before].map(|side| side.iter().map(|(_, value)| value).sum::<f64>());
    if (whole_now - whole_before).abs() <= CHANGE_MIN * sizes().sum::<f64>() {
        return Vec::new();
    }
    let fixed = |side: Vec<(&str, f64)>| {
        side.into_iter().map(|(label, value)| (label.to_string(), (value * scale).round() as i128)).collect::<Vec<_>>()
    };
    let change = explain::sum(fixed(now), fixed(before), usize::MAX);
    let shares = change.parts.iter().filter_map(|part| Some((part.label.clone()?, change.share(part)?)));
    shares.collect()
}

/// The power of two by which the largest of some numbers comes to about `2^bits`.
fn scale(largest: f64, bits: i32) -> f64 {
    if largest > 0.0 { 2_f64.powi((bits - largest.log2().ceil() as i32).clamp(-1000, 1000)) } else { 1.0 }
}

fn fractions(numerator: &Summand, denominator: &Summand, name: &str, operands: &Operands) -> Vec<(String, Fraction)> {
    let [above, below] = &operands[..] else { return Vec::new() };
    let label = |sample: &VectorSample| sample.labels.get(name).to_string();
    let above = above.iter().filter_map(|sample| {
        Some((label(sample), Fraction { numerator: added(numerator, sample)?, denominator: 0.0 }))
    });
    let below = below.iter().filter_map(|sample| {
        Some((label(sample), Fraction { numerator: 0.0, denominator: added(denominator, sample)? }))
    });
    above.chain(below).collect()
}

fn of_ratio(change: Option<RatioChange<String>>) -> Shares {
    let Some(change) = change else { return Vec::new() };
    let whole = change.current - change.baseline;
    if whole.is_nan() || whole.abs() <= CHANGE_MIN * (change.current.abs() + change.baseline.abs()) {
        return Vec::new();
    }
    let shares = change.parts.into_iter().filter_map(|part| {
        let share = part.change() / whole;
        Some((part.label?, share))
    });
    shares.collect()
}

/// By the share of values above the percentile before.
fn quantile(q: f64, name: &str, now: &[VectorSample], before: &[VectorSample]) -> Shares {
    let (now, before) = (observed(name, now), observed(name, before));
    let largest = now.iter().chain(&before).flat_map(|(_, buckets)| buckets).map(|(_, n)| *n).fold(0.0, f64::max);
    let scale = scale(largest, 40);
    let counted = |side: Vec<(String, Vec<(f64, f64)>)>| -> Vec<(String, Buckets)> {
        let whole = |(bound, n): (f64, f64)| (bound, (n * scale).round() as u64);
        side.into_iter().map(|(label, buckets)| (label, buckets.into_iter().map(whole).collect())).collect()
    };
    let (now, before) = (counted(now), counted(before));
    let percentile = |side: &[(String, Buckets)]| explain::quantile(side.iter().map(|(_, buckets)| buckets), q);
    let (Some(is), Some(was)) = (percentile(&now), percentile(&before)) else { return Vec::new() };
    let Some(change) = explain::tail_mass(now, before, was, usize::MAX) else { return Vec::new() };
    // Values may cross the old percentile one way while the percentile goes the other.
    let is_along = (change.current - change.baseline) * (is - was) >= 0.0;
    if is_along { of_ratio(Some(change)) } else { Vec::new() }
}

/// Buckets as upper bounds and counts, by the value of the label: native histograms, and classic buckets by `le`.
fn observed(name: &str, samples: &[VectorSample]) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut found = Vec::new();
    let mut classic: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        match &sample.value {
            Sample::Histogram(histogram) => {
                let buckets = histogram.buckets().filter(|bucket| bucket.count > 0.0);
                let buckets = buckets.map(|bucket| (bucket.upper, bucket.count)).collect();
                found.push((sample.labels.get(name).to_string(), buckets));
            }
            Sample::Float(value) if value.is_finite() => {
                if let Ok(bound) = sample.labels.get(BUCKET).parse::<f64>() {
                    let series = sample.labels.filter(|name| name != BUCKET && name != METRIC_NAME);
                    classic.entry(series).or_default().push((bound, *value));
                }
            }
            Sample::Float(_) => {}
        }
    }
    for (labels, mut buckets) in classic {
        buckets.sort_by(|one, two| one.0.total_cmp(&two.0));
        let mut below = 0.0;
        for (_, n) in &mut buckets {
            // Cumulative until here. Less than in the bucket before is a scrape that was cut in two.
            let own = (*n - below).max(0.0);
            below = f64::max(below, *n);
            *n = own;
        }
        found.push((labels.get(name).to_string(), buckets));
    }
    found
}
