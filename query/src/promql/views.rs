//! Which views a query asks for, and what is known of all of them.

use super::gauges::{Gauge, Named, Shadowed, ViewGauges, gauges, may_have};
use super::metrics::{Kind, Metric, metrics};
use super::view::ViewReader;
use super::{PromEngine, PromError};
use crate::definitions::Definitions;
use crate::snapshot::Snapshot;
use crate::sql::{SqlError, Viewing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_promql::{Matcher, QueryError, Selection, Series};

/// Views that one selector may name: each is an SQL query.
const VIEWS_MAX: usize = 64;

/// What the metadata of Prometheus says of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Kind.
    pub kind: Kind,
    /// One sentence.
    pub help: String,
    /// `seconds`, or nothing.
    pub unit: &'static str,
}

/// The views that some selectors ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    definitions: Arc<Definitions>,
    /// For each selector the views, with the gauges that it names.
    lists: Vec<Vec<ViewGauges>>,
}

impl Wanted {
    /// The series of every selection, which are those of the selectors. Selections that differ in nothing but the
    /// name of the metric share one query per view. A selection of which a view cannot be read has an error, the
    /// others have not.
    pub async fn read(&self, reader: &ViewReader<'_>, selections: &[Selection]) -> Vec<Result<Vec<Series>, SqlError>> {
        let mut lists: Vec<Result<Vec<Series>, SqlError>> = selections.iter().map(|_| Ok(Vec::new())).collect();
        let mut is_read: BTreeSet<(usize, &str)> = BTreeSet::new();
        for (at, selection) in selections.iter().enumerate() {
            for view in self.of(at) {
                if is_read.contains(&(at, view.view.as_str())) || lists[at].is_err() {
                    continue;
                }
                let (mut whole, mut alike) = (ViewGauges { gauges: Vec::new(), ..view.clone() }, Vec::new());
                for (other, candidate) in selections.iter().enumerate().skip(at) {
                    let Some(own) = self.of(other).iter().find(|own| own.view == view.view) else { continue };
                    if nameless(candidate) == nameless(selection) {
                        let is_new = |gauge: &&Gauge| !whole.gauges.contains(gauge);
                        let new: Vec<Gauge> = own.gauges.iter().filter(is_new).cloned().collect();
                        whole.gauges.extend(new);
                        alike.push((other, candidate));
                    }
                }
                let series = match reader.read(&whole, &nameless(selection)).await {
                    Ok(series) => series,
                    // Another gauge of the view may be the one that cannot be read.
                    Err(_) if alike.len() > 1 => {
                        alike.truncate(1);
                        match reader.read(view, selection).await {
                            Ok(series) => series,
                            Err(error) => {
                                lists[at] = Err(error);
                                continue;
                            }
                        }
                    }
                    Err(error) => {
                        lists[at] = Err(error);
                        continue;
                    }
                };
                for (other, candidate) in alike {
                    is_read.insert((other, view.view.as_str()));
                    let fits = |series: &&Series| candidate.matchers.iter().all(|m| m.matches_labels(&series.labels));
                    if let Ok(list) = &mut lists[other] {
                        list.extend(series.iter().filter(fits).cloned());
                    }
                }
            }
        }
        lists
    }

    /// The views of one selector.
    pub fn of(&self, selector: usize) -> &[ViewGauges] {
        self.lists.get(selector).map(Vec::as_slice).unwrap_or_default()
    }

    /// Is any view read?
    pub fn is_any(&self) -> bool {
        self.lists.iter().any(|views| !views.is_empty())
    }

    /// The tables that all of them read.
    pub fn tables(&self) -> Vec<String> {
        let names: Vec<String> = self.lists.iter().flatten().map(|view| view.view.clone()).collect();
        self.definitions.needs(&names).tables
    }
}

/// What is asked, whichever metric it is asked of.
fn nameless(selection: &Selection) -> Selection {
    let mut nameless = selection.clone();
    nameless.matchers.retain(|matcher| matcher.name != "__name__");
    nameless.hints.grouping = None;
    nameless
}

