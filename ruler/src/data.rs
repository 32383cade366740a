//! What rules read and write, as the program that runs them gives it.

use crate::amend::{Late, NoLate};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use tidewatch_alerting::state::Completeness;
use tidewatch_promql::{Answer, MatchOp, Options, Plan, Query, Storage, VectorSample};
use tokio::runtime::Handle;

/// Samples to read and to write.
pub trait Data: Debug + Send + Sync {
    /// Answers a plan from everything that is counted, and from `own`: samples that rules wrote a moment ago and that
    /// may not be found otherwise yet.
    fn answer(
        &self,
        plan: Plan,
        own: Arc<dyn Storage + Send + Sync>,
    ) -> BoxFuture<'_, Result<(Answer, Completeness), String>>;

    /// The same data with what the plans have in common read already, where that saves work: an evaluation answers them
    /// one after another. `None`: nothing was read.
    fn ahead_of(&self, _plans: Vec<Plan>) -> BoxFuture<'_, Option<Arc<dyn Data>>> {
        Box::pin(std::future::ready(None))
    }

    /// Keeps what rules wrote, durably.
    fn keep(&self, samples: Vec<VectorSample>) -> BoxFuture<'_, Result<(), String>>;

    /// How queries are evaluated.
    fn options(&self) -> Options;

    /// What tells that there is something new.
    fn changes(&self) -> Arc<dyn Changes>;

    /// What tells that the past has changed.
    fn late(&self) -> Arc<dyn Late> {
        Arc::new(NoLate)
    }

    /// Width of the widest windows that metrics (`None`: of any name) are counted in, in milliseconds; 0: of none.
    fn window_ms(&self, metrics: Option<&BTreeSet<String>>) -> i64 {
        let _ = metrics;
        0
    }

    /// The past as it is known now, without what is still open, for those who may block: queries of it are waited for on
    /// `runtime`. `None`: it cannot be read, so nothing of it is ever looked at again.
    fn past(&self, runtime: &Handle) -> Option<Arc<dyn Storage + Send + Sync>> {
        let _ = runtime;
        None
    }
}

/// News of data.
pub trait Changes: Debug + Send + Sync {
    /// A number that differs whenever data of these metrics has changed; `None`: of any metric.
    fn stamp(&self, metrics: Option<&BTreeSet<String>>) -> u64;

    /// Returns when any stamp may have changed since the call began.
    fn changed(&self) -> BoxFuture<'_, ()>;
}

/// Data of which no news comes: groups are evaluated by the clock alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoChanges;

impl Changes for NoChanges {
    fn stamp(&self, _: Option<&BTreeSet<String>>) -> u64 {
        0
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// The metrics that queries read, by name; `None` where one reads metrics of any name.
pub fn metrics_of<'q>(queries: impl IntoIterator<Item = &'q Query>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for query in queries {
        let plan = query.instant(0, &Options::default());
        for selection in plan.selections() {
            let name = selection.matchers.iter().find(|m| m.name == "__name__" && m.op == MatchOp::Equal);
            names.insert(name?.value.clone());
        }
    }
    Some(names)
}
