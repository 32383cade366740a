//! `pg_catalog`: the library's, with the views and settings that it leaves empty.

use super::columns::Columns;
use super::functions::SessionValues;
use super::listing::{Listing, Names};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use std::sync::Arc;
use tidewatch_query::{RelationKind, SCHEMA};

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
            other => self.library.table(other).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.library.table_exist(name)
    }
}
