//! Which numbers can be taken apart by a label, and into what.
//!
//! | shape | parts |
//! |---|---|
//! | `sum by (L) (E)`, `count by (L) (E)` | series of `E`: they add up |
//! | one such ÷ another by the same labels | series of both |
//! | `histogram_quantile(q, sum by (L) (E))` | histograms of `E`, native or by `le` |
//! | `histogram_sum(sum by (L) (E))`, `histogram_count(…)` | as a sum, of `histogram_sum(E)` |
//! | one of these plus, minus, times, divided by a constant | the same: a part's share of the change does not depend on it |

use std::collections::BTreeSet;

use tidewatch_promql::parse::ast::{AggregateOp, Binary, BinaryOp, Expr, ExprKind, Grouping, ValueType};
use tidewatch_promql::parse::functions::Func;

/// Something whose series add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Summand {
    /// What gives the series.
    pub expr: Expr,
    /// Whether each series counts as one, whatever its value.
    pub counts_series: bool,
    grouping: Grouping,
}

/// How a number is made of parts.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Their sum.
    Sum(Summand),
    /// A sum divided by another.
    Ratio(Summand, Summand),
    /// A percentile of all observations.
    Quantile {
        /// Between 0 and 1.
        q: f64,
        /// What gives the histograms.
        expr: Expr,
    },
}

impl Shape {
    /// The shape of an expression; `None` where it cannot be taken apart.
    pub fn of(expr: &Expr) -> Option<Shape> {
        if let Some(summand) = summand(expr) {
            return Some(Shape::Sum(summand));
        }
        match &expr.kind {
            ExprKind::Paren(inner) => Shape::of(inner),
            ExprKind::Unary { expr, .. } => Shape::of(expr),
            ExprKind::Call { function, args } if function.id == Func::HistogramQuantile => quantile(args),
            ExprKind::Binary(binary) => match beside_constant(binary) {
                Some(inner) => Shape::of(inner),
                None => ratio(binary),
            },
            _ => None,
        }
    }

    /// What is to be evaluated: one expression, or numerator and denominator.
    pub fn operands(&self) -> Vec<&Expr> {
        match self {
            Shape::Sum(summand) => vec![&summand.expr],
            Shape::Ratio(numerator, denominator) => vec![&numerator.expr, &denominator.expr],
            Shape::Quantile { expr, .. } => vec![expr],
        }
    }

    /// Labels by which the rule itself tells numerator and denominator apart, such as `outcome` in a share of
    /// errors: they say what is counted rather than where it comes from.
    pub fn own_labels(&self) -> BTreeSet<String> {
        let Shape::Ratio(numerator, denominator) = self else { return BTreeSet::new() };
        let (above, below) = (conditions(&numerator.expr), conditions(&denominator.expr));
        above.symmetric_difference(&below).map(|(name, _)| name.clone()).collect()
    }
}

/// Names and texts of all conditions but those on the metric's name.
fn conditions(expr: &Expr) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    expr.walk(&mut |expr| {
        if let ExprKind::Selector(selector) | ExprKind::Range { selector, .. } = &expr.kind {
            let named = selector.matchers.iter().filter(|matcher| matcher.name != "__name__");
            found.extend(named.map(|matcher| (matcher.name.clone(), matcher.to_string())));
        }
    });
    found
}

fn summand(expr: &Expr) -> Option<Summand> {
    match &expr.unwrapped().kind {
        ExprKind::Aggregate(aggregate) if matches!(aggregate.op, AggregateOp::Sum | AggregateOp::Count) => {
            Some(Summand {
                expr: aggregate.expr.clone(),
                counts_series: aggregate.op == AggregateOp::Count,
                grouping: sorted(&aggregate.grouping),
            })
        }
        ExprKind::Call { function, args } if matches!(function.id, Func::HistogramSum | Func::HistogramCount) => {
            let ExprKind::Aggregate(aggregate) = &args.first()?.unwrapped().kind else { return None };
            let call = ExprKind::Call { function, args: vec![aggregate.expr.clone()] };
            (aggregate.op == AggregateOp::Sum).then(|| Summand {
                expr: Expr { kind: call, span: expr.span },
                counts_series: false,
                grouping: sorted(&aggregate.grouping),
            })
        }
        _ => None,
    }
}

fn sorted(grouping: &Grouping) -> Grouping {
    let labels: BTreeSet<&String> = grouping.labels.iter().collect();
    Grouping { without: grouping.without, labels: labels.into_iter().cloned().collect() }
}

fn quantile(args: &[Expr]) -> Option<Shape> {
    let [q, histograms] = args else { return None };
    let ExprKind::Number { value: q, .. } = q.unwrapped().kind else { return None };
    let ExprKind::Aggregate(aggregate) = &histograms.unwrapped().kind else { return None };
    let fits = aggregate.op == AggregateOp::Sum && (0.0..=1.0).contains(&q);
    fits.then(|| Shape::Quantile { q, expr: aggregate.expr.clone() })
}

fn ratio(binary: &Binary) -> Option<Shape> {
    let matching = &binary.matching;
    if binary.op != BinaryOp::Div || matching.group.is_some() || !matching.labels.is_empty() || matching.on.is_some() {
        return None;
    }
    let (numerator, denominator) = (scaled_summand(&binary.left)?, scaled_summand(&binary.right)?);
    (numerator.grouping == denominator.grouping).then_some(Shape::Ratio(numerator, denominator))
}

/// A sum, possibly times a constant, which changes no share.
fn scaled_summand(expr: &Expr) -> Option<Summand> {
    match &expr.unwrapped().kind {
        ExprKind::Binary(binary) if matches!(binary.op, BinaryOp::Mul | BinaryOp::Div) => {
            scaled_summand(beside_constant(binary)?)
        }
        _ => summand(expr),
    }
}

/// The operand of `+ - * /` whose other operand is a constant; a constant is not divided by anything that varies.
fn beside_constant(binary: &Binary) -> Option<&Expr> {
    let fits = matches!(binary.op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div);
    let (left, right) = (&binary.left, &binary.right);
    match (is_constant(left), is_constant(right)) {
        (false, true) if fits => Some(left),
        (true, false) if fits && binary.op != BinaryOp::Div => Some(right),
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    let mut is_constant = expr.value_type() == ValueType::Scalar;
    expr.walk(&mut |expr| is_constant &= !matches!(expr.kind, ExprKind::Call { .. }));
    is_constant
}
