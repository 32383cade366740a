//! What one evaluation asks and writes.

use crate::data::Data;
use crate::recent::Recent;
use std::sync::Arc;
use tidewatch_alerting::rules::group::{Answered, Source};
use tidewatch_promql::{Query, Sample, Value, VectorSample};
use tokio::runtime::Handle;

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
}
