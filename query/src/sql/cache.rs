//! Answers that are given again as long as nothing that they were made of has changed.
//!
//! An answer is known by the text of its query, the definitions in force, and for every table that it reads by
//! what the answer depends on:
//!
//! - of a table of windows, the stretch of time that the query asks for: the files with windows of that time
//!   (a file never changes, and its name is used once), how far back every width is kept, and that no row in
//!   memory lies in that time;
//! - of any other table, its version, and that no row of it is in memory.
//!
//! So commits of newer windows do not matter to a query over last week, and a late event does, at once: first
//! as a row in memory, then as a file. While windows of that time are still open, what is known of their
//! completeness belongs to the identity too. A query that calls `now()`, or anything else that is not the same
//! twice, is not kept.

use super::{Answer, SqlError};
use crate::metrics::{CacheCounters, CacheOutcome};
use crate::snapshot::{Snapshot, SnapshotTable};
use crate::table::RollupTable;
use crate::tiers::{Folding, asked_of, chain_of};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use tidewatch_engine::rollup::Tier;
use tidewatch_engine::time::window_start;
use xxhash_rust::xxh3::xxh3_128;

/// Answers that are expected to be in it; the bound is on their bytes.
const ANSWERS_EXPECTED: usize = 1000;
/// A larger share of the cache for one answer would throw too much else out.
const SHARE_MAX: u64 = 4;

/// What an answer is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// The query, without its comments and white space.
    statement: String,
    /// The definitions in force.
    generation: u64,
    /// Of the states that it depends on.
    states: u128,
}

/// Kept answers, oldest and least asked for thrown out first.
pub(super) struct ResultCache {
    answers: Option<Cache<Identity, Arc<Answer>, Bytes, DefaultHashBuilder, Evictions>>,
    bytes_max: u64,
    counters: CacheCounters,
}

impl fmt::Debug for ResultCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Identity, Arc<Answer>> for Bytes {
    fn weight(&self, identity: &Identity, answer: &Arc<Answer>) -> u64 {
        weight(identity, answer)
    }
}

fn weight(identity: &Identity, answer: &Answer) -> u64 {
    let batches: usize = answer.batches.iter().map(|b| b.get_array_memory_size()).sum();
    (batches + identity.statement.len() + size_of::<Answer>()) as u64
}

/// Counts what is thrown out.
#[derive(Debug, Clone)]
struct Evictions(CacheCounters);

impl Lifecycle<Identity, Arc<Answer>> for Evictions {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, _state: &mut (), _identity: Identity, _answer: Arc<Answer>) {
        self.0.evicted();
    }
}

impl ResultCache {
    /// A cache of so many bytes; 0: none.
    pub fn new(bytes_max: u64, counters: CacheCounters) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(ANSWERS_EXPECTED)
            .weight_capacity(bytes_max)
            // One shard: the bound is that of all answers together.
            .shards(1)
            .build()
            .ok()
            .filter(|_| bytes_max > 0);
        let answers = options.map(|options| {
            Cache::with_options(options, Bytes, DefaultHashBuilder::default(), Evictions(counters.clone()))
        });
        Self { answers, bytes_max, counters }
    }

    /// A kept answer.
    pub fn get(&self, identity: &Identity) -> Option<Arc<Answer>> {
        let found = self.answers.as_ref()?.get(identity);
        match &found {
            Some(_) => self.counters.count(CacheOutcome::Hit),
            None => self.counters.count(CacheOutcome::Miss),
        }
        found
    }

    /// Keeps an answer, if it is not too large a part of the whole.
    pub fn keep(&self, identity: Identity, answer: &Answer) {
        let Some(answers) = &self.answers else { return };
        if weight(&identity, answer) <= self.bytes_max / SHARE_MAX {
            answers.insert(identity, Arc::new(answer.clone()));
        }
    }

    /// Is anything kept at all?
    pub fn is_on(&self) -> bool {
        self.answers.is_some()
    }

    /// A query that cannot be kept was asked.
    pub fn not_kept(&self) {
        self.counters.count(CacheOutcome::NotKept);
    }
}

#[cfg(test)]
mod tests;

/// A stretch of windows, half-open, microseconds since the epoch; `None`: all there are.
type Stretch = (Option<i64>, Option<i64>);

/// What a query reads. `None`: something that has no identity.
#[derive(Debug, Default)]
struct Reads {
    windows: BTreeMap<String, Stretch>,
    whole: Vec<String>,
}

