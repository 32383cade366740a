//! A part of a catalogue: one table, and of its measures some. A backfill counts only that.

use super::{Catalog, DIGESTS, RollupPlan, SourcePlan};
use datafusion::physical_expr::expressions::Literal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Catalog {
    /// What is left when only `table` is counted, and of its measures only those that `fills` names; the
    /// others stay as if no event had come. `with_digest`: its events are noted in the digests as well.
    ///
    /// Events are accepted and refused exactly as by the whole catalogue: the columns stay those that all
    /// rollups need, and so do the sources that share a type with those of the table.
    pub fn part(&self, table: &str, with_digest: bool, fills: &dyn Fn(&str) -> bool) -> Self {
        let is_counted = |source: &SourcePlan| source.rollups.iter().any(|r| r.schema.name == table);
        let types: BTreeSet<&str> =
            self.sources.iter().filter(|s| is_counted(s)).map(|s| s.def.event_type.as_str()).collect();
        let mut part = Self { sources: Vec::new(), unused: self.unused.clone(), personal: self.personal.clone() };
        for source in &self.sources {
            if types.contains(source.def.event_type.as_str()) {
                part.sources.push(Arc::new(source.part(table, with_digest, fills)));
            } else {
                part.unused.push(source.def.clone());
            }
        }
        part
    }
}

impl SourcePlan {
    fn part(&self, table: &str, with_digest: bool, fills: &dyn Fn(&str) -> bool) -> Self {
        let is_wanted =
            |r: &&RollupPlan| r.schema.name == table || (with_digest && self.digests(r).as_deref() == Some(table));
        let mut rollups: Vec<RollupPlan> = self.rollups.iter().filter(is_wanted).cloned().collect();
        for rollup in rollups.iter_mut().filter(|r| r.schema.name == table) {
            let named = rollup.schema.measures.iter().zip(&mut rollup.measures);
            named.filter(|(measure, _)| !fills(&measure.name)).for_each(|(_, plan)| *plan = None);
        }
        let mut dimensions = Numbering::default();
        for rollup in &mut rollups {
            rollup.dimensions.iter_mut().for_each(|d| *d = dimensions.number(*d));
        }
        let mut exprs = Numbering::default();
        let dimensions: Vec<_> = dimensions.order.iter().map(|&d| self.dimensions[d]).collect();
        let dimensions = dimensions.into_iter().map(|(expr, value)| (exprs.number(expr), value)).collect();
        for rollup in &mut rollups {
            rollup.predicate.iter_mut().for_each(|p| *p = exprs.number(*p));
            for measure in rollup.measures.iter_mut().flatten() {
                measure.arguments.iter_mut().chain(&mut measure.filter).for_each(|e| *e = exprs.number(*e));
            }
        }
        Self {
            def: self.def.clone(),
            columns: Arc::clone(&self.columns),
            exprs: exprs.order.iter().map(|&e| Arc::clone(&self.exprs[e])).collect(),
            dimensions,
            rollups,
        }
    }
}

impl SourcePlan {
    /// The table whose events a plan notes in the digests: its only dimension is that name.
    fn digests(&self, rollup: &RollupPlan) -> Option<String> {
        let &dimension = rollup.dimensions.first().filter(|_| rollup.schema.name == DIGESTS)?;
        let expr = &self.exprs[self.dimensions[dimension].0];
        let name = expr.downcast_ref::<Literal>()?.value().try_as_str()??;
        Some(name.to_owned())
    }
}

/// Gives new numbers to the old ones that are still used.
#[derive(Debug, Default)]
struct Numbering {
    new: BTreeMap<usize, usize>,
    /// Old numbers by new number.
    order: Vec<usize>,
}

impl Numbering {
    fn number(&mut self, old: usize) -> usize {
        *self.new.entry(old).or_insert_with(|| {
            self.order.push(old);
            self.order.len() - 1
        })
    }
}

#[cfg(test)]
mod tests;
