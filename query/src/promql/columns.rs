//! Rows of a query become columns of series.

use super::histogram::native;
use super::metrics::Metric;
use super::parallel;
use crate::grouping::keys::Groups;
use crate::grouping::runs::KeyValues;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::sync::Arc;
use tidewatch_engine::rollup::{MeasureKind, ValueType};
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch};
use tidewatch_promql::{Column, Histogram, Increments, Labels, Selection, Series};

/// Values of one column for each series that fits a selection.
#[derive(Debug, Default)]
pub struct Rows {
    series: Vec<Labels>,
    places: HashMap<Labels, usize>,
    /// In milliseconds, not sorted; several of one time are partials that are yet to be merged. In the units
    /// of the table, which are whole numbers for what is added up: sums of them are exact.
    floats: Vec<Vec<(i64, f64)>>,
    units: Units,
    histograms: Vec<Vec<(i64, Arc<Histogram>)>>,
    /// What was there before the first row; `None` for a series that begins with it.
    before: Vec<Option<Before>>,
}

#[derive(Debug, Clone, Default)]
struct Before {
    float: f64,
    histogram: Option<Arc<Histogram>>,
}

/// What stored values are divided by, one after the other, to be those of the metric.
#[derive(Debug, Clone, Copy)]
struct Units {
    /// Power of ten of decimal places.
    decimals: f64,
    /// That of the metric.
    scale: f64,
}

impl Default for Units {
    fn default() -> Self {
        Self { decimals: 1.0, scale: 1.0 }
    }
}

impl Units {
    fn of(column: &DataType, metric: &Metric) -> Self {
        let decimals = match (metric.state, column) {
            (MeasureKind::Sum { .. }, DataType::Decimal128(_, places)) => 10f64.powi(i32::from(*places)),
            _ => 1.0,
        };
        let scale = match metric.state {
            MeasureKind::Min { value } | MeasureKind::Max { value } | MeasureKind::Last { value }
                if value == ValueType::Timestamp =>
            {
                1.0
            }
            _ => metric.scale,
        };
        Self { decimals, scale }
    }

    fn apply(self, value: f64) -> f64 {
        value / self.decimals / self.scale
    }
}

/// Reads batches of time, labels and value, in this order; without a value, only the series. What they have is to be
/// seen `later_us` after their time.
pub fn read_rows(
    batches: &[RecordBatch],
    later_us: i64,
    metric: &Metric,
    selection: &Selection,
) -> Result<Rows, ArrowError> {
    let count = batches.iter().map(RecordBatch::num_rows).sum();
    let per_part = batches.len().div_ceil(parallel::threads(count)).max(1);
    let parts =
        parallel::map(batches.chunks(per_part).collect(), count, |part| read_part(part, later_us, metric, selection));
    let mut parts = parts.into_iter();
    let first = parts.next().transpose()?.unwrap_or_default();
    parts.try_fold(first, |rows, part| Ok(rows.with(part?)))
}

fn read_part(
    batches: &[RecordBatch],
    later_us: i64,
    metric: &Metric,
    selection: &Selection,
) -> Result<Rows, ArrowError> {
    let mut rows = Rows::default();
    let Some(first) = batches.first() else { return Ok(rows) };
    let count = metric.labels.len();
    let mut groups = Groups::new((0..count).map(|_| &DataType::Utf8));
    let (mut of_rows, mut places) = (Vec::new(), Vec::new());
    rows.units = first.columns().get(count + 1).map(|v| Units::of(v.data_type(), metric)).unwrap_or_default();
    for batch in batches {
        let times = cast(batch.column(0), &tidewatch_engine::rollup::timestamp_type())?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let values = batch.columns().get(count + 1).map_or(Ok(Values::Nothing), |column| Values::of(column, metric))?;
        let texts: Vec<ArrayRef> =
            (1..=count).map(|at| as_texts(batch.column(at))).collect::<Result<_, ArrowError>>()?;
        let keys: Vec<KeyValues> = texts.iter().cloned().map(KeyValues::from).collect();
        groups.of_rows(&keys, batch.num_rows(), &mut of_rows).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
        for (row, group) in of_rows.iter().enumerate() {
            // Groups are numbered in the order of their first rows.
            if *group == places.len() {
                places.push(rows.place(metric, &texts, row, selection)?);
            }
            let Some(place) = places[*group] else { continue };
            let time_ms = times.value(row).saturating_add(later_us).div_euclid(1000);
            match &values {
                Values::Floats(values) if values.is_valid(row) => {
                    rows.floats[place].push((time_ms, values.value(row)));
                }
                Values::Hdr(sketches) if sketches.is_valid(row) => {
                    let sketch = HdrSketch::from_v2(sketches.as_binary::<i32>().value(row))
                        .map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
                    rows.histograms[place].push((time_ms, Arc::new(native(&sketch, metric.scale))));
                }
                _ => {}
            }
        }
    }
    Ok(rows)
}