/// The identity of the answer that a plan will give over a snapshot. `None`: it has none, ask every time.
pub(super) fn identity(
    statement: &str,
    plan: &LogicalPlan,
    state: &SessionState,
    snapshot: &Snapshot,
    generation: u64,
) -> Result<Option<Identity>, SqlError> {
    let internal = |e: datafusion::common::DataFusionError| SqlError::Execution(e.to_string());
    let analyzed = state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
    // What is wrong with it will be said when it runs.
    let Ok(analyzed) = analyzed else { return Ok(None) };
    let mut reads = Reads::default();
    if !reads.read(&analyzed, &Folding::new(state), snapshot).map_err(internal)? {
        return Ok(None);
    }
    if reads.windows.is_empty() && reads.whole.is_empty() {
        return Ok(None);
    }
    let mut states = String::new();
    for (name, stretch) in &reads.windows {
        let Some(table) = snapshot.tables.get(name) else { return Ok(None) };
        match windows(table, *stretch)? {
            Some(state) => _ = writeln!(states, "{name} {state}"),
            None => return Ok(None),
        }
    }
    for name in &reads.whole {
        let Some(table) = snapshot.tables.get(name).filter(|t| t.live.is_empty()) else { return Ok(None) };
        let _ = writeln!(states, "{name} version {:?} {:?} {}", table.version, table.rollup, table.schema);
    }
    let (statement, states) = (statement.to_owned(), xxh3_128(states.as_bytes()));
    Ok(Some(Identity { statement, generation, states }))
}

impl Reads {
    /// Adds what a plan reads. False: it reads something without an identity, or is not the same twice.
    fn read(&mut self, plan: &LogicalPlan, folding: &Folding, snapshot: &Snapshot) -> Result<bool> {
        if let Some((scan, nodes)) = chain_of(plan) {
            let provider = source_as_provider(&scan.source);
            if let Some(table) = provider.as_ref().ok().and_then(|p| p.downcast_ref::<RollupTable>()) {
                let asked = asked_of(plan, table, folding);
                self.windows
                    .entry(table.rollup().name.clone())
                    .and_modify(|known| *known = union(*known, asked))
                    .or_insert(asked);
                for node in nodes {
                    if !self.expressions(node, folding, snapshot)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
        }
        if !self.expressions(plan, folding, snapshot)? {
            return Ok(false);
        }
        if let LogicalPlan::TableScan(scan) = plan {
            if let Some(view) = scan.source.get_logical_plan() {
                return self.read(&view, folding, snapshot);
            }
            let name = scan.table_name.table();
            let is_ours = scan.table_name.schema().is_none() && snapshot.tables.contains_key(name);
            self.whole.push(name.to_owned());
            return Ok(is_ours);
        }
        for input in plan.inputs() {
            if !self.read(input, folding, snapshot)? {
                return Ok(false);
            }
        }
        Ok(!matches!(plan, LogicalPlan::Extension(_) | LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)))
    }

    /// Are the expressions of a node the same twice, and what their subqueries read?
    fn expressions(&mut self, node: &LogicalPlan, folding: &Folding, snapshot: &Snapshot) -> Result<bool> {
        let mut is_stable = true;
        node.apply_expressions(|expr| {
            is_stable &= !expr.exists(|e| Ok(changes(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !is_stable {
            return Ok(false);
        }
        node.apply_subqueries(|subquery| {
            is_stable &= self.read(subquery, folding, snapshot)?;
            Ok(TreeNodeRecursion::Jump)
        })?;
        Ok(is_stable)
    }
}

/// Is it another value in the next query?
fn changes(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(function) => function.func.signature().volatility != Volatility::Immutable,
        Expr::AggregateFunction(function) => function.func.signature().volatility != Volatility::Immutable,
        Expr::Placeholder(_) | Expr::ScalarVariable(..) => true,
        _ => false,
    }
}

fn union(a: Stretch, b: Stretch) -> Stretch {
    (a.0.zip(b.0).map(|(a, b)| a.min(b)), a.1.zip(b.1).map(|(a, b)| a.max(b)))
}

/// What the windows of a stretch of time depend on. `None`: on rows in memory.
fn windows(table: &SnapshotTable, stretch: Stretch) -> Result<Option<String>, SqlError> {
    let Some(rollup) = &table.rollup else { return Ok(None) };
    // Windows of the widest tier that touch the stretch are read whole.
    let widest = tidewatch_engine::life_cycle::tiers_of(rollup).iter().map(|t: &Tier| t.pane_us).max().unwrap_or(1);
    let from = stretch.0.map(|from| window_start(from, widest));
    let to = stretch.1.map(|to| window_start(to.saturating_sub(1), widest).saturating_add(widest));
    let is_within = |time: i64| from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to);
    for batch in table.live.iter().filter(|b| b.num_rows() > 0) {
        let starts = batch.columns().first().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let Some(starts) = starts else { return Ok(None) };
        if starts.iter().any(|start| start.is_none_or(is_within)) {
            return Ok(None);
        }
    }
    let mut state = format!("{:?} {rollup:?} {:?} ", table.schema, table.boundaries);
    let completeness = &table.completeness;
    let is_closed = to.is_some_and(|to| to <= completeness.complete_until_us) && completeness.unfilled.is_none();
    match is_closed {
        true => state.push_str("closed"),
        false => _ = write!(state, "{completeness:?}"),
    }
    for file in table.files()? {
        let touches = file
            .times
            .is_none_or(|(first, last)| to.is_none_or(|to| first < to) && from.is_none_or(|from| last >= from));
        if touches {
            let _ = write!(state, " {}", file.path);
        }
    }
    Ok(Some(state))
}
