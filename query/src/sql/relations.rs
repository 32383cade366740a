//! All tables and views with their columns, for catalogues.

use super::{SqlEngine, SqlError, register_tables};
use crate::session;
use crate::table::merged_table;
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use std::sync::Arc;

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// A rollup, or a table whose rows do not merge.
    Table,
    /// A view of a pack.
    View,
}

/// A table or a view.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns as queries see them.
    pub schema: SchemaRef,
    /// The query of a view.
    pub definition: Option<String>,
}

impl SqlEngine {
    /// All tables and views, sorted by name. Reads no rows, but plans every view: with hundreds of them that
    /// takes seconds, so keep the answer while [`Self::names`] and the definitions stay the same. A view that
    /// cannot be planned is left out; queries that name it say why.
    pub async fn relations(&self) -> Result<Vec<Relation>, SqlError> {
        let failed = |e| self.explain(e, &[]);
        let names = self.names().await?;
        let needs = self.snapshots.definitions().needs(&names);
        let shapes = self.snapshots.shapes(&needs.tables).await?;
        let context = session::guest_context(&self.memory()).map_err(failed)?;
        let state = session::state_at(&context, self.now.us()).map_err(failed)?;
        let mut relations = Vec::new();
        for (name, table) in &shapes.tables {
            let schema = merged_table(name, table).map_err(failed)?.schema();
            relations.push(Relation { name: name.clone(), kind: RelationKind::Table, schema, definition: None });
        }
        register_tables(&context, &shapes).map_err(failed)?;
        for view in &needs.views {
            if let Err(error) = view.register(&context, &state).await {
                tracing::debug!(view = view.name, %error, "left out of the catalogue");
                continue;
            }
            let table = context.table_provider(TableReference::bare(view.name.as_str())).await.map_err(failed)?;
            let (name, definition) = (view.name.clone(), Some(view.query().to_owned()));
            let schema = Arc::clone(&table.schema());
            relations.push(Relation { name, kind: RelationKind::View, schema, definition });
        }
        relations.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(relations)
    }
}