/// Labels as texts, or as dictionaries of texts.
fn as_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Dictionary(key, text) if **key == DataType::Int32 && **text == DataType::Utf8 => {
            Ok(Arc::clone(column))
        }
        _ => cast(column, &DataType::Utf8),
    }
}

enum Values {
    Floats(Float64Array),
    Hdr(ArrayRef),
    /// The series is there, and nothing more is said of it.
    Nothing,
}

impl Values {
    fn of(column: &ArrayRef, metric: &Metric) -> Result<Self, ArrowError> {
        if *column.data_type() == DataType::Null {
            return Ok(Self::Nothing);
        }
        let floats = match metric.state {
            MeasureKind::Hdr { .. } => return Ok(Self::Hdr(cast(column, &DataType::Binary)?)),
            MeasureKind::Distinct => {
                let column = cast(column, &DataType::Binary)?;
                let estimate = |bytes: &[u8]| DistinctSketch::from_bytes(bytes).ok().map(|s| s.estimate() as f64);
                column.as_binary::<i32>().iter().map(|bytes| bytes.and_then(estimate)).collect()
            }
            MeasureKind::Min { value } | MeasureKind::Max { value } | MeasureKind::Last { value } => match value {
                ValueType::Timestamp => {
                    let micros = cast(&cast(column, &tidewatch_engine::rollup::timestamp_type())?, &DataType::Int64)?;
                    cast(&micros, &DataType::Float64)?.as_primitive::<Float64Type>().unary(|us| us / 1e6)
                }
                ValueType::Boolean => {
                    cast(&cast(column, &DataType::Int64)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone()
                }
                _ => cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            },
            state => match column.data_type() {
                DataType::Decimal128(..) if matches!(state, MeasureKind::Sum { .. }) => {
                    column.as_primitive::<Decimal128Type>().unary(|units| units as f64)
                }
                _ => cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
            },
        };
        Ok(Self::Floats(floats))
    }
}

/// Puts samples in order of time, and those of one time together.
fn merge<V>(samples: &mut Vec<(i64, V)>, mut add: impl FnMut(&mut V, &V)) {
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    samples.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            add(&mut kept.1, &next.1);
        }
        is_same
    });
}

fn add_histogram(sum: &mut Arc<Histogram>, next: &Arc<Histogram>) {
    // One layout for all states: it cannot fail.
    let _ = Arc::make_mut(sum).add(next);
}

impl Rows {
    /// The place of a row's series; `None` when it does not fit the matchers.
    fn place(
        &mut self,
        metric: &Metric,
        texts: &[ArrayRef],
        row: usize,
        selection: &Selection,
    ) -> Result<Option<usize>, ArrowError> {
        let mut pairs = vec![("__name__".to_owned(), metric.name.clone())];
        for ((label, _), text) in metric.labels.iter().zip(texts) {
            let text = cast(&text.slice(row, 1), &DataType::Utf8)?;
            let text = text.as_string::<i32>();
            if text.is_valid(0) {
                pairs.push((label.clone(), text.value(0).to_owned()));
            }
        }
        let labels = Labels::new(pairs);
        let fits = selection.matchers.iter().all(|matcher| matcher.matches_labels(&labels));
        Ok(fits.then(|| self.of(labels)))
    }

