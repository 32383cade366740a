//! What queries may name beside the tables that exist: declared tables, and views over tables.
//!
//! A declared table need not exist yet. Until the first commit makes it, it is an empty table, so that a
//! view over ten rollups answers from the first event on.

use crate::views::{Checking, View, Views};
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewatch_engine::rollup::{Catalog, DefinitionError, RollupSchema};

/// A named text: file name for messages, content.
pub type NamedText = (String, String);

/// A table as it will be once something is committed to it.
#[derive(Debug, Clone)]
pub struct DeclaredTable {
    /// Its rollup; `None` for tables whose rows do not merge.
    pub rollup: Option<RollupSchema>,
    /// Its columns.
    pub schema: SchemaRef,
}

/// Declared tables and views. Without any, what exists in the store is all there is.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    tables: BTreeMap<String, DeclaredTable>,
    views: Views,
}

/// What has to be there before a query can be planned.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Tables that it reads, itself or through views.
    pub tables: Vec<String>,
    /// Views that it reads, each after those that it reads itself.
    pub views: Vec<Arc<View>>,
}

impl Definitions {
    /// Declares tables without views.
    pub fn of_tables(tables: BTreeMap<String, DeclaredTable>) -> Self {
        Self { tables, views: Views::default() }
    }

    /// Declares one more table.
    pub fn with_table(mut self, name: &str, table: DeclaredTable) -> Self {
        self.tables.insert(name.to_owned(), table);
        self
    }

    /// Adds the views of `CREATE VIEW` statements.
    ///
    /// Errors: every mistake found, not only the first.
    pub async fn with_views(mut self, files: &[NamedText], checking: Checking) -> Result<Self, Vec<DefinitionError>> {
        self.views = Views::parse(files, &self.tables, checking).await?;
        Ok(self)
    }

    /// Those of these definitions that can be answered from the given tables alone: views over others
    /// are left out, and so are all declared tables.
    pub fn over_existing(mut self, existing: &[String]) -> Self {
        self.tables.clear();
        self.views.retain(|view| !existing.contains(&view.name), existing);
        self
    }

    /// Only what there are tables for: of a folder that is not named by the settings.
    #[must_use]
    pub fn of_existing(mut self, existing: &[String]) -> Self {
        self.tables.retain(|name, _| existing.contains(name));
        self.views.retain(|view| !existing.contains(&view.name), existing);
        self
    }

    /// A declared table.
    pub fn table(&self, name: &str) -> Option<&DeclaredTable> {
        self.tables.get(name)
    }

    /// Declared tables by name.
    pub fn tables(&self) -> &BTreeMap<String, DeclaredTable> {
        &self.tables
    }

    /// Declared rollups.
    pub fn rollups(&self) -> impl Iterator<Item = &RollupSchema> {
        self.tables.values().filter_map(|t| t.rollup.as_ref())
    }

    /// All views, each after those that it reads.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.in_order()
    }

    /// A view.
    pub fn view(&self, name: &str) -> Option<&Arc<View>> {
        self.views.get(name)
    }

    /// Sees to it that the named views have their outlines, as far as they can be planned. Each is planned once:
    /// a hundred of them take seconds.
    ///
    /// # Errors
    /// There is no session to plan in.
    pub async fn plan_views(&self, names: &[String]) -> datafusion::error::Result<()> {
        self.views.plan(names, &self.tables).await
    }

    /// Names of declared tables and of views, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        self.tables.keys().map(String::as_str).chain(self.views().map(|v| v.name.as_str())).collect()
    }

    /// What a query over these names needs.
    pub fn needs(&self, names: &[String]) -> Needs {
        let views = self.views.reachable_from(names);
        let read = views.iter().flat_map(|v| &v.reads).chain(names);
        let tables: BTreeSet<&String> = read.filter(|name| self.views.get(name).is_none()).collect();
        Needs { tables: tables.into_iter().cloned().collect(), views }
    }
}

impl From<&Catalog> for Definitions {
    /// The rollups of a catalogue.
    fn from(catalog: &Catalog) -> Self {
        let declared =
            |schema: &RollupSchema| DeclaredTable { schema: schema.arrow_schema(), rollup: Some(schema.clone()) };
        Self::of_tables(catalog.tables().iter().map(|t| (t.schema.name.clone(), declared(t.schema))).collect())
    }
}
