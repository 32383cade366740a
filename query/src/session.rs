//! What a query runs in: our functions, our memory limit, and a moment that is its `now()`.

use crate::functions;
use crate::gapfill;
use crate::grouping;
use crate::lineage;
use crate::memory::SharedPool;
use crate::tiers;
use chrono::DateTime;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::TrackConsumersPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A sort sets aside at most this part of the memory.
const SORT_SHARE: usize = 16;
/// A query has one row in a batch for so much memory: 8,192 rows, DataFusion's own number, from 64 MiB on.
const BYTES_PER_ROW_OF_BATCH: usize = 8192;
const BATCH_ROWS_MIN: usize = 256;
/// A query runs in one partition for so much memory, as far as there are processors.
const BYTES_PER_PARTITION: usize = 32 << 20;
const BATCH_ROWS_MAX: usize = 8192;
/// Operators that a message about memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
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

/// What the operators of a query may hold.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// In memory.
    pub bytes_max: usize,
    /// On disk, of what sorts, aggregates and joins do not keep in memory; 0: nothing.
    pub spill_bytes_max: u64,
    /// Where on disk; `None`: where the system keeps temporary files.
    pub spill_folder: Option<PathBuf>,
}

impl Memory {
    /// Memory alone.
    pub fn only(bytes_max: usize) -> Self {
        Self { bytes_max, spill_bytes_max: 0, spill_folder: None }
    }
}

/// A session of its own for one query. It has no tables yet.
pub(crate) fn context(memory: &Memory) -> Result<SessionContext> {
    with_config(config(), memory)
}

/// What a scan runs in that no query was written for.
pub(crate) fn state(memory: &Memory) -> Result<SessionState> {
    configured(config(), memory)
}

/// A session for checking definitions: its errors know where in the text they are.
pub(crate) fn checking_context(memory_bytes_max: usize) -> Result<SessionContext> {
    let mut config = config();
    config.options_mut().sql_parser.collect_spans = true;
    // Nothing runs in it: more partitions would only be more to plan.
    with_config(config.with_target_partitions(1), &Memory::only(memory_bytes_max))
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
    with_config(config.with_target_partitions(1), &Memory::only(memory_bytes_max))
}

/// A session for a client that brings its own catalogue of tables, and with it a type for instants of a zone:
/// that zone is UTC.
pub(crate) fn guest_context(memory: &Memory) -> Result<SessionContext> {
    let mut config = config().with_information_schema(false);
    config.options_mut().execution.time_zone = Some("UTC".to_owned());
    with_config(config, memory)
}

fn config() -> SessionConfig {
    let mut config =
        SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema(CATALOG, SCHEMA);
    // Sketches are read as plain binary: views would be copied into it once more.
    config.options_mut().execution.parquet.schema_force_view_types = false;
    config.options_mut().execution.parquet.pushdown_filters = true;
    config
}

fn with_config(config: SessionConfig, memory: &Memory) -> Result<SessionContext> {
    let mut state = configured(config, memory)?;
    // Tables of one query are not those of another.
    let (catalogues, catalogue) = (MemoryCatalogProviderList::new(), MemoryCatalogProvider::new());
    catalogue.register_schema(SCHEMA, Arc::new(MemorySchemaProvider::new()))?;
    catalogues.register_catalog(CATALOG.to_owned(), Arc::new(catalogue));
    state.register_catalog_list(Arc::new(catalogues));
    Ok(SessionContext::new_with_state(state))
}

fn configured(config: SessionConfig, memory: &Memory) -> Result<SessionState> {
    // A batch is the least that an operator can hold: many of them fit into a small memory only when they are small.
    let rows = (memory.bytes_max / BYTES_PER_ROW_OF_BATCH).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX);
    // Sorts side by side each need room for their last merge, which cannot go to disk.
    let partitions = config.target_partitions().min((memory.bytes_max / BYTES_PER_PARTITION).max(1));
    let mut config = config.with_batch_size(rows).with_target_partitions(partitions);
    let execution = &mut config.options_mut().execution;
    // Of a small memory, what a sort sets aside for its last merge must leave something to sort in.
    let share = memory.bytes_max / SORT_SHARE;
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(share);
    execution.sort_in_place_threshold_bytes = execution.sort_in_place_threshold_bytes.min(share);
    let disk = match (memory.spill_bytes_max, &memory.spill_folder) {
        (0, _) => DiskManagerMode::Disabled,
        (_, Some(folder)) => DiskManagerMode::Directories(vec![folder.clone()]),
        (_, None) => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManagerBuilder::default().with_mode(disk).with_max_temp_directory_size(memory.spill_bytes_max);
    let pool = TrackConsumersPool::new(SharedPool::new(memory.bytes_max), CONSUMERS_NAMED);
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_disk_manager_builder(disk).build_arc()?;
    let mut state = common()?;
    *state.config_mut() = config.with_extension(Arc::new(Runtime(runtime)));
    Ok(state)
}

/// The memory and disk of a query. A state has its own, which only a builder can change, and a builder makes all
/// functions known anew: a tenth of what planning costs.
struct Runtime(Arc<RuntimeEnv>);

/// What a plan runs in, as [`context`] was told.
pub(crate) fn task(task: TaskContext) -> Arc<TaskContext> {
    let runtime = task.session_config().get_extension::<Runtime>();
    Arc::new(match runtime {
        Some(runtime) => task.with_runtime(Arc::clone(&runtime.0)),
        None => task,
    })
}

/// What all sessions begin with: functions, rules and planners, which take milliseconds to put together.
fn common() -> Result<SessionState> {
    static COMMON: OnceLock<SessionState> = OnceLock::new();
    if let Some(common) = COMMON.get() {
        return Ok(common.clone());
    }
    let context = SessionContext::new_with_config(config());
    functions::register(&context)?;
    tiers::install(&context);
    gapfill::install(&context);
    grouping::install(&context);
    lineage::install(&context);
    Ok(COMMON.get_or_init(|| context.state()).clone())
}

/// The state that plans and runs a query, with the moment that `now()` gives all through it.
pub(crate) fn state_at(context: &SessionContext, now_us: i64) -> Result<SessionState> {
    let mut state = context.state();
    let now = DateTime::from_timestamp_micros(now_us)
        .ok_or_else(|| DataFusionError::Plan(format!("{now_us} µs is not a moment that now() could give")))?;
    state.execution_props_mut().query_execution_start_time = Some(now);
    Ok(state)
}