/// The columns of planned views that PromQL does not see because something else has their names.
pub fn shadowed(definitions: &Definitions) -> Vec<Shadowed> {
    gauges(definitions.views().map(AsRef::as_ref), &metrics(definitions.rollups())).1
}

/// The names of all metrics of rollups and of planned views. What is pushed is not among them.
pub fn known_names(definitions: &Definitions) -> BTreeSet<String> {
    let of_rollups = metrics(definitions.rollups());
    let views = gauges(definitions.views().map(AsRef::as_ref), &of_rollups).0;
    let of_views = views.into_iter().flat_map(|view| view.gauges).map(|gauge| gauge.metric.name);
    of_views.chain(of_rollups.keys().cloned()).collect()
}

impl PromEngine {
    /// The views that each of these lists of matchers asks for; `all` are the metrics of rollups.
    pub(super) async fn views(
        &self,
        all: &BTreeMap<String, Metric>,
        selectors: &[&[Matcher]],
    ) -> Result<Wanted, PromError> {
        let definitions = self.engine.snapshots().definitions();
        let mut lists = Vec::with_capacity(selectors.len());
        for matchers in selectors {
            let candidates: Vec<String> = match Named::of(matchers) {
                Named::None => Vec::new(),
                Named::One(name) if all.contains_key(name) => Vec::new(),
                Named::One(name) => {
                    definitions.views().filter(|v| may_have(&v.name, name)).map(|v| v.name.clone()).collect()
                }
                Named::Fitting => definitions.views().map(|v| v.name.clone()).collect(),
            };
            let of_name = || matchers.iter().filter(|m| m.name == "__name__");
            let mut found = planned(&definitions, &candidates, all).await?;
            for view in &mut found {
                view.gauges.retain(|gauge| of_name().all(|m| m.matches(&gauge.metric.name)));
            }
            found.retain(|view| !view.gauges.is_empty());
            if found.len() > VIEWS_MAX {
                let (views, first) = (found.len(), found.first().map(|v| v.view.clone()).unwrap_or_default());
                return Err(PromError::Query(QueryError::Execution(format!(
                    "a selector names metrics of {views} views, at most {VIEWS_MAX} are read for one; hint: name fewer, as in {{__name__=~\"{first}.*\"}}"
                ))));
            }
            lists.push(found);
        }
        Ok(Wanted { definitions, lists })
    }

    pub(super) fn view_reader<'a>(
        &'a self,
        wanted: &'a Wanted,
        snapshot: &'a Snapshot,
        lookback_ms: i64,
    ) -> ViewReader<'a> {
        let (engine, definitions) = (&*self.engine, &*wanted.definitions);
        let (now_us, rows_max) = (engine.now_us(), self.limits.samples_max);
        let viewing = Viewing::new(engine, snapshot, definitions);
        ViewReader { viewing, snapshot, definitions, now_us, lookback_ms, rows_max }
    }

    /// The gauges of all views. The first time all of them are planned, which takes seconds.
    pub(super) async fn all_gauges(&self) -> Result<Vec<ViewGauges>, PromError> {
        let definitions = self.engine.snapshots().definitions();
        let names: Vec<String> = definitions.views().map(|v| v.name.clone()).collect();
        planned(&definitions, &names, &self.metrics()).await
    }

    /// All metrics of rollups and views, by name.
    ///
    /// # Errors
    /// See [`PromError`].
    pub async fn described(&self) -> Result<BTreeMap<String, Described>, PromError> {
        let of_views = self.all_gauges().await?.into_iter().flat_map(|view| view.gauges).map(|gauge| gauge.metric);
        let all = of_views.chain(self.metrics().into_values());
        Ok(all.map(|m| (m.name, Described { kind: m.kind, help: m.help, unit: m.unit })).collect())
    }
}

async fn planned(
    definitions: &Definitions,
    names: &[String],
    taken: &BTreeMap<String, Metric>,
) -> Result<Vec<ViewGauges>, PromError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    definitions.plan_views(names).await.map_err(|error| PromError::Internal(error.strip_backtrace()))?;
    let views = names.iter().filter_map(|name| definitions.view(name)).map(AsRef::as_ref);
    Ok(gauges(views, taken).0)
}
