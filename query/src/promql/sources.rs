//! From metrics to what they come from: rollups, the sources whose events change them, the width of their windows.

use super::gauges::may_have;
use super::metrics::Metric;
use super::{PromEngine, PromError};
use crate::definitions::Definitions;
use crate::views::outline::Time;
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::rollup::RollupSchema;
use tidewatch_promql::Matcher;

impl PromEngine {
    /// The sources of the rollups that metrics come from, also through views; all of them where the origin of one is not
    /// known, and where `names` is `None`.
    pub fn sources_of(&self, names: Option<&BTreeSet<String>>) -> BTreeSet<String> {
        let definitions = self.engine.snapshots().definitions();
        let metrics = self.metrics();
        let read: Option<BTreeSet<String>> = names.and_then(|names| {
            let origins = names.iter().map(|name| origin(&definitions, &metrics, name)).collect::<Option<Vec<_>>>()?;
            Some(origins.into_iter().flatten().collect())
        });
        let rollups = rollups_among(&definitions, read.as_ref());
        rollups.into_iter().flat_map(|rollup| rollup.sources.iter().cloned()).collect()
    }

    /// The views among the origins of metrics that tell of the present only: their past cannot be asked for.
    ///
    /// # Errors
    /// A view cannot be planned.
    pub async fn of_the_present(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, PromError> {
        let matchers: Vec<Matcher> = names.iter().map(|name| Matcher::equal("__name__", name)).collect();
        let selectors: Vec<&[Matcher]> = matchers.iter().map(std::slice::from_ref).collect();
        let wanted = self.views(&self.metrics(), &selectors).await?;
        let views = (0..selectors.len()).flat_map(|at| wanted.of(at));
        Ok(views.filter(|view| view.time == Time::Now).map(|view| view.view.clone()).collect())
    }

    /// Width of the widest windows that metrics come from, as far as their origin is known, in microseconds; `None`: they
    /// come from no windows. Of all metrics when `names` is `None`.
    pub fn window_of(&self, names: Option<&BTreeSet<String>>) -> Option<i64> {
        let definitions = self.engine.snapshots().definitions();
        let metrics = self.metrics();
        let origins = |names: &BTreeSet<String>| -> BTreeSet<String> {
            names.iter().filter_map(|name| origin(&definitions, &metrics, name)).flatten().collect()
        };
        let read = names.map(origins);
        rollups_among(&definitions, read.as_ref()).into_iter().filter_map(|rollup| rollup.pane_us).max()
    }
}

/// All rollups, or those of these names.
fn rollups_among<'d>(definitions: &'d Definitions, names: Option<&BTreeSet<String>>) -> Vec<&'d RollupSchema> {
    definitions.rollups().filter(|rollup| names.is_none_or(|names| names.contains(&rollup.name))).collect()
}

/// The tables that a metric comes from; `None` when it is neither a rollup's nor may be a view's.
fn origin(definitions: &Definitions, metrics: &BTreeMap<String, Metric>, name: &str) -> Option<BTreeSet<String>> {
    match metrics.get(name) {
        Some(metric) => Some(BTreeSet::from([metric.rollup.clone()])),
        None => through_views(definitions, name),
    }
}

/// The tables behind the views that may have a metric; `None` when there is no such view.
fn through_views(definitions: &Definitions, metric: &str) -> Option<BTreeSet<String>> {
    let views = definitions.views().filter(|view| may_have(&view.name, metric));
    let views: Vec<String> = views.map(|view| view.name.clone()).collect();
    (!views.is_empty()).then(|| definitions.needs(&views).tables.into_iter().collect())
}

#[cfg(test)]
mod tests;
