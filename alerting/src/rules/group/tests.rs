use super::*;
use crate::rules::load::LoadOptions;
use crate::rules::load::load;
use crate::state::Phase;
use std::cell::Cell;

/// Has a counter while it has one, and what is recorded; says whether the counter's windows are complete.
#[derive(Default)]
struct Counter {
    value: Cell<Option<f64>>,
    completeness: Cell<Completeness>,
    recorded: Vec<VectorSample>,
}

impl Source for Counter {
    fn ask(&self, query: &Query, time_ms: i64) -> Result<Answered, String> {
        if selected::names(query).contains("counted") {
            let sample = |value| VectorSample { labels: Labels::empty(), time_ms, value: Sample::Float(value) };
            let samples = self.value.get().map(sample).into_iter().collect();
            return Ok(Answered { samples, completeness: self.completeness.get() });
        }
        let samples = self.recorded.iter().filter(|sample| sample.time_ms == time_ms).cloned().collect();
        Ok(Answered { samples, completeness: Completeness::Complete })
    }

    fn write(&mut self, samples: &[VectorSample]) {
        let is_there = |sample: &&VectorSample| {
            !matches!(sample.value, Sample::Float(value) if value.is_nan()) && sample.labels.metric_name() == "errors"
        };
        self.recorded.extend(samples.iter().filter(is_there).cloned());
    }
}

#[test]
fn what_was_recorded_from_incomplete_windows_ends_no_alert() {
    let text = "groups: [{name: g, rules: [{record: errors, expr: counted}, {alert: Errors, expr: errors}]}]";
    let file = load("r.yaml", text, LoadOptions::default()).unwrap();
    let group = &file.groups[0];
    let (mut state, mut source) = (GroupState::new(group), Counter::default());
    let mut phases = |source: &mut Counter, now_ms: i64| -> Vec<Phase> {
        let results = evaluate(group, &mut state, now_ms, source, &Settings::default());
        assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
        state.rules[1].state.instances.values().map(|instance| instance.life.phase).collect()
    };
    source.value.set(Some(5.0));
    assert_eq!(phases(&mut source, 1000), [Phase::Firing]);
    // A restart: nothing is counted again yet.
    source.value.set(None);
    source.completeness.set(Completeness::Unknown);
    assert_eq!(phases(&mut source, 2000), [Phase::Firing]);
    source.completeness.set(Completeness::Partial);
    assert_eq!(phases(&mut source, 3000), [Phase::Firing]);
    source.completeness.set(Completeness::Complete);
    assert_eq!(phases(&mut source, 4000), [Phase::Resolved]);
}
