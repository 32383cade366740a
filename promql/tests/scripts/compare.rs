//! Compares answers with what a script expects, with Prometheus' tolerance.

use tidewatch_promql::histogram::Histogram;
use tidewatch_promql::notation::Notated;
use tidewatch_promql::{Labels, MatrixSeries, Sample, VectorSample};

use crate::script::Span;

/// Relative difference that Prometheus' runner lets pass.
const EPSILON: f64 = 0.000_001;

/// Whether two numbers are equal but for rounding; NaN equals NaN.
pub fn almost_equal(left: f64, right: f64) -> bool {
    if left.is_nan() && right.is_nan() || left == right {
        return true;
    }
    let (sum, difference) = (left.abs() + right.abs(), (left - right).abs());
    if left == 0.0 || right == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

fn same_histogram(expected: &Histogram, found: &Histogram, hint_given: bool) -> bool {
    let (expected, found) = (compacted(expected), compacted(found));
    let buckets = |left: &[tidewatch_promql::histogram::Indexed], right: &[_]| {
        left.len() == right.len()
            && left.iter().zip(right).all(|(left, right): (_, &tidewatch_promql::histogram::Indexed)| {
                left.index == right.index && almost_equal(left.count, right.count)
            })
    };
    expected.layout == found.layout
        && (!hint_given || expected.counter_reset == found.counter_reset)
        && almost_equal(expected.count, found.count)
        && almost_equal(expected.sum, found.sum)
        && almost_equal(expected.zero_count, found.zero_count)
        && expected.zero_threshold == found.zero_threshold
        && buckets(&expected.positive, &found.positive)
        && buckets(&expected.negative, &found.negative)
}

fn compacted(histogram: &Histogram) -> Histogram {
    let mut histogram = histogram.clone();
    histogram.compact();
    histogram
}

fn same_sample(expected: &Notated, found: &Sample) -> bool {
    match (expected, found) {
        (Notated::Float(expected), Sample::Float(found)) => almost_equal(*expected, *found),
        (Notated::Histogram { histogram, hint_given }, Sample::Histogram(found)) => {
            same_histogram(histogram, found, *hint_given)
        }
        _ => false,
    }
}

/// Compares the answer of an instant query.
pub fn vector(found: &[VectorSample], expected: &[(Labels, Vec<Notated>)], ordered: bool) -> Result<(), String> {
    let expected: Vec<(&Labels, &Notated)> = expected
        .iter()
        .filter_map(|(labels, values)| values.first().map(|value| (labels, value)))
        .filter(|(_, value)| !matches!(value, Notated::Nothing))
        .collect();
    let list = || found.iter().map(|one| format!("{} {:?}", one.labels, one.value)).collect::<Vec<_>>().join("; ");
    if found.len() != expected.len() {
        return Err(format!("expected {} samples, found {}: {}", expected.len(), found.len(), list()));
    }
    for (at, (labels, value)) in expected.iter().enumerate() {
        let place = found.iter().position(|one| one.labels == **labels);
        let Some(place) = place.filter(|place| !ordered || *place == at) else {
            return Err(format!("expected {labels} at place {at}, found {}", list()));
        };
        if !same_sample(value, &found[place].value) {
            return Err(format!("{labels}: expected {value:?}, found {:?}", found[place].value));
        }
    }
    Ok(())
}

/// The samples of a matrix at one time.
pub fn at_time(matrix: &[MatrixSeries], time: i64) -> Vec<VectorSample> {
    let mut samples = Vec::new();
    for series in matrix {
        let float = series.floats.iter().find(|point| point.0 == time).map(|point| Sample::Float(point.1));
        let histogram = series.histograms.iter().find(|point| point.0 == time);
        let value = float.or_else(|| histogram.map(|point| Sample::Histogram(point.1.clone())));
        samples.extend(value.map(|value| VectorSample { labels: series.labels.clone(), time_ms: time, value }));
    }
    samples
}

/// Compares the answer of a range query, or a range vector.
pub fn matrix(found: &[MatrixSeries], expected: &[(Labels, Vec<Notated>)], span: Span) -> Result<(), String> {
    let present = |values: &[Notated]| values.iter().any(|value| !matches!(value, Notated::Nothing));
    let expected: Vec<&(Labels, Vec<Notated>)> = expected.iter().filter(|(_, values)| present(values)).collect();
    if found.len() != expected.len() {
        let list: Vec<String> = found.iter().map(|series| series.labels.to_string()).collect();
        return Err(format!("expected {} series, found {}: {}", expected.len(), found.len(), list.join("; ")));
    }
    for (labels, values) in expected {
        let series = found.iter().find(|series| series.labels == *labels);
        let series = series.ok_or_else(|| format!("expected {labels}, found {:?}", found[0].labels))?;
        let steps = (span.end - span.start) / span.step + 1;
        for at in 0..steps {
            let time = span.start + at * span.step;
            let sample = at_time(std::slice::from_ref(series), time).into_iter().next().map(|one| one.value);
            let value = values.get(at as usize).unwrap_or(&Notated::Nothing);
            let same = match (&sample, value) {
                (None, Notated::Nothing) => true,
                (Some(sample), value) => same_sample(value, sample),
                (None, _) => false,
            };
            if !same {
                return Err(format!("{labels} at {time} ms: expected {value:?}, found {sample:?}"));
            }
        }
        let wanted = values.iter().filter(|value| !matches!(value, Notated::Nothing)).count();
        let count = series.floats.len() + series.histograms.len();
        if count != wanted {
            return Err(format!("{labels}: expected {wanted} samples, found {count}"));
        }
    }
    Ok(())
}
