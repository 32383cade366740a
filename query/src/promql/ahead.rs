//! What the queries of one moment read of views, read once for all of them.
//!
//! The rules of a group ask many views at the same moment, and several rules ask one view for several of its
//! numbers. Planning a view takes longer than answering it.

use super::{PromEngine, PromError};
use std::sync::Arc;
use tidewatch_promql::{Matcher, Plan, Selection, Series};

/// What was read of views.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<(Selection, Vec<Series>)>);

impl Ahead {
    /// What a selection asks for of views; `None` when it was not read.
    pub fn of(&self, selection: &Selection) -> Option<&Vec<Series>> {
        self.0.iter().find(|(read, _)| read == selection).map(|(_, series)| series)
    }
}

impl PromEngine {
    /// Reads what plans ask for of views, for those of them that are answered by what is returned. What cannot be read
    /// is left out: it is read, and fails, with its own plan.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn ahead_of(&self, plans: &[Plan]) -> Result<Self, PromError> {
        let mut selections: Vec<&Selection> = Vec::new();
        for selection in plans.iter().flat_map(Plan::selections) {
            if !selections.contains(&selection) {
                selections.push(selection);
            }
        }
        let Some(lookback_ms) = plans.first().map(Plan::lookback_ms) else { return Ok(self.clone()) };
        let reading = self.read_ahead(selections, lookback_ms);
        let ahead = tokio::time::timeout(self.limits.timeout, reading).await.map_err(|_| PromError::Timeout)??;
        Ok(Self { ahead: Some(Arc::new(ahead)), ..self.clone() })
    }

    async fn read_ahead(&self, selections: Vec<&Selection>, lookback_ms: i64) -> Result<Ahead, PromError> {
        let all = self.metrics();
        let matchers: Vec<&[Matcher]> = selections.iter().map(|s| s.matchers.as_slice()).collect();
        let views = self.views(&all, &matchers).await?;
        let tables = views.tables();
        if tables.is_empty() {
            return Ok(Ahead::default());
        }
        let snapshot = self.snapshot(std::iter::empty(), tables, true).await?;
        let reader = self.view_reader(&views, &snapshot, lookback_ms);
        let selections: Vec<Selection> = selections.into_iter().cloned().collect();
        let lists = views.read(&reader, &selections).await;
        Ok(Ahead(
            selections.into_iter().zip(lists).filter_map(|(selection, list)| Some((selection, list.ok()?))).collect(),
        ))
    }
}
