use super::classic::{self, Classic};
use super::{Histogram, exponential_bound, index_of};

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * right.abs().max(1.0)
}

#[test]
fn the_bucket_of_a_value_holds_it() {
    for schema in -4..=8 {
        for value in [1e-300, 0.001, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 1e9, 1e300] {
            let index = index_of(value, schema);
            assert!(exponential_bound(index - 1, schema) < value && value <= exponential_bound(index, schema));
        }
    }
}

#[test]
fn quantiles_are_interpolated_on_the_scale_of_the_buckets() {
    let exponential = Histogram::exponential(0, [(3.0, 10.0)], 30.0);
    assert!(close(exponential.quantile(0.5).value, 8_f64.sqrt()));
    let custom = Histogram::custom([1.0, 3.0], &[0.0, 10.0, 0.0], 20.0);
    assert!(close(custom.quantile(0.5).value, 2.0));
    assert!(close(custom.fraction(1.0, 2.0).value, 0.5));
    assert_eq!(custom.quantile(-1.0).value, f64::NEG_INFINITY);
}

#[test]
fn a_sum_has_the_coarser_resolution_and_the_wider_zero_bucket() {
    let mut fine = Histogram::exponential(3, [(0.01, 1.0), (5.0, 2.0), (6.0, 3.0)], 1.0);
    let mut coarse = Histogram::exponential(0, [(5.0, 4.0)], 1.0);
    coarse.zero_threshold = 0.1;
    coarse.zero_count = 7.0;
    coarse.count += 7.0;
    assert_eq!(fine.add(&coarse), Ok(Default::default()));
    assert_eq!((fine.schema(), fine.zero_threshold, fine.zero_count, fine.count), (0, 0.1, 8.0, 17.0));
    assert_eq!(fine.to_string(), "{count:17, sum:2, [-0.1,0.1]:8, (4,8]:9}");
}

#[test]
fn custom_bounds_that_differ_are_reduced_to_those_in_common() {
    let mut left = Histogram::custom([1.0, 2.0, 3.0], &[1.0, 1.0, 1.0, 1.0], 0.0);
    let right = Histogram::custom([2.0, 4.0], &[5.0, 5.0, 5.0], 0.0);
    assert!(left.add(&right).is_ok_and(|combined| combined.bounds_reconciled));
    assert_eq!(left.to_string(), "{count:19, sum:0, [-Inf,2]:7, (2,+Inf]:12}");
    assert!(left.add(&Histogram::exponential(0, [], 0.0)).is_err());
}

#[test]
fn a_falling_bucket_is_a_reset_and_a_finer_schema_too() {
    let before = Histogram::exponential(1, [(1.0, 5.0), (9.0, 1.0)], 1.0);
    let after = Histogram::exponential(1, [(1.0, 6.0), (9.0, 1.0)], 1.0);
    let moved = Histogram::exponential(1, [(1.0, 6.0), (17.0, 1.0)], 1.0);
    let mut finer = after.clone();
    finer.layout = super::Layout::Exponential { schema: 2 };
    assert!(!after.is_reset_after(&before));
    assert!(before.is_reset_after(&after) && moved.is_reset_after(&before) && finer.is_reset_after(&before));
}

#[test]
fn classic_buckets_are_mended_and_say_so() {
    let bucket = |upper, count| Classic { upper, count };
    let mut buckets = vec![bucket(f64::INFINITY, 10.0), bucket(1.0, 4.0), bucket(2.0, 3.0)];
    let quantile = classic::quantile(0.2, &mut buckets);
    assert!(close(quantile.value, 0.5));
    assert!(quantile.forced.is_some_and(|forced| forced.bucket_min == 2.0 && forced.difference_max == 1.0));
    let mut buckets = vec![bucket(1.0, 5.0), bucket(f64::INFINITY, 10.0)];
    assert!(close(classic::fraction(0.0, 0.5, &mut buckets), 0.25));
}
