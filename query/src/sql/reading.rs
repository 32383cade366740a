//! From the text of a query to its plan: which tables and views it names, and all of them registered.

use super::{SqlEngine, SqlError, register_tables};
use crate::definitions::Needs;
use crate::session;
use crate::snapshot::Snapshot;
use datafusion::config::Dialect;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::Statement;

/// A query that was read and waits for its tables.
pub(super) struct Reading {
    pub context: SessionContext,
    pub state: SessionState,
    pub statement: Statement,
    /// What it reads.
    pub needs: Needs,
}

impl SqlEngine {
    /// Reads a query; `now_us` is what `now()` gives in it and in the views that it reads.
    pub(super) async fn read(&self, context: SessionContext, sql: &str, now_us: i64) -> Result<Reading, SqlError> {
        let state = session::state_at(&context, now_us).map_err(|e| self.explain(e, &[]))?;
        let statement = state.sql_to_statement(sql, &Dialect::PostgreSQL).map_err(|e| self.explain(e, &[]))?;
        let references = state.resolve_table_references(&statement).map_err(|e| self.explain(e, &[]))?;
        // What the catalogue of tables shows is what is registered.
        let names: Vec<String> = match references.iter().any(|r| r.schema() == Some("information_schema")) {
            true => self.names().await?,
            false => references.iter().map(|r| r.table().to_owned()).collect(),
        };
        let needs = self.snapshots.definitions().needs(&names);
        Ok(Reading { context, state, statement, needs })
    }

    /// Plans a query over a snapshot of the tables that it needs.
    pub(super) async fn plan(&self, reading: Reading, snapshot: &Snapshot) -> Result<DataFrame, SqlError> {
        let Reading { context, state, statement, needs } = reading;
        register_tables(&context, snapshot).map_err(|e| self.explain(e, &[]))?;
        for view in &needs.views {
            view.register(&context, &state).await.map_err(|e| match self.explain(e, &[]) {
                SqlError::Query { message, hint } => {
                    SqlError::Query { message: format!("view {}: {message}", view.name), hint }
                }
                other => other,
            })?;
        }
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
}
