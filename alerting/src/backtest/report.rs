//! What a rule would have done, and how noisy it would have been.

use std::collections::HashMap;

use serde::Serialize;
use tidewatch_promql::Labels;

/// One alert from its beginning to its end. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Labels of the alert.
    #[serde(with = "crate::state::label_map")]
    pub labels: Labels,
    /// When the condition began to hold.
    pub active_at_ms: i64,
    /// When it began to fire; `None`: it ended before.
    pub fired_at_ms: Option<i64>,
    /// When it ended, exclusive; `None`: it goes on after the last instant.
    pub ended_at_ms: Option<i64>,
}

/// A message as it would have been sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// When, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Labels of the alert, with those that the server adds.
    #[serde(with = "crate::state::label_map")]
    pub labels: Labels,
    /// Annotations of the alert.
    pub annotations: Vec<(String, String)>,
    /// The value that made it fire.
    #[serde(with = "crate::state::float_text")]
    pub value: f64,
}

/// Measures of noise.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Noise {
    /// Alerts that fired.
    pub fired: usize,
    /// Alerts that were pending and never fired.
    pub pending_only: usize,
    /// Alerts that fired again soon after they had ended.
    pub flaps: usize,
    /// The shortest time that an alert fired, in milliseconds; `None` when none has both begun and ended.
    pub shortest_ms: Option<i64>,
    /// The longest time that an alert fired, in milliseconds, those that go on counted to the end.
    pub longest_ms: Option<i64>,
    /// Share of the time, 0 to 1, in which at least one alert fired.
    pub firing_share: f64,
}

/// What a rule would have done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleReport {
    /// The rule's group.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// Between two instants, in milliseconds.
    pub step_ms: i64,
    /// Number of instants.
    pub instants: usize,
    /// Measures of noise.
    pub noise: Noise,
    /// Alerts in the order in which they began.
    pub intervals: Vec<Interval>,
    /// Intervals beyond the limit, which are not in the list.
    pub intervals_dropped: u64,
    /// The first messages.
    pub messages: Vec<Message>,
    /// The first failure.
    pub error: Option<String>,
    /// Number of failures; where a block failed, its alerts stay as they were.
    pub errors: u64,
}

/// Measures noise alert by alert, those included whose intervals are not kept.
#[derive(Debug, Default)]
pub struct NoiseMeter {
    noise: Noise,
    /// When each alert ended last, by its place.
    ended: HashMap<usize, i64>,
}

impl NoiseMeter {
    /// Takes one time that the alert at `place` was active; those of one alert come in order. `None` for `ended_at_ms`:
    /// it goes on at `end_ms`. One that fires again within `flap_ms` has flapped.
    pub fn alert(
        &mut self,
        place: usize,
        fired_at_ms: Option<i64>,
        ended_at_ms: Option<i64>,
        end_ms: i64,
        flap_ms: i64,
    ) {
        let noise = &mut self.noise;
        let Some(fired_at_ms) = fired_at_ms else {
            noise.pending_only += 1;
            return;
        };
        noise.fired += 1;
        let length_ms = ended_at_ms.unwrap_or(end_ms) - fired_at_ms;
        noise.longest_ms = noise.longest_ms.max(Some(length_ms));
        if ended_at_ms.is_some() {
            noise.shortest_ms = Some(noise.shortest_ms.map_or(length_ms, |shortest| shortest.min(length_ms)));
        }
        let before = self.ended.insert(place, ended_at_ms.unwrap_or(end_ms));
        noise.flaps += usize::from(before.is_some_and(|ended_ms| fired_at_ms - ended_ms <= flap_ms));
    }

    /// What was measured over `range_ms`, in `firing_ms` of which at least one alert fired.
    pub fn noise(self, firing_ms: i64, range_ms: i64) -> Noise {
        Noise { firing_share: firing_ms as f64 / range_ms.max(1) as f64, ..self.noise }
    }
}
