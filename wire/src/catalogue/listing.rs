//! All tables and views with their columns, kept until they change: clients ask many questions about them at
//! once, and hundreds of views take seconds to plan.

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_query::{CATALOG, Definitions, Relation, RelationKind, SCHEMA, SqlEngine, SqlError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// So long nobody looks whether there are other tables in the store.
const FRESH: Duration = Duration::from_secs(1);

/// The relations of an engine.
#[derive(Debug)]
pub struct Listing {
    engine: Arc<SqlEngine>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    definitions: Arc<Definitions>,
    names: Vec<String>,
    looked: Instant,
    relations: Arc<Vec<Relation>>,
}

impl Listing {
    /// The relations of `engine`.
    pub fn new(engine: Arc<SqlEngine>) -> Self {
        Self { engine, kept: Mutex::new(None) }
    }

    /// All tables and views, sorted by name.
    pub async fn relations(&self) -> Result<Arc<Vec<Relation>>, SqlError> {
        let mut kept = self.kept.lock().await;
        let definitions = self.engine.snapshots().definitions();
        let current = kept.take().filter(|k| Arc::ptr_eq(&k.definitions, &definitions));
        let now = Instant::now();
        if let Some(current) = current {
            let is_fresh = now.duration_since(current.looked) < FRESH;
            if is_fresh || self.engine.names().await? == current.names {
                let looked = if is_fresh { current.looked } else { now };
                let relations = Arc::clone(&current.relations);
                *kept = Some(Kept { looked, ..current });
                return Ok(relations);
            }
        }
        let names = self.engine.names().await?;
        let relations = Arc::new(self.engine.relations().await?);
        *kept = Some(Kept { definitions, names, looked: now, relations: Arc::clone(&relations) });
        Ok(relations)
    }

    /// The same, for tables of DataFusion.
    pub(super) async fn read(&self) -> Result<Arc<Vec<Relation>>> {
        self.relations().await.map_err(|e| DataFusionError::External(Box::new(e)))
    }
}

/// The relations as `pg_catalog` asks for them.
#[derive(Debug, Clone)]
pub(super) struct Names(pub Arc<Listing>);

impl Names {
    async fn relation<T>(&self, schema: &str, name: &str, of: impl Fn(&Relation) -> T) -> Result<Option<T>> {
        if schema != SCHEMA {
            return Ok(None);
        }
        let relations = self.0.read().await?;
        Ok(relations.iter().find(|r| r.name == name).map(of))
    }
}

#[async_trait]
impl CatalogInfo for Names {
    async fn catalog_names(&self) -> Result<Vec<String>> {
        Ok(vec![CATALOG.to_owned()])
    }

    async fn schema_names(&self, _catalog: &str) -> Result<Option<Vec<String>>> {
        Ok(Some([SCHEMA, "pg_catalog", "information_schema"].map(str::to_owned).into()))
    }

    async fn table_names(&self, _catalog: &str, schema: &str) -> Result<Option<Vec<String>>> {
        if schema != SCHEMA {
            return Ok(Some(Vec::new()));
        }
        Ok(Some(self.0.read().await?.iter().map(|r| r.name.clone()).collect()))
    }

    async fn table_schema(&self, _catalog: &str, schema: &str, table: &str) -> Result<Option<SchemaRef>> {
        self.relation(schema, table, |r| Arc::clone(&r.schema)).await
    }

    async fn table_type(&self, _catalog: &str, schema: &str, table: &str) -> Result<Option<TableType>> {
        let kind = |r: &Relation| match r.kind {
            RelationKind::Table => TableType::Base,
            RelationKind::View => TableType::View,
        };
        self.relation(schema, table, kind).await
    }
}
