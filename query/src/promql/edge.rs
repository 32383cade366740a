//! What rules see at the present: the open window as it is, and what they wrote a moment ago.

use std::collections::BTreeMap;
use tidewatch_promql::{Column, Increments, Labels, Selection, Series, Storage, StorageError};

/// The selection with the window that is open at its end, where that is the present: `now_ms` or within a window of
/// it. What comes back is to be [`clamped`].
pub fn widened(selection: &Selection, width_us: i64, now_ms: i64) -> Option<Selection> {
    let width_ms = width_us.div_euclid(1000).max(1);
    let is_present = selection.end_ms > now_ms.saturating_sub(width_ms);
    if selection.hints.step_ms > 0 || !is_present {
        return None;
    }
    let end_ms = selection.end_ms.saturating_add(width_ms - 1).div_euclid(width_ms).saturating_mul(width_ms);
    (end_ms > selection.end_ms).then(|| Selection { end_ms, ..selection.clone() })
}

/// The series with samples after `end_ms` moved there; they take the place of one that is there.
pub fn clamped(series: Series, end_ms: i64) -> Series {
    let (float_times_ms, floats) = clamp(&series.float_times_ms, &series.floats, end_ms);
    let (histogram_times_ms, histograms) = clamp(&series.histogram_times_ms, &series.histograms, end_ms);
    // What only the open window has is there from now on.
    let counting = series.counting.map(|c| Increments { from_ms: c.from_ms.min(end_ms), ..c });
    Series { float_times_ms, floats, histogram_times_ms, histograms, counting, ..series }
}

fn clamp<T: Clone + Send + Sync + 'static>(
    times: &Column<i64>,
    values: &Column<T>,
    end_ms: i64,
) -> (Column<i64>, Column<T>) {
    let (times, all) = (times.as_slice(), values.as_slice());
    let within = times.partition_point(|time_ms| *time_ms <= end_ms);
    if within == times.len() {
        return (times.to_vec().into(), values.clone());
    }
    let before = times.partition_point(|time_ms| *time_ms < end_ms);
    let mut kept_times = times[..before].to_vec();
    let mut kept = all[..before].to_vec();
    kept_times.push(end_ms);
    kept.extend(all.last().cloned());
    (kept_times.into(), kept.into())
}

/// Stored series and those of `own`; of samples of one time the stored one counts.
///
/// # Errors
/// Those of `own`.
pub fn with_own(stored: Vec<Series>, own: &dyn Storage, selection: &Selection) -> Result<Vec<Series>, StorageError> {
    let own = own.select(selection)?;
    if own.is_empty() {
        return Ok(stored);
    }
    let mut all: BTreeMap<Labels, Series> = stored.into_iter().map(|series| (series.labels.clone(), series)).collect();
    for series in own {
        match all.get_mut(&series.labels) {
            None => _ = all.insert(series.labels.clone(), series),
            Some(stored) => {
                let samples = |series: &Series| -> BTreeMap<i64, f64> {
                    series
                        .float_times_ms
                        .as_slice()
                        .iter()
                        .copied()
                        .zip(series.floats.as_slice().iter().copied())
                        .collect()
                };
                let mut merged = samples(&series);
                merged.extend(samples(stored));
                let (times, values): (Vec<i64>, Vec<f64>) = merged.into_iter().unzip();
                stored.float_times_ms = times.into();
                stored.floats = values.into();
            }
        }
    }
    Ok(all.into_values().collect())
}

#[cfg(test)]
mod tests;
