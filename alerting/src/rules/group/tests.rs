use super::*;
use crate::rules::load::LoadOptions;
use crate::rules::load::load;
use crate::state::Phase;
use std::cell::{Cell, RefCell};

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

/// What was asked when, and what was written when.
#[derive(Default)]
struct Times {
    asked: RefCell<Vec<i64>>,
    written: Vec<i64>,
}

impl Source for Times {
    fn ask(&self, _: &Query, time_ms: i64) -> Result<Answered, String> {
        self.asked.borrow_mut().push(time_ms);
        let sample = VectorSample { labels: Labels::empty(), time_ms, value: Sample::Float(1.0) };
        Ok(Answered { samples: vec![sample], completeness: Completeness::Complete })
    }

    fn write(&mut self, samples: &[VectorSample]) {
        self.written.extend(samples.iter().map(|sample| sample.time_ms));
    }
}

#[test]
fn a_group_looks_at_the_data_of_its_query_offset_and_decides_now() {
    let rules = "rules: [{record: r, expr: counted}, {alert: A, expr: counted, for: 30s}]";
    for (offset, settings_ms, expected_ms) in [(", query_offset: 2m", 5000, 880_000), ("", 5000, 995_000)] {
        let text = format!("groups: [{{name: g{offset}, {rules}}}]");
        let file = load("r.yaml", &text, LoadOptions::default()).unwrap();
        let (mut state, mut source) = (GroupState::new(&file.groups[0]), Times::default());
        let settings = Settings { query_offset_ms: settings_ms, ..Settings::default() };
        for now_ms in [1_000_000, 1_030_000] {
            evaluate(&file.groups[0], &mut state, now_ms, &mut source, &settings);
        }
        assert_eq!(source.asked.borrow()[..2], [expected_ms; 2], "{offset}");
        assert!(
            source.written.iter().all(|ms| [expected_ms, expected_ms + 30_000].contains(ms)),
            "{:?}",
            source.written
        );
        let instance = state.rules[1].state.instances.values().next().unwrap();
        assert_eq!((instance.life.phase, state.last_ms), (Phase::Firing, Some(1_030_000)), "`for` is of the clock");
    }
}
