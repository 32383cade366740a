//! What an answer of SQL is known by, see [`crate::results`]. A query that calls `now()`, or anything else that is not
//! the same twice, is not kept.

use super::{Answer, SqlError};
use crate::results::{Identity, Kept, Stretch, union, windows};
use crate::snapshot::Snapshot;
use crate::table::RollupTable;
use crate::tiers::{Folding, asked_of, chain_of};
use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_128;

impl Kept for Answer {
    fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.get_array_memory_size()).sum::<usize>() + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests;

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
