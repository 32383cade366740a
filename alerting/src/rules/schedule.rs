//! At which instants a group is evaluated: once per interval, at an offset that its name and file decide, so that
//! groups do not all run at once.

use tidewatch_promql::Labels;

use super::Group;
use crate::hash;

/// Whether an evaluation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Evaluate for this instant.
    Now {
        /// Milliseconds since the Unix epoch.
        at_ms: i64,
        /// Instants since the last evaluation that nobody evaluated.
        missed: u64,
    },
    /// The instant of the current interval was evaluated.
    Later {
        /// The next instant, milliseconds since the Unix epoch.
        at_ms: i64,
    },
}

/// The offset of a group's instants from multiples of its interval, in milliseconds.
///
/// As in Prometheus: the hash of the labels `file` and `name`, modulo the interval in nanoseconds.
pub fn offset_ms(group: &Group, interval_ms: i64) -> i64 {
    let labels = Labels::new([("file", group.file.clone()), ("name", group.name.clone())]);
    let interval_ns = u64::try_from(interval_ms).unwrap_or(1).saturating_mul(1_000_000).max(1);
    i64::try_from(hash::of_labels(&labels) % interval_ns / 1_000_000).unwrap_or(0)
}

/// The last instant of the group that is not after `now_ms`.
pub fn instant_at(group: &Group, interval_ms: i64, now_ms: i64) -> i64 {
    let interval_ms = interval_ms.max(1);
    let offset_ms = offset_ms(group, interval_ms);
    (now_ms - offset_ms).div_euclid(interval_ms) * interval_ms + offset_ms
}

/// Was the clock set back since the last evaluation, for `last_ms`? By less than an interval it is waited for.
pub fn is_set_back(interval_ms: i64, last_ms: Option<i64>, now_ms: i64) -> bool {
    last_ms.is_some_and(|last_ms| last_ms > now_ms.saturating_add(interval_ms.max(1)))
}

/// What is due at `now_ms`, when the last evaluation was for `last_ms`. An instant is evaluated at most once, unless the
/// clock was set back; of several that were missed only the last is caught up with, and the others are counted.
pub fn due(group: &Group, interval_ms: i64, last_ms: Option<i64>, now_ms: i64) -> Due {
    let interval_ms = interval_ms.max(1);
    let at_ms = instant_at(group, interval_ms, now_ms);
    match last_ms.filter(|_| !is_set_back(interval_ms, last_ms, now_ms)) {
        Some(last_ms) if last_ms >= at_ms => Due::Later { at_ms: at_ms + interval_ms },
        Some(last_ms) => {
            let passed = (at_ms - last_ms - 1).div_euclid(interval_ms);
            Due::Now { at_ms, missed: u64::try_from(passed).unwrap_or(0) }
        }
        None => Due::Now { at_ms, missed: 0 },
    }
}
