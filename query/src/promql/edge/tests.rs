use super::*;
use tidewatch_promql::storage::SelectHints;

fn selection(end_ms: i64, step_ms: i64) -> Selection {
    let hints = SelectHints { step_ms, ..SelectHints::default() };
    Selection { matchers: Vec::new(), start_ms: 0, end_ms, hints }
}

fn series(samples: &[(i64, f64)]) -> Series {
    let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
    Series::floats(Labels::new([("__name__", "m")]), times, values)
}

fn samples(series: &Series) -> Vec<(i64, f64)> {
    series.float_times_ms.as_slice().iter().copied().zip(series.floats.as_slice().iter().copied()).collect()
}

#[test]
fn only_the_window_that_is_open_now_is_looked_into() {
    assert_eq!(widened(&selection(12_345, 0), 10_000_000, 12_345).map(|s| s.end_ms), Some(20_000));
    assert_eq!(widened(&selection(20_000, 0), 10_000_000, 20_000), None, "it has ended");
    assert_eq!(widened(&selection(12_345, 0), 10_000_000, 90_000), None, "long ago");
    assert_eq!(widened(&selection(12_345, 1000), 10_000_000, 12_345), None, "a range query");
}

#[test]
fn what_an_open_window_brought_stands_at_the_present() {
    assert_eq!(samples(&clamped(series(&[(1, 1.0), (10, 2.0), (20, 3.0)]), 15)), [(1, 1.0), (10, 2.0), (15, 3.0)]);
    assert_eq!(samples(&clamped(series(&[(10, 2.0), (20, 3.0)]), 10)), [(10, 3.0)]);
    assert_eq!(samples(&clamped(series(&[(10, 2.0)]), 15)), [(10, 2.0)]);
}

#[test]
fn increments_of_an_open_window_are_there_at_once() {
    let counted = series(&[(20, 3.0)]).counting(Increments { from_ms: 20, is_histogram: false });
    assert_eq!(clamped(counted, 15).counting.map(|c| c.from_ms), Some(15));
}

struct Own(Vec<Series>);

impl Storage for Own {
    fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
        Ok(self.0.clone())
    }
}

#[test]
fn own_samples_fill_what_is_not_stored_yet() {
    let own = Own(vec![series(&[(10, 8.0), (20, 9.0)])]);
    let all = with_own(vec![series(&[(1, 1.0), (10, 2.0)])], &own, &selection(20, 0)).unwrap();
    assert_eq!(all.iter().map(samples).collect::<Vec<_>>(), [vec![(1, 1.0), (10, 2.0), (20, 9.0)]]);
}
