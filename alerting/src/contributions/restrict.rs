//! From the labels of one answer to conditions on the series that it comes from.
//!
//! A condition is put on a selector only where every series that can take part in the answer meets it, so the
//! restricted expression gives the same number and reads less.

use std::collections::{BTreeMap, BTreeSet};

use tidewatch_promql::parse::ast::{Aggregate, Binary, BinaryOp, Expr, ExprKind, Group, Selector, ValueType};
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Labels, Matcher};

/// What is known about the labels of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Labels with their values; an empty value is a label that is not there.
    values: BTreeMap<String, String>,
    /// Whether labels that are neither here nor in `unknown` are not there.
    is_complete: bool,
    /// Labels of which nothing is known.
    unknown: BTreeSet<String>,
}

impl Known {
    /// The labels of an alert's series: those of the alert without what the rule has set, of which the series' own
    /// value is not known.
    pub fn of_alert<'a>(alert: &Labels, set_by_rule: impl IntoIterator<Item = &'a str>) -> Known {
        let mut unknown: BTreeSet<String> = set_by_rule.into_iter().map(str::to_string).collect();
        unknown.extend(["alertname", "__name__"].map(str::to_string));
        let own = alert.iter().filter(|label| !unknown.contains(&*label.name));
        let values = own.map(|label| (label.name.to_string(), label.value.to_string())).collect();
        Known { values, is_complete: true, unknown }
    }

    /// Whether a series with these labels may be the one.
    pub fn admits(&self, labels: &Labels) -> bool {
        let rest = |name: &str| self.values.contains_key(name) || self.unknown.contains(name) || !self.is_complete;
        self.values.iter().all(|(name, value)| labels.get(name) == value)
            && labels.iter().all(|label| rest(&label.name))
    }

    fn value(&self, name: &str) -> Option<&str> {
        if self.unknown.contains(name) {
            return None;
        }
        let known = self.values.get(name).map(String::as_str);
        known.or(self.is_complete.then_some(""))
    }

    /// Of these labels only.
    fn only<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Known {
        let known = names.into_iter().filter_map(|name| Some((name.clone(), self.value(name)?.to_string())));
        Known { values: known.collect(), ..Known::default() }
    }

    fn except<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Known {
        let mut rest = self.clone();
        for name in names {
            rest.values.remove(name);
            rest.unknown.insert(name.clone());
        }
        rest
    }
}

/// Puts conditions on the selectors of an expression, of which an answer's labels are known.
pub fn restrict(expr: &mut Expr, known: &Known) {
    match &mut expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => {}
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => narrow(selector, known),
        ExprKind::Subquery(subquery) => restrict(&mut subquery.expr, known),
        ExprKind::Unary { expr, .. } => restrict(expr, known),
        ExprKind::Paren(inner) => restrict(inner, known),
        ExprKind::Binary(binary) => binary_sides(binary, known),
        ExprKind::Aggregate(aggregate) => grouped(aggregate, known),
        ExprKind::Call { function, args } => {
            let inner = within_call(function.id, known);
            args.iter_mut().for_each(|arg| restrict(arg, &inner));
        }
    }
}

fn narrow(selector: &mut Selector, known: &Known) {
    for (name, value) in &known.values {
        let condition = Matcher::equal(name.clone(), value.clone());
        if !selector.matchers.contains(&condition) {
            selector.matchers.push(condition);
        }
    }
}

fn grouped(aggregate: &mut Aggregate, known: &Known) {
    let names = &aggregate.grouping.labels;
    let inner = if aggregate.grouping.without { known.except(names) } else { known.only(names) };
    restrict(&mut aggregate.expr, &inner);
}

fn within_call(function: Func, known: &Known) -> Known {
    match function {
        // Their labels are not those of the series.
        Func::LabelReplace
        | Func::LabelJoin
        | Func::Absent
        | Func::AbsentOverTime
        | Func::Scalar
        | Func::HistogramQuantiles => Known::default(),
        // Classic buckets lose their bound.
        Func::HistogramQuantile | Func::HistogramFraction => known.except([&"le".to_string()]),
        _ => known.clone(),
    }
}

fn binary_sides(binary: &mut Binary, known: &Known) {
    let is_vector = |expr: &Expr| expr.value_type() == ValueType::Vector;
    if !is_vector(&binary.left) || !is_vector(&binary.right) {
        // A scalar has no labels: what it reads is not narrowed.
        for side in [&mut binary.left, &mut binary.right] {
            if is_vector(side) {
                restrict(side, known);
            }
        }
        return;
    }
    let matching = &binary.matching;
    let is_on = matching.on == Some(true);
    let matched = if is_on { known.only(&matching.labels) } else { known.except(&matching.labels) };
    // The side whose labels the answer has.
    let full = known.except(&matching.include);
    let (left, right) = match (binary.op, matching.group) {
        (BinaryOp::And | BinaryOp::Unless, _) => (known.clone(), matched),
        (_, Some(Group::Left)) => (full, matched),
        (_, Some(Group::Right)) => (matched, full),
        (_, None) => (matched.clone(), matched),
    };
    restrict(&mut binary.left, &left);
    restrict(&mut binary.right, &right);
}
