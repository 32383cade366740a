//! Views: `CREATE VIEW name AS SELECT …;` over rollups and other views.
//!
//! ```text
//! views.sql ─▶ statements ─▶ order, cycles ─▶ planned over empty tables ─▶ Views
//!              parse         order            check
//! ```
//!
//! A query that names a view has its plan over its own snapshot, and DataFusion optimises both as one, so that a
//! filter on a view reaches the files below.

mod check;
mod order;
pub mod outline;
mod parse;
mod template;
#[cfg(test)]
mod tests;

use crate::definitions::{DeclaredTable, NamedText};
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use outline::Outline;
use parse::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use template::Template;
use tidewatch_engine::rollup::DefinitionError;

/// How closely views are looked at when they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checking {
    /// Syntax, names and cycles: enough to count events and to answer. What else is wrong with a view, the
    /// queries that name it say.
    Names,
    /// Each is planned as well. Hundreds of views take seconds.
    Plans,
}

/// A view that was checked.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name in queries.
    pub name: String,
    /// The tables and views that it names, without repetition.
    pub reads: Vec<String>,
    /// Its columns, if it was planned when it was read.
    pub schema: Option<SchemaRef>,
    /// Where it stands and what it says.
    text: Text,
    statement: Statement,
    /// What its plan says of its rows, once it was planned.
    outline: OnceLock<Arc<Outline>>,
    /// Its plan, once it was planned, by the time zone that sessions write instants in.
    templates: Templates,
}

type Templates = Arc<Mutex<BTreeMap<Option<String>, Arc<Template>>>>;

impl View {
    /// The file that defines it.
    pub fn file(&self) -> &str {
        &self.text.file
    }

    /// Names of its columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.schema.iter().flat_map(|s| s.fields()).map(|f| f.name().as_str())
    }

    /// Its query as written.
    pub fn query(&self) -> &str {
        self.text.query.trim_start()
    }

    /// Makes it a table of a session that has everything it reads.
    pub(crate) async fn register(&self, context: &SessionContext, state: &SessionState) -> Result<()> {
        let table = planned(state, self.statement.clone(), self.query()).await?;
        if self.outline.get().is_none() {
            // Whoever was faster has seen the same.
            let _ = self.outline.set(Arc::new(Outline::of(table.logical_plan())?));
        }
        // Where every name knows its place in the text, a plan is to be checked and not to be kept.
        if !state.config_options().sql_parser.collect_spans
            && let Some(template) = Template::of(table.logical_plan())?
        {
            self.templates().insert(zone_of(state), Arc::new(template));
        }
        context.register_table(TableReference::bare(self.name.as_str()), Arc::new(table))?;
        Ok(())
    }

    /// The same as it was planned before, in a session that has the tables that it and the views below it read.
    /// False: it is to be planned.
    pub(crate) async fn register_known(&self, context: &SessionContext, state: &SessionState) -> Result<bool> {
        let template = self.templates().get(&zone_of(state)).cloned();
        let Some(template) = template else { return Ok(false) };
        let Some(plan) = template.over(&*state.schema_for_ref(self.name.as_str())?).await? else { return Ok(false) };
        let table = ViewTable::new(plan, Some(self.query().to_owned()));
        context.register_table(TableReference::bare(self.name.as_str()), Arc::new(table))?;
        Ok(true)
    }

    fn templates(&self) -> MutexGuard<'_, BTreeMap<Option<String>, Arc<Template>>> {
        self.templates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its plan says of its rows; `None` until it was planned, see [`Definitions::plan_views`].
    ///
    /// [`Definitions::plan_views`]: crate::Definitions::plan_views
    pub fn outline(&self) -> Option<&Arc<Outline>> {
        self.outline.get()
    }
}

fn zone_of(state: &SessionState) -> Option<String> {
    state.config_options().execution.time_zone.clone()
}

/// A view as DataFusion sees it. Types are settled here: they are those that the view's readers see.
async fn planned(state: &SessionState, statement: Statement, query: &str) -> Result<ViewTable> {
    let plan = state.statement_to_plan(statement).await?;
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    Ok(ViewTable::new(plan, Some(query.to_owned())))
}

/// All views of some packs.
#[derive(Debug, Clone, Default)]
pub struct Views {
    /// Each after those that it reads.
    ordered: Vec<Arc<View>>,
}

impl Views {
    /// Reads and checks the `views.sql` texts of all packs together, over the tables that they declare.
    ///
    /// Errors: every mistake found, not only the first. A view over a view that is wrong is not planned:
    /// its own mistakes show once the other is right.
    pub async fn parse(
        files: &[NamedText],
        tables: &BTreeMap<String, DeclaredTable>,
        checking: Checking,
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Vec::new();
        let mut texts: Vec<Text> = Vec::new();
        for (file, text) in files {
            let (found, mut mistakes) = parse::split(file, text);
            texts.extend(found);
            errors.append(&mut mistakes);
        }
        let mut taken = BTreeSet::new();
        texts.retain(|text| {
            let refused = text.refused_name(tables, &mut taken);
            let is_fine = refused.is_none();
            errors.extend(refused);
            is_fine
        });
        let views = check::check(texts, tables, checking, &mut errors).await;
        if errors.is_empty() { Ok(Self { ordered: views }) } else { Err(errors) }
    }

    /// A view by name.
    pub fn get(&self, name: &str) -> Option<&Arc<View>> {
        self.ordered.iter().find(|v| v.name == name)
    }

    /// Plans those of the named views, and of what they read, that were not planned yet, over `tables` without
    /// rows. A view that cannot be planned stays without an outline; queries that name it say why.
    pub(crate) async fn plan(&self, names: &[String], tables: &BTreeMap<String, DeclaredTable>) -> Result<()> {
        let wanted = |name: &String| self.get(name).is_some_and(|view| view.outline().is_none());
        let names: Vec<String> = names.iter().filter(|name| wanted(name)).cloned().collect();
        if names.is_empty() { Ok(()) } else { check::outline(&self.reachable_from(&names), tables).await }
    }

    /// All views, each after those that it reads.
    pub fn in_order(&self) -> impl Iterator<Item = &Arc<View>> {
        self.ordered.iter()
    }

    /// The views among `names` and all that they read, each after those that it reads.
    pub fn reachable_from(&self, names: &[String]) -> Vec<Arc<View>> {
        let mut wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        // Backwards, so that a view is met before those that it reads.
        let mut found: Vec<Arc<View>> = Vec::new();
        for view in self.ordered.iter().rev() {
            if wanted.contains(view.name.as_str()) {
                wanted.extend(view.reads.iter().map(String::as_str));
                found.push(Arc::clone(view));
            }
        }
        found.reverse();
        found
    }

    /// Keeps the views that pass, and of these only those that read nothing but such views and `tables`.
    pub(crate) fn retain(&mut self, keep: impl Fn(&View) -> bool, tables: &[String]) {
        let mut kept: BTreeSet<String> = tables.iter().cloned().collect();
        self.ordered.retain(|view| {
            let is_kept = keep(view) && view.reads.iter().all(|name| kept.contains(name));
            if is_kept {
                kept.insert(view.name.clone());
            }
            is_kept
        });
    }
}
