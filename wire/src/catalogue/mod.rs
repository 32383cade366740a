//! What clients of Postgres find beside our tables: `pg_catalog`, `information_schema`, Postgres' functions.
//!
//! The static part of `pg_catalog` (types, operators, …) and its rewriting of statements come from
//! `datafusion-pg-catalog`; names, columns and numbers of relations are those of [`Listing`].

mod columns;
mod functions;
mod information_schema;
mod listing;
mod pg_catalog;

pub(crate) use functions::SERVER_VERSION;
pub use functions::SessionValues;
pub use listing::Listing;
pub(crate) use pg_catalog::ADDED_TABLES;

use datafusion::catalog::{SchemaProvider, TableFunctionImpl};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use information_schema::InformationSchema;
use pg_catalog::PgCatalog;
use std::fmt;
use std::sync::Arc;
use tidewatch_query::{CATALOG, Furniture};

/// The catalogue of one server.
#[derive(Clone)]
pub struct Catalogue {
    listing: Arc<Listing>,
    pg_catalog: Arc<PgCatalog>,
    functions: Arc<Vec<Arc<ScalarUDF>>>,
    table_functions: Arc<Vec<(String, Arc<dyn TableFunctionImpl>)>>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("listing", &self.listing).finish_non_exhaustive()
    }
}

impl Catalogue {
    /// The catalogue of the relations of `listing`.
    pub fn new(listing: Arc<Listing>) -> Result<Self> {
        // What the library adds to a session, taken from one that has it.
        let plain = SessionContext::new().state();
        let template = SessionContext::new();
        let catalog = template.catalog_names().pop().unwrap_or_default();
        setup_pg_catalog(&template, &catalog, EmptyContextProvider).map_err(|e| *e)?;
        let state = template.state();
        let added = state.scalar_functions().iter().filter(|(name, _)| !plain.scalar_functions().contains_key(*name));
        let functions = added.map(|(_, function)| Arc::clone(function)).collect();
        let table_functions = state.table_functions().iter();
        let table_functions = table_functions.map(|(name, f)| (name.clone(), Arc::clone(f.function()))).collect();
        Ok(Self {
            pg_catalog: Arc::new(PgCatalog::new(Arc::clone(&listing))?),
            listing,
            functions: Arc::new(functions),
            table_functions: Arc::new(table_functions),
        })
    }

    /// All relations.
    pub fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// What one session finds.
    pub fn of_session(&self, values: SessionValues) -> SessionFurniture {
        SessionFurniture { catalogue: self.clone(), values: Arc::new(values) }
    }
}

/// The catalogue as one session sees it, with its settings.
#[derive(Debug, Clone)]
pub struct SessionFurniture {
    catalogue: Catalogue,
    values: Arc<SessionValues>,
}

impl Furniture for SessionFurniture {
    fn furnish(&self, context: &SessionContext) -> Result<(), DataFusionError> {
        let missing = || DataFusionError::Internal(format!("the session has no catalogue {CATALOG}"));
        let catalog = context.catalog(CATALOG).ok_or_else(missing)?;
        let pg_catalog = Arc::new(self.catalogue.pg_catalog.of_session(Arc::clone(&self.values)));
        catalog.register_schema("pg_catalog", pg_catalog as Arc<dyn SchemaProvider>)?;
        let information_schema = Arc::new(InformationSchema::new(Arc::clone(&self.catalogue.listing)));
        catalog.register_schema("information_schema", information_schema as Arc<dyn SchemaProvider>)?;
        self.catalogue.functions.iter().for_each(|f| context.register_udf(f.as_ref().clone()));
        for (name, function) in self.catalogue.table_functions.iter() {
            context.register_udtf(name, Arc::clone(function));
        }
        functions::all(&self.values).into_iter().for_each(|f| context.register_udf(f));
        let state = context.state_ref();
        let mut state = state.write();
        let builder = SessionStateBuilder::new_from_existing(state.clone());
        *state = builder.with_type_planner(Arc::new(PgOidTypePlanner)).build();
        Ok(())
    }
}
