//! From the text of a query to its plan: which tables and views it names, and all of them registered.

use super::{SqlEngine, SqlError, register_tables};
use crate::definitions::Needs;
use crate::session;
use crate::snapshot::Snapshot;
use crate::system::{self, SystemTable};
use crate::views::View;
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;
use std::sync::Arc;

/// A query that was read and waits for its tables.
pub(super) struct Reading {
    pub context: SessionContext,
    pub state: SessionState,
    pub statement: Statement,
    /// Tables and views that it names.
    pub named: Vec<String>,
    /// What it reads.
    pub needs: Needs,
    /// Tables of the schema `system` that it names.
    pub system: Vec<SystemTable>,
    /// Are all names asked for?
    pub is_catalogue: bool,
    /// Of the definitions that it was read by.
    pub generation: u64,
}

impl Reading {
    /// The query without its comments and white space.
    pub fn text(&self) -> String {
        self.statement.to_string()
    }
}

impl SqlEngine {
    /// Reads a query; `now_us` is what `now()` gives in it and in the views that it reads.
    pub(super) async fn read(&self, context: SessionContext, sql: &str, now_us: i64) -> Result<Reading, SqlError> {
        let state = session::state_at(&context, now_us).map_err(|e| self.explain(e, &[]))?;
        let statement = state.sql_to_statement(sql, &Dialect::PostgreSQL).map_err(|e| self.explain(e, &[]))?;
        if let Statement::CopyTo(_) = statement {
            return Err(SqlError::Query {
                message: "COPY writes files, which only the command line does".to_owned(),
                hint: Some("ask in the format that you want, as in POST /api/v1/sql?format=xlsx, or run `tidewatch sql \"COPY …\"`".to_owned()),
            });
        }
        let references = state.resolve_table_references(&statement).map_err(|e| self.explain(e, &[]))?;
        // What the catalogue of tables shows is what is registered.
        let is_catalogue = references.iter().any(|r| r.schema() == Some("information_schema"));
        let (of_system, others): (Vec<_>, Vec<_>) = references.iter().partition(|r| r.schema() == Some(system::SCHEMA));
        let names: Vec<String> = match is_catalogue {
            true => self.names().await?,
            false => others.iter().map(|r| r.table().to_owned()).collect(),
        };
        let system = of_system.iter().filter_map(|r| SystemTable::named(r.table())).collect();
        let (definitions, generation) = self.snapshots.generation();
        let needs = definitions.needs(&names);
        Ok(Reading { context, state, statement, named: names, needs, system, is_catalogue, generation })
    }

    /// Plans a query over a snapshot of the tables that it needs.
    pub(super) async fn plan(&self, reading: Reading, snapshot: &Snapshot) -> Result<DataFrame, SqlError> {
        let Reading { context, state, statement, named, needs, system, is_catalogue, .. } = reading;
        register_tables(&context, snapshot).map_err(|e| self.explain(e, &[]))?;
        self.register_system(&context, &system, is_catalogue).await?;
        self.register_views(&context, &state, &needs.views, &named).await?;
        let known = match needs.tables.iter().all(|n| snapshot.tables.contains_key(n)) {
            true => Vec::new(),
            // Only to say what there is instead.
            false => self.names().await?,
        };
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let plan = state.statement_to_plan(statement).await.map_err(|e| self.explain(e, &known))?;
        read_only.verify_plan(&plan).map_err(|e| self.explain(e, &known))?;
        Ok(DataFrame::new(state, plan))
    }

    /// Makes the views that are named tables of a session that has the tables they read; `views`: these and all that
    /// they read, each after those that it reads.
    pub(super) async fn register_views(
        &self,
        context: &SessionContext,
        state: &SessionState,
        views: &[Arc<View>],
        named: &[String],
    ) -> Result<(), SqlError> {
        let failed = |view: &View, e| match self.explain(e, &[]) {
            SqlError::Query { message, hint } => {
                SqlError::Query { message: format!("view {}: {message}", view.name), hint }
            }
            other => other,
        };
        let mut is_known = true;
        let is_new = |view: &View| match context.table_exist(view.name.as_str()) {
            Ok(is_known) => Ok(!is_known),
            Err(error) => Err(failed(view, error)),
        };
        for view in views.iter().filter(|view| named.contains(&view.name)) {
            is_known &= !is_new(view)? || view.register_known(context, state).await.map_err(|e| failed(view, e))?;
        }
        // A plan is made of those of the views below.
        for view in views.iter().filter(|_| !is_known) {
            if is_new(view)? {
                view.register(context, state).await.map_err(|e| failed(view, e))?;
            }
        }
        Ok(())
    }
}
