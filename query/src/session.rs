//! What a query runs in: our functions, our memory limit, and a moment that is its `now()`.

use crate::functions;
use crate::tiers;
use chrono::DateTime;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::fmt;
use std::sync::Arc;

/// The catalogue that all tables and views are in: what Postgres' clients know as the database.
pub const CATALOG: &str = "tidewatch";
/// The schema that all tables and views are in.
pub const SCHEMA: &str = "public";

/// Tells what `now()` gives in a query, microseconds since the epoch. Read once per query.
#[derive(Clone)]
pub struct Now(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Now {
    /// The time as a clock tells it.
    pub fn new(now_us: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_us))
    }

    /// A moment that does not pass.
    pub fn fixed(now_us: i64) -> Self {
        Self::new(move || now_us)
    }

    pub(crate) fn us(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Now({})", self.us())
    }
}

/// A session of its own for one query. It has no tables yet.
pub(crate) fn context(memory_bytes_max: usize) -> Result<SessionContext> {
    with_config(config(), memory_bytes_max)
}

/// A session for checking definitions: its errors know where in the text they are.
pub(crate) fn checking_context(memory_bytes_max: usize) -> Result<SessionContext> {
    let mut config = config();
    config.options_mut().sql_parser.collect_spans = true;
    // Nothing runs in it: more partitions would only be more to plan.
    with_config(config.with_target_partitions(1), memory_bytes_max)
}

/// A session whose plans may run again and again, over few rows.
pub(crate) fn repeatable_context(memory_bytes_max: usize) -> Result<SessionContext> {
    let mut config = config();
    // What a run has learnt must not be known to the next one.
    let optimizer = &mut config.options_mut().optimizer;
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    with_config(config.with_target_partitions(1), memory_bytes_max)
}

/// A session for a client that brings its own catalogue of tables, and with it a type for instants of a zone:
/// that zone is UTC.
pub(crate) fn guest_context(memory_bytes_max: usize) -> Result<SessionContext> {
    let mut config = config().with_information_schema(false);
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    with_config(config, memory_bytes_max)
}

fn config() -> SessionConfig {
    let mut config =
        SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema(CATALOG, SCHEMA);
    // Sketches are read as plain binary: views would be copied into it once more.
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config.options_mut().execution.parquet.pushdown_filters = true;
    config
}

fn with_config(config: SessionConfig, memory_bytes_max: usize) -> Result<SessionContext> {
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes_max, 1.0).build_arc()?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    functions::register(&context);
    tiers::install(&context);
    Ok(context)
}

/// The state that plans and runs a query, with the moment that `now()` gives all through it.
pub(crate) fn state_at(context: &SessionContext, now_us: i64) -> Result<SessionState> {
    let mut state = context.state();
    let now = DateTime::from_timestamp_micros(now_us)
        .ok_or_else(|| DataFusionError::Plan(format!("{now_us} µs is not a moment that now() could give")))?;
    state.execution_props_mut().query_execution_start_time = Some(now);
    Ok(state)
}
