//! Builds the syntax tree by precedence climbing.

use crate::error::ParseError;
use crate::position::Span;

use super::Grammar;
use super::ast::{AggregateOp, Binary, BinaryOp, Expr, ExprKind, Group, Matching, Subquery, ValueType};
use super::functions::Function;
use super::lexer::{Kind, Token, tokens};
use super::literal::unquote;

/// How deep expressions may nest: every level costs stack in the parser and in the evaluator.
const DEPTH_MAX: usize = 256;
/// How many operators a query may have, for the same reason: a chain of them is as deep as it is long.
const OPERATORS_MAX: usize = 1_000;

pub fn parse(query: &str, grammar: Grammar) -> Result<Expr, ParseError> {
    let tokens = tokens(query)?;
    let mut parser = Parser { query, tokens, at: 0, grammar, selectors: 0, depth: 0, operators: 0 };
    if parser.kind() == Kind::End {
        return Err(parser.fail(parser.token().span, "no expression found in input"));
    }
    let expr = parser.expression(0)?;
    if parser.kind() != Kind::End {
        return Err(parser.unexpected("", ""));
    }
    Ok(expr)
}

pub(super) struct Parser<'a> {
    pub query: &'a str,
    pub tokens: Vec<Token>,
    pub at: usize,
    pub grammar: Grammar,
    pub selectors: usize,
    depth: usize,
    operators: usize,
}

/// Binding strengths; a sign binds like multiplication.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        _ if op.is_comparison() => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Pow => 6,
        _ => 5,
    }
}

/// Words with a meaning of their own, besides operators and aggregations.
const KEYWORDS: [&str; 8] = ["bool", "by", "group_left", "group_right", "ignoring", "offset", "on", "without"];

fn described_name(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if KEYWORDS.contains(&lower.as_str()) {
        format!("<{text}>")
    } else if ["and", "or", "unless", "atan2"].contains(&lower.as_str()) {
        format!("<op:{text}>")
    } else if AggregateOp::ALL.iter().any(|op| op.as_str() == lower) {
        format!("<aggr:{text}>")
    } else {
        format!("{}identifier {text:?}", if text.contains(':') { "metric " } else { "" })
    }
}

