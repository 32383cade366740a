//! `pg_catalog`: the library's, with the views and settings that it leaves empty.

use super::columns::Columns;
use super::functions::SessionValues;
use super::listing::{Listing, Names};
use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use datafusion::prelude::lit;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use std::iter::empty;
use std::sync::Arc;
use tidewatch_query::{RelationKind, SCHEMA};

/// Tables that the library has not.
pub(crate) const ADDED_TABLES: [&str; 5] =
    ["pg_indexes", "pg_sequences", "pg_stat_activity", "pg_stat_wal_receiver", "pg_user"];

type Library = PgCatalogSchemaProvider<Names, EmptyContextProvider>;

/// One for all sessions of a server: it gives relations their numbers, by which clients ask again.
#[derive(Debug)]
pub(super) struct PgCatalog {
    library: Arc<Library>,
    listing: Arc<Listing>,
}

impl PgCatalog {
    pub fn new(listing: Arc<Listing>) -> Result<Self> {
        let tables = Arc::new(PgCatalogStaticTables::try_new()?);
        let library = PgCatalogSchemaProvider::try_new(Names(Arc::clone(&listing)), tables, EmptyContextProvider)?;
        Ok(Self { library: Arc::new(library), listing })
    }

    pub fn of_session(&self, values: Arc<SessionValues>) -> SessionPgCatalog {
        SessionPgCatalog { library: Arc::clone(&self.library), listing: Arc::clone(&self.listing), values }
    }
}

/// The schema with the settings of one session.
#[derive(Debug)]
pub(super) struct SessionPgCatalog {
    library: Arc<Library>,
    listing: Arc<Listing>,
    values: Arc<SessionValues>,
}

#[async_trait]
impl SchemaProvider for SessionPgCatalog {
    fn table_names(&self) -> Vec<String> {
        self.library.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name {
            "pg_views" => {
                let relations = self.listing.read().await?;
                let views = || relations.iter().filter(|r| r.kind == RelationKind::View);
                let columns = Columns::default()
                    .text("schemaname", views().map(|_| Some(SCHEMA)))
                    .text("viewname", views().map(|v| Some(v.name.as_str())))
                    .text("viewowner", views().map(|_| Some("tidewatch")))
                    .text("definition", views().map(|v| v.definition.as_deref()));
                columns.table().map(Some)
            }
            "pg_settings" => {
                let all = self.values.all();
                let values = || all.iter();
                let columns = Columns::default()
                    .text("name", values().map(|(name, _)| Some(name.as_str())))
                    .text("setting", values().map(|(_, value)| Some(value.as_str())))
                    .text("unit", values().map(|_| None))
                    .text("category", values().map(|_| Some("Tidewatch")))
                    .text("short_desc", values().map(|_| None))
                    .text("context", values().map(|_| Some("user")))
                    .text("vartype", values().map(|_| Some("string")))
                    .text("source", values().map(|_| Some("default")))
                    .text("boot_val", values().map(|_| None))
                    .text("reset_val", values().map(|_| None))
                    .truth("pending_restart", values().map(|_| Some(false)));
                columns.table().map(Some)
            }
            "pg_indexes" => none(&["schemaname", "tablename", "indexname", "tablespace", "indexdef"]),
            "pg_sequences" => none(&["schemaname", "sequencename", "sequenceowner", "data_type"]),
            "pg_stat_activity" => none(&["datname", "pid", "usename", "application_name", "state", "query"]),
            "pg_stat_wal_receiver" => none(&["pid", "status"]),
            "pg_user" => {
                let user = || [Some(self.values.user.as_str())];
                let columns = Columns::default().text("usename", user()).truth("usesuper", [Some(false)]);
                columns.table().map(Some)
            }
            "pg_class" => self.library.table(name).await?.map(with_options).transpose(),
            other => self.library.table(other).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        ADDED_TABLES.contains(&name) || self.library.table_exist(name)
    }
}

/// A table without rows.
fn none(names: &[&str]) -> Result<Option<Arc<dyn TableProvider>>> {
    let columns = names.iter().fold(Columns::default(), |columns, name| columns.text(name, empty()));
    columns.table().map(Some)
}

/// `pg_class` with columns that clients ask for and the library has not.
fn with_options(pg_class: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let known = pg_class.schema();
    let scan = LogicalPlanBuilder::scan("pg_class", provider_as_source(pg_class), None)?;
    let texts = ScalarValue::try_from(&DataType::new_list(DataType::Utf8, true))?;
    let columns = known.fields().iter().map(|f| ident(f.name()));
    let added = [lit(texts.clone()).alias("reloptions"), lit(texts).alias("relacl"), lit(false).alias("relhasoids")];
    let plan = scan.project(columns.chain(added).collect::<Vec<_>>())?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