    /// With rows of other batches.
    fn with(mut self, other: Rows) -> Self {
        for ((labels, floats), histograms) in other.series.into_iter().zip(other.floats).zip(other.histograms) {
            let at = self.of(labels);
            self.floats[at].extend(floats);
            self.histograms[at].extend(histograms);
        }
        self
    }

    fn count(&self) -> usize {
        self.floats.iter().map(Vec::len).sum::<usize>() + self.histograms.iter().map(Vec::len).sum::<usize>()
    }

    fn of(&mut self, labels: Labels) -> usize {
        // Null and an empty text are one series to Prometheus.
        if let Some(place) = self.places.get(&labels) {
            return *place;
        }
        self.places.insert(labels.clone(), self.series.len());
        self.series.push(labels);
        self.floats.push(Vec::new());
        self.histograms.push(Vec::new());
        self.before.push(None);
        self.series.len() - 1
    }

    /// Adds what was there before.
    pub fn after(mut self, before: Rows) -> Self {
        if self.series.is_empty() {
            self.units = before.units;
        }
        for (place, labels) in before.series.into_iter().enumerate() {
            let at = self.of(labels);
            let known = self.before[at].get_or_insert_default();
            known.float += before.floats[place].iter().map(|(_, value)| value).sum::<f64>();
            known.histogram = before.histograms[place].first().map(|(_, histogram)| Arc::clone(histogram));
        }
        self
    }

    /// Whose rows there are.
    pub fn into_labels(self) -> Vec<Labels> {
        self.series
    }

    /// The samples of every series in order of time; several of one time stay.
    pub fn into_samples(self) -> impl Iterator<Item = (Labels, Vec<(i64, f64)>)> {
        let units = self.units;
        self.series.into_iter().zip(self.floats).map(move |(labels, mut samples)| {
            samples.sort_by_key(|(time_ms, _)| *time_ms);
            samples.iter_mut().for_each(|(_, value)| *value = units.apply(*value));
            (labels, samples)
        })
    }

    /// Samples as they are; of partials of one window what the measure makes of them.
    pub fn into_gauges(self, metric: &Metric, selection: &Selection) -> Vec<Series> {
        let (units, count) = (self.units, self.count());
        let series = parallel::map(self.into_parts(), count, |Part { labels, floats: mut samples, .. }| {
            if samples.is_empty() {
                return None;
            }
            merge(&mut samples, |kept, next| match metric.state {
                MeasureKind::Min { .. } => *kept = kept.min(*next),
                MeasureKind::Max { .. } => *kept = kept.max(*next),
                _ => {}
            });
            samples.retain(|(time_ms, _)| *time_ms <= selection.end_ms);
            let (times, values): (Vec<i64>, Vec<f64>) =
                samples.into_iter().map(|(time_ms, value)| (time_ms, units.apply(value))).unzip();
            Some(Series::floats(labels, times, values))
        });
        series.into_iter().flatten().collect()
    }

    /// What each window brought, to be added up.
    pub fn into_increments(self, metric: &Metric) -> Vec<Series> {
        let (is_histogram, units, count) = (matches!(metric.state, MeasureKind::Hdr { .. }), self.units, self.count());
        let series = parallel::map(self.into_parts(), count, |part| {
            let Part { labels, mut floats, mut histograms, before } = part;
            merge(&mut floats, |sum, next| *sum += next);
            merge(&mut histograms, add_histogram);
            let first_ms = floats.first().map(|f| f.0).into_iter().chain(histograms.first().map(|h| h.0)).min();
            let from_ms = if before.is_some() { i64::MIN } else { first_ms? };
            let (times, values): (Vec<i64>, Vec<f64>) =
                floats.into_iter().map(|(time_ms, value)| (time_ms, units.apply(value))).unzip();
            let (histogram_times, histograms): (Vec<i64>, Vec<Arc<Histogram>>) = histograms.into_iter().unzip();
            let series = if is_histogram {
                Series::histograms(labels, histogram_times, histograms)
            } else {
                Series::floats(labels, times, values)
            };
            Some(series.counting(Increments { from_ms, is_histogram }))
        });
        series.into_iter().flatten().collect()
    }

