//! Which rules read what other rules write.

use std::collections::BTreeSet;

use tidewatch_promql::parse::ast::{At, Expr, ExprKind, Selector};
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Grammar, MatchOp, Query};

use crate::rules::{Group, Rule};
use crate::state::series::{ALERTS, ALERTS_FOR_STATE};

/// The reading and writing of a list of rules.
pub struct Reads {
    /// For each rule, whether its results are read by a rule.
    is_read: Vec<bool>,
    /// Who reads what which rule writes.
    pairs: Vec<(usize, usize)>,
    /// For each rule, how far back it reads, in milliseconds, beyond the lookback.
    back_ms: Vec<i64>,
}

/// Rules that are run side by side, block by block.
#[derive(Debug, PartialEq, Eq)]
pub struct Together {
    /// Their places, in order.
    pub places: Vec<usize>,
    /// Whether they must be evaluated instant by instant.
    pub needs_instants: bool,
    /// How far back what is written may be read, in milliseconds, beyond the lookback.
    pub range_ms: i64,
}

/// Names of series that a query reads; `None` where it is not one name.
struct Selected {
    names: BTreeSet<Option<String>>,
    /// How far back from the instant, in milliseconds; `i64::MAX` with an instant of its own.
    back_ms: i64,
}

impl Reads {
    /// Of rules in the order in which they are evaluated; templates are asked in `grammar`.
    pub fn of(rules: &[(&Group, &Rule)], grammar: Grammar) -> Reads {
        let selected: Vec<Selected> = rules.iter().map(|(_, rule)| select_of(rule, grammar)).collect();
        let writes = |rule: &Rule, name: &str| match rule {
            Rule::Recording(rule) => *rule.name == *name,
            Rule::Alerting(_) => name == ALERTS || name == ALERTS_FOR_STATE,
        };
        let reads = |reader: usize, writer: usize| {
            selected[reader].names.iter().any(|name| name.as_deref().is_none_or(|name| writes(rules[writer].1, name)))
        };
        let all = 0..rules.len();
        let mut is_read = vec![false; rules.len()];
        let mut pairs = Vec::new();
        for reader in all.clone() {
            for writer in all.clone().filter(|writer| reads(reader, *writer)) {
                is_read[writer] = true;
                pairs.push((reader, writer));
            }
        }
        Reads { is_read, pairs, back_ms: selected.into_iter().map(|selected| selected.back_ms).collect() }
    }

    /// Whether any rule reads the results, or the `ALERTS`, of rule `place`.
    pub fn is_read(&self, place: usize) -> bool {
        self.is_read[place]
    }

    /// The rules by who must be run beside whom: rules with the same step, and a rule and what it reads. `steps_ms` has
    /// the step of each rule.
    pub fn together(&self, steps_ms: &[i64]) -> Vec<Together> {
        // Each rule has the number of the first rule that it goes with.
        let first_of = |step_ms: &i64| steps_ms.iter().position(|other| other == step_ms).unwrap_or(0);
        let mut first: Vec<usize> = steps_ms.iter().map(first_of).collect();
        for (reader, writer) in &self.pairs {
            let (one, other) = (first[*reader], first[*writer]);
            let (low, high) = (one.min(other), one.max(other));
            first.iter_mut().filter(|first| **first == high).for_each(|first| *first = low);
        }
        let firsts: BTreeSet<usize> = first.iter().copied().collect();
        let of = |number: &usize| {
            let within = || self.pairs.iter().filter(|(reader, _)| first[*reader] == *number);
            Together {
                places: (0..first.len()).filter(|place| first[*place] == *number).collect(),
                needs_instants: within().any(|(reader, writer)| writer >= reader),
                range_ms: within().map(|(reader, _)| self.back_ms[*reader]).max().unwrap_or(0),
            }
        };
        firsts.iter().map(of).collect()
    }
}

impl Together {
    /// How far back before a block of `block_ms` what was written can still be read, in milliseconds.
    pub fn reach_ms(&self, block_ms: i64, lookback_ms: i64) -> i64 {
        self.range_ms.saturating_add(lookback_ms).saturating_add(block_ms).min(i64::MAX / 4)
    }
}

/// How far before an instant a query reads, in milliseconds, beyond the lookback; more than any stretch where it names an
/// instant of its own.
pub fn back_ms(query: &Query) -> i64 {
    select(query).back_ms
}

fn select(query: &Query) -> Selected {
    let mut selected = Selected { names: BTreeSet::new(), back_ms: 0 };
    visit(query.expr(), 0, &mut selected);
    selected
}

/// What a rule reads, what its templates ask for among it.
fn select_of(rule: &Rule, grammar: Grammar) -> Selected {
    let mut selected = select(rule.query());
    if let Rule::Alerting(rule) = rule {
        let templates = rule.labels.iter().chain(&rule.annotations);
        for text in templates.flat_map(|(_, template)| template.asked()) {
            // Not every text of a template is a query.
            if let Ok(query) = Query::parse(&text, grammar) {
                visit(query.expr(), 0, &mut selected);
            }
        }
    }
    selected
}

fn visit(expr: &Expr, around_ms: i64, selected: &mut Selected) {
    let mut add = |selector: &Selector, range_ms: i64| {
        let name = selector.matchers.iter().find(|one| one.name == "__name__" && one.op == MatchOp::Equal);
        selected.names.insert(name.map(|one| one.value.clone()));
        let back_ms = around_ms.saturating_add(range_ms).saturating_add(selector.offset_ms.max(0));
        selected.back_ms = selected.back_ms.max(if selector.at.is_some() { i64::MAX / 4 } else { back_ms });
    };
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => {}
        ExprKind::Selector(selector) => add(selector, 0),
        ExprKind::Range { selector, range_ms } => add(selector, *range_ms),
        ExprKind::Subquery(subquery) => {
            let back_ms = subquery.range_ms.saturating_add(subquery.offset_ms.max(0));
            let back_ms = if subquery.at.is_some() { i64::MAX / 4 } else { back_ms };
            visit(&subquery.expr, around_ms.saturating_add(back_ms), selected);
        }
        ExprKind::Unary { expr, .. } => visit(expr, around_ms, selected),
        ExprKind::Paren(expr) => visit(expr, around_ms, selected),
        ExprKind::Binary(binary) => {
            visit(&binary.left, around_ms, selected);
            visit(&binary.right, around_ms, selected);
        }
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| visit(param, around_ms, selected));
            visit(&aggregate.expr, around_ms, selected);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| visit(arg, around_ms, selected)),
    }
}

/// Whether a query means something else over a range than at its instants: it asks for the range's ends.
pub fn depends_on_range(query: &Query) -> bool {
    let mut depends = false;
    query.expr().walk(&mut |expr| {
        let is_end = |at: Option<At>| matches!(at, Some(At::Start | At::End));
        depends |= match &expr.kind {
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => is_end(selector.at),
            ExprKind::Subquery(subquery) => is_end(subquery.at),
            ExprKind::Call { function, .. } => {
                matches!(function.id, Func::Start | Func::End | Func::Range | Func::Step)
            }
            _ => false,
        };
    });
    depends
}
