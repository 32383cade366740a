//! The store: everything that tables need of it is tried with a small object, and the time of that object tells how the
//! store's clock stands to ours.

use super::{Finding, Patient};
use crate::app::open_store;
use std::sync::Arc;

/// More than this between two clocks is worth a word.
const CLOCK_US_MAX: i64 = 2_000_000;
/// Stores keep times to the second.
const GRAIN_US: i64 = 1_000_000;

pub async fn look(patient: Arc<Patient>) -> Vec<Finding> {
    let location = &patient.settings.storage.location;
    let skipped = || Finding::skipped("clock", "the store tells the time, and it does not work");
    let store = match open_store(&patient.settings) {
        Ok(store) => store,
        Err(error) => {
            let hint = "set storage.location to a folder that can be made, or a URL such as s3://bucket/prefix";
            return vec![Finding::failed("store", format!("{error:#}"), hint), skipped()];
        }
    };
    let before_us = patient.clock.now_us();
    let id = format!("{}-{before_us}", std::process::id());
    match store.probe(&id).await {
        Ok(probed) => {
            let found = format!("{location}: writes, reads, lists, deletes, and refuses to overwrite");
            let clock = clocks(probed.written_us, before_us, patient.clock.now_us());
            vec![Finding::ok("store", found), clock]
        }
        Err(error) => {
            let hint = match store.folder() {
                Some(_) => "the user of this process must be able to write there",
                None => {
                    "look at credentials, endpoint and region in [storage.options], and at the rights to this prefix"
                }
            };
            vec![Finding::failed("store", format!("{location}: {error}"), hint), skipped()]
        }
    }
}

/// What a time that the store wrote down between two moments of ours says of its clock.
fn clocks(written_us: i64, before_us: i64, after_us: i64) -> Finding {
    let ahead_us = (written_us - after_us).max(0);
    let behind_us = (before_us - GRAIN_US - written_us).max(0);
    let (off_us, which) = if ahead_us > 0 { (ahead_us, "ahead of") } else { (behind_us, "behind") };
    if off_us <= CLOCK_US_MAX {
        return Finding::ok("clock", "the store's clock and ours agree within 2 s");
    }
    let found = format!("the store's clock is {:.1} s {which} ours", off_us as f64 / 1e6);
    let hint = "one of them is wrong: is time kept by NTP here? Windows are cut by the time of events, but lateness, \
                retention and credentials go by this clock";
    Finding::warning("clock", found, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn clocks_that_differ_by_more_than_two_seconds_are_told() {
        let second = 1_000_000;
        let status = |written_us| clocks(written_us, 100 * second, 103 * second).status;
        for agrees in [97 * second, 100 * second, 103 * second, 105 * second] {
            assert_eq!(status(agrees), Status::Ok, "{agrees}");
        }
        assert_eq!(clocks(113 * second, 100 * second, 103 * second).found, "the store's clock is 10.0 s ahead of ours");
        assert_eq!(clocks(9 * second, 100 * second, 103 * second).found, "the store's clock is 90.0 s behind ours");
        assert_eq!(status(96 * second), Status::Warning);
    }
}