    /// Running totals: at the moments of an instant selector, or at the end of every window for a range.
    pub fn into_totals(self, metric: &Metric, selection: &Selection, width_us: i64) -> Vec<Series> {
        let moments = moments(selection, width_us);
        // Most series have a total at all of them.
        let all: Column<i64> = moments.clone().into();
        let (is_histogram, units, count) = (matches!(metric.state, MeasureKind::Hdr { .. }), self.units, self.count());
        let times = |from: usize| if from == 0 { all.clone() } else { moments[from..].to_vec().into() };
        parallel::map(self.into_parts(), count, |part| {
            let Part { labels, mut floats, mut histograms, before } = part;
            let is_known = before.is_some();
            let before = before.unwrap_or_default();
            if !is_histogram {
                floats.sort_by_key(|(time_ms, _)| *time_ms);
                let (from, mut totals) = running(&moments, &floats, is_known, before.float, |total, next| total + next);
                totals.iter_mut().for_each(|total| *total = units.apply(*total));
                return Series::floats(labels, times(from), totals);
            }
            merge(&mut histograms, add_histogram);
            let (from, totals) = running(&moments, &histograms, is_known, before.histogram, |total, next| {
                Some(match total {
                    None => Arc::clone(next),
                    Some(total) => {
                        let mut sum = Histogram::clone(total);
                        // One layout for all states: it cannot fail.
                        let _ = sum.add(next);
                        Arc::new(sum)
                    }
                })
            });
            let known = moments[from..].iter().zip(totals).filter_map(|(time, total)| Some((*time, total?)));
            let (times, totals): (Vec<i64>, Vec<Arc<Histogram>>) = known.unzip();
            Series::histograms(labels, times, totals)
        })
    }

    fn into_parts(self) -> Vec<Part> {
        let all = self.series.into_iter().zip(self.floats).zip(self.histograms).zip(self.before);
        all.map(|(((labels, floats), histograms), before)| Part { labels, floats, histograms, before }).collect()
    }
}

/// What there is of one series.
struct Part {
    labels: Labels,
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, Arc<Histogram>)>,
    before: Option<Before>,
}

/// Where totals are wanted.
fn moments(selection: &Selection, width_us: i64) -> Vec<i64> {
    let step_ms = if selection.hints.range_ms > 0 { (width_us / 1000).max(1) } else { selection.hints.step_ms.max(1) };
    if selection.hints.range_ms == 0 && selection.hints.step_ms == 0 {
        return vec![selection.end_ms];
    }
    let last_ms = if selection.hints.range_ms > 0 {
        selection.end_ms - selection.end_ms.rem_euclid(step_ms)
    } else {
        selection.end_ms
    };
    let count = (last_ms - selection.start_ms).max(0) / step_ms + 1;
    (0..count).rev().map(|at| last_ms - at * step_ms).collect()
}

/// The first moment that has a total, and the total at each from there on.
fn running<V, T: Clone>(
    moments: &[i64],
    increments: &[(i64, V)],
    mut is_known: bool,
    mut total: T,
    add: impl Fn(&T, &V) -> T,
) -> (usize, Vec<T>) {
    let (mut from, mut totals, mut next) = (moments.len(), Vec::with_capacity(moments.len()), 0);
    for (at, &moment) in moments.iter().enumerate() {
        while let Some((_, increment)) = increments.get(next).filter(|(time_ms, _)| *time_ms <= moment) {
            total = add(&total, increment);
            is_known = true;
            next += 1;
        }
        if is_known {
            from = from.min(at);
            totals.push(total.clone());
        }
    }
    (from, totals)
}
