//! The value that a condition compares.

use tidewatch_promql::parse::ast::{BinaryOp, Expr, ExprKind, ValueType};

/// What an alert's value comes from: the expression without comparisons and without guards (`and …`, `unless …`).
/// Several where it is one or the other (`or`). None where nothing is read.
pub fn values(expr: &Expr) -> Vec<Expr> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found.retain(reads_series);
    found
}

fn collect(expr: &Expr, found: &mut Vec<Expr>) {
    match &expr.kind {
        ExprKind::Paren(inner) => collect(inner, found),
        ExprKind::Binary(binary) if binary.op.is_comparison() && !binary.return_bool => {
            let is_turned = binary.left.value_type() == ValueType::Scalar;
            collect(if is_turned { &binary.right } else { &binary.left }, found);
        }
        ExprKind::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Unless) => {
            collect(&binary.left, found);
        }
        ExprKind::Binary(binary) if binary.op == BinaryOp::Or => {
            collect(&binary.left, found);
            collect(&binary.right, found);
        }
        _ => found.push(expr.clone()),
    }
}

/// Whether any series are read.
fn reads_series(expr: &Expr) -> bool {
    let mut reads = false;
    expr.walk(&mut |expr| reads |= matches!(expr.kind, ExprKind::Selector(_) | ExprKind::Range { .. }));
    reads
}

/// The widest range that is looked back over, in milliseconds; 0 where there is none.
pub fn range_ms(expr: &Expr) -> i64 {
    let mut widest = 0;
    expr.walk(&mut |expr| match &expr.kind {
        ExprKind::Range { range_ms, .. } => widest = widest.max(*range_ms),
        ExprKind::Subquery(subquery) => widest = widest.max(subquery.range_ms),
        _ => {}
    });
    widest
}
