//! From text to a checked syntax tree.
//!
//! `lexer` cuts the text, `parser` builds the tree (operator precedence climbing), [`check`] holds the tree to
//! PromQL's types, [`display`] and [`pretty`] turn it back into text.

pub mod ast;
pub mod check;
pub mod detectors;
pub mod display;
pub mod functions;
mod grouping;
mod lexer;
mod literal;
mod parser;
pub mod pretty;
mod selector;

use crate::error::ParseError;
use ast::Expr;

/// What the grammar lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grammar {
    /// Functions and aggregations that Prometheus hides behind `--enable-feature=promql-experimental-functions`.
    pub experimental: bool,
    /// Only what Prometheus has: functions of our own ([`detectors`]) are unknown.
    pub prometheus_only: bool,
}

/// Parses and checks a query.
///
/// # Errors
/// The first place where the text is not PromQL, or where the types do not fit.
pub fn parse(query: &str, grammar: Grammar) -> Result<Expr, ParseError> {
    let expr = parser::parse(query, grammar)?;
    check::check(&expr, query)?;
    Ok(expr)
}

/// Parses a selector alone, as the `match[]` parameter of the series API gives it: its matchers, the name of
/// the metric among them as an equality of `__name__`.
///
/// # Errors
/// The first place where the text is no selector, or where there is more than a selector.
pub fn parse_selector(text: &str) -> Result<Vec<crate::matcher::Matcher>, ParseError> {
    let expr = parse(text, Grammar::default())?;
    match expr.kind {
        ast::ExprKind::Selector(selector) if selector.offset_ms == 0 && selector.at.is_none() => Ok(selector.matchers),
        _ => Err(ParseError::new(text, expr.span, "expected a selector and nothing else")),
    }
}

#[cfg(test)]
mod tests;
