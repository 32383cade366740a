//! Several queries over the views of one snapshot: what the views are is planned once for all of them.

use super::{Answer, SqlEngine, SqlError, register_tables};
use crate::definitions::Definitions;
use crate::passes;
use crate::session;
use crate::snapshot::Snapshot;
use crate::tiers;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::SessionState;
use datafusion::prelude::{DataFrame, SessionContext};
use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::Mutex;

/// Reads views.
pub(crate) struct Viewing<'a> {
    engine: &'a SqlEngine,
    snapshot: &'a Snapshot,
    definitions: &'a Definitions,
    /// By what `now()` is in them, microseconds since the epoch.
    sessions: Mutex<BTreeMap<i64, Session>>,
}

struct Session {
    context: SessionContext,
    state: SessionState,
}

impl fmt::Debug for Viewing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewing").field("engine", self.engine).finish_non_exhaustive()
    }
}

impl<'a> Viewing<'a> {
    /// Over a snapshot of all tables that the views will read.
    pub fn new(engine: &'a SqlEngine, snapshot: &'a Snapshot, definitions: &'a Definitions) -> Self {
        Self { engine, snapshot, definitions, sessions: Mutex::default() }
    }

    /// What `build` makes of one view, with no expression that would need a cast, at most `rows_max` rows, within the
    /// memory of a query; `now_us` is its `now()`. Whoever asks says how long it may take.
    pub async fn ask(
        &self,
        view: &str,
        now_us: i64,
        build: impl FnOnce(DataFrame) -> datafusion::error::Result<DataFrame>,
        rows_max: usize,
    ) -> Result<Answer, SqlError> {
        let failed = |e: DataFusionError| self.engine.explain(e, &[]);
        let (context, state) = self.session(view, now_us).await?;
        let (_, plan) = context.table(TableReference::bare(view)).await.map_err(failed)?.into_parts();
        let (mut state, plan) = build(DataFrame::new(state, plan)).map_err(failed)?.into_parts();
        // What is asked of the view's windows is to be known where tiers are chosen.
        let plan = tiers::narrowed(plan, &state).map_err(failed)?;
        // Types are settled: those of the view were, and `build` settles its own.
        let plan = passes::optimized_analyzed(&mut state, plan).map_err(failed)?;
        self.engine.collect_optimized(state, plan, rows_max).await
    }

    /// A session that knows the view and what it reads.
    async fn session(&self, view: &str, now_us: i64) -> Result<(SessionContext, SessionState), SqlError> {
        let mut sessions = self.sessions.lock().await;
        let session = match sessions.entry(now_us) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let context = self.engine.context()?;
                let failed = |e: DataFusionError| self.engine.explain(e, &[]);
                let state = session::state_at(&context, now_us).map_err(failed)?;
                register_tables(&context, self.snapshot).map_err(failed)?;
                place.insert(Session { context, state })
            }
        };
        let views = self.definitions.needs(&[view.to_owned()]).views;
        self.engine.register_views(&session.context, &session.state, &views, &[view.to_owned()]).await?;
        Ok((session.context.clone(), session.state.clone()))
    }
}
