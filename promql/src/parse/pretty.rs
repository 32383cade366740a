//! The syntax tree as text on several lines, for `/api/v1/format_query`.

use super::ast::{Expr, ExprKind};
use super::display::{aggregation, brackets, operator};

/// Longest line before an expression is split over several.
const LINE_MAX: usize = 100;

/// The expression, split over indented lines where it would be longer than 100 characters.
pub fn pretty(expr: &Expr) -> String {
    lines(expr, 0)
}

fn lines(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    let flat = format!("{indent}{expr}");
    if flat.chars().count() <= LINE_MAX {
        return flat;
    }
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Range { .. } => flat,
        ExprKind::Subquery(subquery) => format!("{}{}", lines(&subquery.expr, level), brackets(subquery)),
        ExprKind::Unary { negate, expr } => {
            let sign = if *negate { "-" } else { "+" };
            format!("{indent}{sign}{}", lines(expr, level).trim_start())
        }
        ExprKind::Paren(inner) => format!("{indent}(\n{}\n{indent})", lines(inner, level + 1)),
        ExprKind::Binary(binary) => format!(
            "{}\n{indent}{}\n{}",
            lines(&binary.left, level + 1),
            operator(binary),
            lines(&binary.right, level + 1)
        ),
        ExprKind::Aggregate(aggregate) => {
            let args = aggregate.param.iter().chain([&aggregate.expr]);
            format!("{indent}{}(\n{}\n{indent})", aggregation(aggregate), arguments(args, level + 1))
        }
        ExprKind::Call { function, args } => {
            format!("{indent}{}(\n{}\n{indent})", function.name, arguments(args.iter(), level + 1))
        }
    }
}

fn arguments<'a>(args: impl Iterator<Item = &'a Expr>, level: usize) -> String {
    args.map(|arg| lines(arg, level)).collect::<Vec<String>>().join(",\n")
}
