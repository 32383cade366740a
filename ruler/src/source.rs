//! What one evaluation asks and writes.

use crate::data::Data;
use crate::recent::Recent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_alerting::rules::group::{Answered, Source};
use tidewatch_alerting::state::Completeness;
use tidewatch_notify::Clock;
use tidewatch_promql::{Query, Sample, Value, VectorSample};
use tokio::runtime::Handle;

/// Measures one rule after the other.
#[derive(Debug)]
pub struct StopWatch {
    clock: Arc<dyn Clock>,
    since: Duration,
    durations_s: Vec<f64>,
}

impl StopWatch {
    /// Begins with the first rule.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { since: clock.monotonic(), clock, durations_s: Vec::new() }
    }

    fn lap(&mut self) {
        let now = self.clock.monotonic();
        let took = now.saturating_sub(std::mem::replace(&mut self.since, now));
        self.durations_s.push(took.as_secs_f64());
    }

    /// Seconds of each rule, in order.
    pub fn durations(&self) -> &[f64] {
        &self.durations_s
    }
}

/// Answers rules from [`Data`], on a thread that may block.
#[derive(Debug)]
pub struct DataSource {
    pub data: Arc<dyn Data>,
    pub recent: Arc<Recent>,
    pub runtime: Handle,
    /// What was written since it was made.
    pub written: Vec<VectorSample>,
    /// The time of the evaluation, milliseconds since the epoch.
    pub now_ms: i64,
    /// What other groups have recorded from windows that are not complete, by name.
    pub incomplete: BTreeMap<Arc<str>, Completeness>,
    /// How long each rule took.
    pub clock: StopWatch,
}

impl Source for DataSource {
    fn ask(&self, query: &Query, time_ms: i64) -> Result<Answered, String> {
        let plan = query.instant(time_ms, &self.data.options());
        let own = Arc::clone(&self.recent) as _;
        let (answer, completeness) = self.runtime.block_on(self.data.answer(plan, own))?;
        let samples = match answer.value {
            Value::Vector(samples) => samples,
            Value::Scalar { time_ms, value } => {
                vec![VectorSample { labels: tidewatch_promql::Labels::empty(), time_ms, value: Sample::Float(value) }]
            }
            other => return Err(format!("expected an instant vector or a scalar, found a {}", other.kind())),
        };
        Ok(Answered { samples, completeness })
    }

    fn write(&mut self, samples: &[VectorSample]) {
        self.recent.write(samples, self.now_ms);
        self.written.extend_from_slice(samples);
    }

    fn incomplete(&self) -> BTreeMap<Arc<str>, Completeness> {
        self.incomplete.clone()
    }

    fn rule_done(&mut self) {
        self.clock.lap();
    }
}
