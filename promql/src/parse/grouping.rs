//! Aggregations, and the label lists of groupings and matchings.

use crate::error::ParseError;

use super::ast::{Aggregate, AggregateOp, Expr, ExprKind, Grouping};
use super::lexer::Kind;
use super::literal::unquote;
use super::parser::Parser;

impl Parser<'_> {
    pub fn aggregate(&mut self, op: AggregateOp) -> Result<Expr, ParseError> {
        let name = self.advance();
        if op.is_experimental() && !self.grammar.experimental {
            return Err(self.fail(name.span, format!("{}() is experimental and must be enabled", op.as_str())));
        }
        let mut grouping = self.grouping()?;
        let (mut args, close) = self.arguments("aggregation")?;
        let mut span = name.span.to(close);
        if grouping.is_none() {
            grouping = self.grouping()?;
            span.end = self.tokens[self.at - 1].span.end;
        }
        let wanted = if op.has_parameter() { 2 } else { 1 };
        if args.is_empty() {
            return Err(self.fail(span, "no arguments for aggregate expression provided"));
        }
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.fail(span, message));
        }
        let expr = args.remove(wanted - 1);
        let aggregate = Aggregate { op, expr, param: args.pop(), grouping: grouping.unwrap_or_default() };
        Ok(Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span })
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.is_keyword(self.token(), "without");
        if !without && !self.is_keyword(self.token(), "by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    pub fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        const CONTEXT: &str = "grouping opts";
        self.expect(Kind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        while self.kind() != Kind::RightParen {
            let token = self.token();
            match token.kind {
                Kind::Identifier if !self.text(token).contains(':') => labels.push(self.text(token).to_string()),
                Kind::String => {
                    let text = unquote(self.text(token)).map_err(|why| self.fail(token.span, why))?;
                    if text.broken.is_some() || text.text.is_empty() {
                        return Err(self.fail(token.span, "invalid label name for grouping"));
                    }
                    labels.push(text.text);
                }
                _ => return Err(self.unexpected(CONTEXT, "label")),
            }
            self.advance();
            match self.kind() {
                Kind::Comma => drop(self.advance()),
                Kind::RightParen => {}
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \")\"")),
            }
        }
        self.advance();
        Ok(labels)
    }
}