impl Parser<'_> {
    pub fn token(&self) -> Token {
        self.tokens[self.at]
    }

    pub fn kind(&self) -> Kind {
        self.token().kind
    }

    pub fn ahead(&self) -> Token {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    pub fn text(&self, token: Token) -> &str {
        &self.query[token.span.start..token.span.end]
    }

    pub fn advance(&mut self) -> Token {
        let token = self.token();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Whether the token is the keyword, in any case of letters.
    pub fn is_keyword(&self, token: Token, keyword: &str) -> bool {
        token.kind == Kind::Identifier && self.text(token).eq_ignore_ascii_case(keyword)
    }

    pub fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(self.token(), keyword);
        if found {
            self.advance();
        }
        found
    }

    pub fn fail(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, span, message)
    }

    /// Prometheus' sentence about a token that does not belong here.
    pub fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        let text = self.text(token);
        let shown = crate::labels::quote(text);
        let found = match token.kind {
            Kind::End => "end of input".to_string(),
            Kind::Identifier => described_name(text),
            Kind::Number => format!("number {shown}"),
            Kind::Duration => format!("duration {shown}"),
            Kind::String => format!("string {shown}"),
            Kind::Operator(_) => format!("<op:{text}>"),
            _ => shown,
        };
        let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        self.fail(token.span, format!("unexpected {found}{context}{expected}"))
    }

    pub fn expect(&mut self, kind: Kind, context: &str, expected: &str) -> Result<Token, ParseError> {
        if self.kind() == kind { Ok(self.advance()) } else { Err(self.unexpected(context, expected)) }
    }

    pub fn expression(&mut self, weakest: u8) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = format!("expression is nested more than {DEPTH_MAX} levels deep");
            return Err(self.fail(self.token().span, message));
        }
        let mut left = self.signed()?;
        while let Some(op) = self.operator() {
            let strength = precedence(op);
            if strength < weakest {
                break;
            }
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                let message = format!("query has more than {OPERATORS_MAX} operators");
                return Err(self.fail(self.token().span, message));
            }
            let op_span = self.advance().span;
            let (return_bool, matching) = self.matching(op, left.span)?;
            // Powers group from the right, everything else from the left.
            let right = self.expression(if op == BinaryOp::Pow { strength } else { strength + 1 })?;
            let span = left.span.to(right.span);
            let binary = Binary { op, left, right, return_bool, matching, op_span };
            left = Expr { kind: ExprKind::Binary(Box::new(binary)), span };
        }
        self.depth -= 1;
        Ok(left)
    }

    fn operator(&self) -> Option<BinaryOp> {
        let token = self.token();
        match token.kind {
            Kind::Operator(op) => Some(op),
            Kind::Identifier => [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless, BinaryOp::Atan2]
                .into_iter()
                .find(|op| self.is_keyword(token, op.as_str())),
            _ => None,
        }
    }

    /// `bool`, `on (…)` or `ignoring (…)`, `group_left (…)` or `group_right (…)` after an operator.
    fn matching(&mut self, op: BinaryOp, left: Span) -> Result<(bool, Matching), ParseError> {
        let return_bool = self.is_modifier("bool") && self.eat_keyword("bool");
        let mut matching = Matching::default();
        let on = self.is_keyword(self.token(), "on");
        if (on || self.is_keyword(self.token(), "ignoring")) && self.ahead().kind == Kind::LeftParen {
            self.advance();
            matching.on = Some(on);
            matching.labels = self.label_list()?;
            for (keyword, group) in [("group_left", Group::Left), ("group_right", Group::Right)] {
                if self.eat_keyword(keyword) {
                    if op.is_set() {
                        return Err(self.fail(left, format!("no grouping allowed for {:?} operation", op.as_str())));
                    }
                    matching.group = Some(group);
                    if self.kind() == Kind::LeftParen {
                        matching.include = self.label_list()?;
                    }
                }
            }
        } else if self.is_keyword(self.token(), "group_left") || self.is_keyword(self.token(), "group_right") {
            return Err(self.unexpected("", ""));
        }
        Ok((return_bool, matching))
    }

    /// Whether the keyword here is a modifier and not the name of a metric: an operand follows it.
    fn is_modifier(&self, keyword: &str) -> bool {
        self.is_keyword(self.token(), keyword)
            && !matches!(
                self.ahead().kind,
                Kind::End | Kind::RightParen | Kind::Comma | Kind::LeftBracket | Kind::At | Kind::RightBracket
            )
    }

    fn signed(&mut self) -> Result<Expr, ParseError> {
        let token = self.token();
        let negate = match token.kind {
            Kind::Operator(BinaryOp::Sub) => true,
            Kind::Operator(BinaryOp::Add) => false,
            _ => return self.with_modifiers(),
        };
        self.advance();
        let operand = self.expression(precedence(BinaryOp::Pow))?;
        let span = token.span.to(operand.span);
        if let ExprKind::Number { value, duration } = operand.kind {
            let value = if negate { -value } else { value };
            return Ok(Expr { kind: ExprKind::Number { value, duration }, span });
        }
        Ok(Expr { kind: ExprKind::Unary { negate, expr: Box::new(operand) }, span })
    }

    fn with_modifiers(&mut self) -> Result<Expr, ParseError> {
        let mut expr = self.primary()?;
        loop {
            if self.kind() == Kind::LeftBracket {
                expr = self.bracket(expr)?;
            } else if self.kind() == Kind::At {
                self.at_modifier(&mut expr)?;
            } else if self.is_keyword(self.token(), "offset") {
                self.offset_modifier(&mut expr)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let token = self.token();
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.advance();
                let value = self.seconds(token)?;
                Ok(Expr { kind: ExprKind::Number { value, duration: token.kind == Kind::Duration }, span: token.span })
            }
            Kind::String => {
                self.advance();
                let text = unquote(self.text(token)).map_err(|why| self.fail(token.span, why))?;
                Ok(Expr { kind: ExprKind::String(text), span: token.span })
            }
            Kind::LeftParen => {
                self.advance();
                let inner = self.expression(0)?;
                let close = self.expect(Kind::RightParen, "parentheses", "\")\"")?;
                Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: token.span.to(close.span) })
            }
            Kind::LeftBrace => self.selector(None),
            Kind::Identifier => self.named(token),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// An aggregation, a call or a selector, whichever the name and the token after it make it.
    fn named(&mut self, token: Token) -> Result<Expr, ParseError> {
        let next = self.ahead();
        let opens = next.kind == Kind::LeftParen;
        let lower = self.text(token).to_ascii_lowercase();
        let aggregate = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower);
        let grouped = self.is_keyword(next, "by") || self.is_keyword(next, "without");
        match aggregate {
            Some(op) if opens || grouped => self.aggregate(op),
            _ if opens => self.call(token),
            _ => self.selector(Some(token)),
        }
    }

    fn call(&mut self, name: Token) -> Result<Expr, ParseError> {
        self.advance();
        let text = self.text(name);
        let known = Function::named(text).filter(|known| !(self.grammar.prometheus_only && known.id.is_own()));
        let Some(function) = known else {
            return Err(self.fail(name.span, format!("unknown function with name {text:?}")));
        };
        if function.experimental && !self.grammar.experimental {
            return Err(self.fail(name.span, format!("function {text:?} is not enabled")));
        }
        let (args, close) = self.arguments("call")?;
        Ok(Expr { kind: ExprKind::Call { function, args }, span: name.span.to(close) })
    }

    pub fn arguments(&mut self, context: &str) -> Result<(Vec<Expr>, Span), ParseError> {
        self.expect(Kind::LeftParen, context, "")?;
        let mut args = Vec::new();
        if self.kind() == Kind::RightParen {
            return Ok((args, self.advance().span));
        }
        loop {
            args.push(self.expression(0)?);
            match self.kind() {
                Kind::Comma => {
                    self.advance();
                    if self.kind() == Kind::RightParen {
                        return Err(self.fail(self.token().span, "trailing commas not allowed in function call args"));
                    }
                }
                Kind::RightParen => return Ok((args, self.advance().span)),
                _ => return Err(self.unexpected(context, "\",\" or \")\"")),
            }
        }
    }

    /// `[range]` or `[range:step]` after an expression.
    fn bracket(&mut self, expr: Expr) -> Result<Expr, ParseError> {
        let open = self.advance();
        let range = self.positive_duration("subquery or range selector")?;
        let is_subquery = self.kind() == Kind::Colon;
        let mut step_ms = None;
        if is_subquery {
            self.advance();
            if self.kind() != Kind::RightBracket {
                step_ms = Some(self.positive_duration("subquery selector")?);
            }
        }
        let close = self.expect(Kind::RightBracket, "subquery or range", "\"]\"")?;
        let span = expr.span.to(close.span);
        if is_subquery {
            if expr.value_type() != ValueType::Vector && expr.value_type() != ValueType::Scalar {
                let found = expr.value_type().documented();
                return Err(self.fail(span, format!("subquery is only allowed on instant vector, got {found} instead")));
            }
            let subquery = Subquery { expr, range_ms: range, step_ms, offset_ms: 0, at: None };
            return Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span });
        }
        let ExprKind::Selector(selector) = expr.kind else {
            return Err(self.fail(open.span.to(close.span), "ranges only allowed for vector selectors"));
        };
        if selector.offset_ms != 0 {
            return Err(self.fail(open.span.to(close.span), "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.fail(open.span.to(close.span), "no @ modifiers allowed before range"));
        }
        Ok(Expr { kind: ExprKind::Range { selector, range_ms: range }, span })
    }
}
