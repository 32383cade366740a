//! Selectors and what may follow them: matchers, durations, `offset`, `@`.

use crate::error::ParseError;
use crate::labels::METRIC_NAME;
use crate::matcher::{MatchOp, Matcher};
use crate::position::Span;

use super::ast::{At, BinaryOp, Expr, ExprKind, Selector};
use super::lexer::{Kind, Token};
use super::literal::unquote;
use super::parser::Parser;

const CONTEXT: &str = "label matching";

/// What stands between braces.
struct Braces {
    matchers: Vec<Matcher>,
    /// The name of the metric, in quotes without a label before it.
    name: Option<(String, Span)>,
    /// Where the braces close.
    close: Span,
}

impl Parser<'_> {
    /// A selector whose name, if it has one, is the current token.
    pub fn selector(&mut self, name: Option<Token>) -> Result<Expr, ParseError> {
        let mut span = self.token().span;
        let mut written = None;
        let mut matchers = Vec::new();
        if let Some(token) = name {
            self.advance();
            written = Some(self.text(token).to_string());
        }
        if self.kind() == Kind::LeftBrace {
            let braces = self.braces()?;
            span = span.to(braces.close);
            matchers = braces.matchers;
            if let Some((quoted, quoted_span)) = braces.name {
                if let Some(first) = &written {
                    return Err(self.name_twice(first, &quoted, quoted_span));
                }
                written = Some(quoted);
            }
        }
        if let Some(name) = &written {
            if let Some(other) = matchers.iter().find(|matcher| matcher.name == METRIC_NAME) {
                return Err(self.name_twice(name, &other.value, span));
            }
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(self.fail(span, "vector selector must contain at least one non-empty matcher"));
        }
        let id = self.selectors;
        self.selectors += 1;
        Ok(Expr { kind: ExprKind::Selector(Selector { name: written, matchers, offset_ms: 0, at: None, id }), span })
    }

    fn name_twice(&self, first: &str, second: &str, span: Span) -> ParseError {
        self.fail(span, format!("metric name must not be set twice: {first:?} or {second:?}"))
    }

    fn braces(&mut self) -> Result<Braces, ParseError> {
        self.advance();
        let (mut matchers, mut name): (Vec<Matcher>, Option<(String, Span)>) = (Vec::new(), None);
        while self.kind() != Kind::RightBrace {
            let token = self.token();
            let label = match token.kind {
                Kind::Identifier => self.text(token).to_string(),
                Kind::String => self.unquoted(token)?,
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            self.advance();
            if token.kind == Kind::String && matches!(self.kind(), Kind::Comma | Kind::RightBrace) {
                if let Some((first, _)) = &name {
                    return Err(self.name_twice(first, &label, token.span));
                }
                name = Some((label, token.span));
            } else {
                matchers.push(self.matcher(label, token.span)?);
            }
            match self.kind() {
                Kind::Comma => drop(self.advance()),
                Kind::RightBrace => {}
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \"}\"")),
            }
        }
        Ok(Braces { matchers, name, close: self.advance().span })
    }

    fn matcher(&mut self, label: String, label_span: Span) -> Result<Matcher, ParseError> {
        let op = match self.kind() {
            Kind::Equal => MatchOp::Equal,
            Kind::Operator(BinaryOp::Ne) => MatchOp::NotEqual,
            Kind::RegexEqual => MatchOp::Regex,
            Kind::RegexNotEqual => MatchOp::NotRegex,
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance();
        let token = self.expect(Kind::String, CONTEXT, "string")?;
        let value = unquote(self.text(token)).map_err(|why| self.fail(token.span, why))?.text;
        Matcher::new(label, op, value)
            .map_err(|error| self.fail(label_span, format!("error parsing regexp: {}", last_line(&error))))
    }

    fn unquoted(&self, token: Token) -> Result<String, ParseError> {
        let text = unquote(self.text(token)).map_err(|why| self.fail(token.span, why))?;
        match text.broken {
            Some(broken) => Err(self.fail(token.span, format!("invalid label name {broken}"))),
            None => Ok(text.text),
        }
    }

    /// A number, or a duration in seconds.
    pub fn seconds(&self, token: Token) -> Result<f64, ParseError> {
        let text = self.text(token);
        let value = match token.kind {
            Kind::Duration => crate::duration::parse(text).ok().map(|milliseconds| milliseconds as f64 / 1000.0),
            _ => crate::number::parse(text),
        };
        value.ok_or_else(|| self.fail(token.span, format!("error parsing number: {text:?}")))
    }

    /// A number of seconds or a duration; in milliseconds.
    fn milliseconds(&mut self, context: &str) -> Result<i64, ParseError> {
        let token = self.token();
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected(context, "number or duration"));
        }
        self.advance();
        if token.kind == Kind::Duration {
            return crate::duration::parse(self.text(token)).map_err(|why| self.fail(token.span, why));
        }
        let seconds = self.seconds(token)?;
        // 2^63 nanoseconds, the longest duration of Prometheus.
        if !seconds.is_finite() || seconds.abs() >= 9_223_372_036.0 {
            return Err(self.fail(token.span, "duration out of range"));
        }
        Ok((seconds * 1000.0).round() as i64)
    }

    pub fn positive_duration(&mut self, context: &str) -> Result<i64, ParseError> {
        let span = self.token().span;
        if matches!(self.kind(), Kind::Operator(BinaryOp::Sub)) {
            return Err(self.fail(span, "duration must be greater than 0"));
        }
        match self.milliseconds(context)? {
            positive if positive > 0 => Ok(positive),
            _ => Err(self.fail(span, "duration must be greater than 0")),
        }
    }

    /// A sign, if there is one; whether it is a minus.
    fn sign(&mut self) -> bool {
        let negative = self.kind() == Kind::Operator(BinaryOp::Sub);
        if negative || self.kind() == Kind::Operator(BinaryOp::Add) {
            self.advance();
        }
        negative
    }

    pub fn offset_modifier(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        let keyword = self.advance().span;
        let negative = self.sign();
        let milliseconds = self.milliseconds("offset")?;
        expr.span.end = expr.span.end.max(self.previous_end());
        let Some((offset_ms, _)) = time_modifiers(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(self.fail(expr.span, message));
        };
        if *offset_ms != 0 {
            return Err(self.fail(keyword, "offset may not be set multiple times"));
        }
        *offset_ms = if negative { -milliseconds } else { milliseconds };
        Ok(())
    }

    pub fn at_modifier(&mut self, expr: &mut Expr) -> Result<(), ParseError> {
        let sign = self.advance().span;
        let instant = self.at_instant()?;
        expr.span.end = expr.span.end.max(self.previous_end());
        let Some((_, at)) = time_modifiers(expr) else {
            let message =
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.fail(expr.span, message));
        };
        if at.is_some() {
            return Err(self.fail(sign, "@ <timestamp> may not be set multiple times"));
        }
        *at = Some(instant);
        Ok(())
    }

    fn at_instant(&mut self) -> Result<At, ParseError> {
        for (keyword, at) in [("start", At::Start), ("end", At::End)] {
            if self.eat_keyword(keyword) {
                self.expect(Kind::LeftParen, "@", "\"(\"")?;
                self.expect(Kind::RightParen, "@", "\")\"")?;
                return Ok(at);
            }
        }
        let negative = self.sign();
        let token = self.token();
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return Err(self.unexpected("@", "timestamp"));
        }
        self.advance();
        let seconds = self.seconds(token)?;
        if !seconds.is_finite() || seconds.abs() >= 9_223_372_036_854_775.0 {
            return Err(self.fail(token.span, format!("timestamp out of bounds for @ modifier: {seconds}")));
        }
        let milliseconds = (seconds * 1000.0).round() as i64;
        Ok(At::Time(if negative { -milliseconds } else { milliseconds }))
    }

    fn previous_end(&self) -> usize {
        self.token().span.start.min(self.query.len())
    }
}

/// Offset and instant of whatever may have them.
fn time_modifiers(expr: &mut Expr) -> Option<(&mut i64, &mut Option<At>)> {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
            Some((&mut selector.offset_ms, &mut selector.at))
        }
        ExprKind::Subquery(subquery) => Some((&mut subquery.offset_ms, &mut subquery.at)),
        _ => None,
    }
}

/// The last line of a regular expression's complaint says what is wrong; those before it draw a picture.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string()
}
