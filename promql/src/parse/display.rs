//! The syntax tree as text on one line, as Prometheus writes it.

use std::fmt::{self, Display, Formatter};

use crate::duration;
use crate::labels::{METRIC_NAME, is_plain_metric_name, is_plain_name, quote};
use crate::number::plain;

use super::ast::{Aggregate, At, Binary, Expr, ExprKind, Group, Grouping, Matching, Selector, Subquery};

impl Display for Expr {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { value, duration: true } => {
                out.write_str(&duration::format((*value * 1000.0).round() as i64))
            }
            ExprKind::Number { value, .. } => out.write_str(&plain(*value)),
            ExprKind::String(text) => out.write_str(text.broken.as_ref().unwrap_or(&quote(&text.text))),
            ExprKind::Selector(selector) => write!(out, "{selector}{}", modifiers(selector.offset_ms, selector.at)),
            ExprKind::Range { selector, range_ms } => {
                let modifiers = modifiers(selector.offset_ms, selector.at);
                write!(out, "{selector}[{}]{modifiers}", duration::format(*range_ms))
            }
            ExprKind::Subquery(subquery) => write!(out, "{}{}", subquery.expr, brackets(subquery)),
            ExprKind::Unary { negate, expr } => write!(out, "{}{expr}", if *negate { "-" } else { "+" }),
            ExprKind::Paren(inner) => write!(out, "({inner})"),
            ExprKind::Binary(binary) => {
                write!(out, "{} {} {}", binary.left, operator(binary), binary.right)
            }
            ExprKind::Aggregate(aggregate) => {
                write!(out, "{}(", aggregation(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(out, "{param}, ")?;
                }
                write!(out, "{})", aggregate.expr)
            }
            ExprKind::Call { function, args } => {
                write!(out, "{}(", function.name)?;
                for (at, arg) in args.iter().enumerate() {
                    write!(out, "{}{arg}", if at == 0 { "" } else { ", " })?;
                }
                out.write_str(")")
            }
        }
    }
}

/// Name and braces, without brackets and modifiers.
impl Display for Selector {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(name) = &self.name {
            if is_plain_metric_name(name) {
                out.write_str(name)?;
            } else {
                parts.push(quote(name));
            }
        }
        let others = self.matchers.iter().filter(|matcher| self.name.is_none() || matcher.name != METRIC_NAME);
        let mut conditions: Vec<String> = others.map(ToString::to_string).collect();
        conditions.sort();
        parts.append(&mut conditions);
        if parts.is_empty() { Ok(()) } else { write!(out, "{{{}}}", parts.join(",")) }
    }
}

/// ` @ …` and ` offset …`, or nothing.
fn modifiers(offset_ms: i64, at: Option<At>) -> String {
    let mut text = match at {
        Some(At::Time(milliseconds)) => format!(" @ {:.3}", milliseconds as f64 / 1000.0),
        Some(At::Start) => " @ start()".to_string(),
        Some(At::End) => " @ end()".to_string(),
        None => String::new(),
    };
    if offset_ms != 0 {
        text.push_str(&format!(" offset {}", duration::format(offset_ms)));
    }
    text
}

/// `[range:step]` and the modifiers of a subquery.
pub(super) fn brackets(subquery: &Subquery) -> String {
    let step = subquery.step_ms.map(duration::format).unwrap_or_default();
    format!("[{}:{step}]{}", duration::format(subquery.range_ms), modifiers(subquery.offset_ms, subquery.at))
}

/// The operator with its modifiers.
pub(super) fn operator(binary: &Binary) -> String {
    let return_bool = if binary.return_bool { " bool" } else { "" };
    format!("{}{return_bool}{}", binary.op.as_str(), matching(&binary.matching))
}

fn matching(matching: &Matching) -> String {
    let keyword = match matching.on {
        Some(true) => "on",
        Some(false) if matching.labels.is_empty() && matching.group.is_none() => return String::new(),
        Some(false) => "ignoring",
        None => return String::new(),
    };
    let group = match matching.group {
        Some(Group::Left) => format!(" group_left ({})", labels(&matching.include)),
        Some(Group::Right) => format!(" group_right ({})", labels(&matching.include)),
        None => String::new(),
    };
    format!(" {keyword} ({}){group}", labels(&matching.labels))
}

/// The operator of an aggregation with its grouping, without what follows in parentheses.
pub(super) fn aggregation(aggregate: &Aggregate) -> String {
    let Grouping { without, labels: names } = &aggregate.grouping;
    let name = aggregate.op.as_str();
    match (without, names.is_empty()) {
        (true, _) => format!("{name} without ({}) ", labels(names)),
        (false, false) => format!("{name} by ({}) ", labels(names)),
        (false, true) => name.to_string(),
    }
}

fn labels(names: &[String]) -> String {
    let quoted = names.iter().map(|name| if is_plain_name(name) { name.clone() } else { quote(name) });
    quoted.collect::<Vec<String>>().join(", ")
}
