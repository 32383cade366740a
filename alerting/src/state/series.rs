//! The series that alerts leave behind: `ALERTS` and `ALERTS_FOR_STATE`.

use tidewatch_promql::Labels;

use super::{Instance, Phase, RuleState};

/// Name of the series that says which alerts are pending and firing.
pub const ALERTS: &str = "ALERTS";
/// Name of the series that says since when.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// One sample of each series per active alert: 1, and the seconds since the Unix epoch at which the condition
/// began to hold.
pub fn of(state: &RuleState) -> Vec<(Labels, f64)> {
    state.active().flat_map(|(_, instance)| [alerts(instance), for_state(instance)]).collect()
}

/// `ALERTS{alertstate="firing", …} 1`.
pub fn alerts(instance: &Instance) -> (Labels, f64) {
    (alerts_labels(&instance.labels, instance.life.phase), 1.0)
}

/// The labels of `ALERTS` for an alert's labels.
pub fn alerts_labels(labels: &Labels, phase: Phase) -> Labels {
    labels.with("__name__", ALERTS).with("alertstate", phase.as_str())
}

/// `ALERTS_FOR_STATE{…} 1.6e9`.
pub fn for_state(instance: &Instance) -> (Labels, f64) {
    let since = instance.life.active_at_ms.div_euclid(1000);
    (instance.labels.with("__name__", ALERTS_FOR_STATE), since as f64)
}
