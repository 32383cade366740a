//! Label matchers: what a selector asks of a series.

use std::fmt;

use regex::Regex;

use crate::labels::{Labels, is_plain_name, quote};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as written in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// One condition on one label. A label that is not there counts as the empty string.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How the value is compared.
    pub op: MatchOp,
    /// The text or the expression to compare with.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher.
    ///
    /// # Errors
    /// The regular expression's complaint, when it is not valid.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Matcher, regex::Error> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(&value)?),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Matcher { name: name.into(), op, value, regex })
    }

    /// An equality.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Matcher {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// Whether a label with this `value` (empty when it is not there) fits.
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether the matcher's label of `labels` fits.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if is_plain_name(&self.name) { self.name.clone() } else { quote(&self.name) };
        write!(formatter, "{name}{}{}", self.op.as_str(), quote(&self.value))
    }
}

/// The expression in RE2's syntax, anchored at both ends, with `.` matching line ends too, as Prometheus
/// compiles it.
///
/// # Errors
/// The regular expression's complaint, when it is not valid.
pub fn anchored(expression: &str) -> Result<Regex, regex::Error> {
    let expression = from_re2(expression);
    // Checked alone first: "a)(b" is wrong although the parentheses below would make it right.
    Regex::new(&expression)?;
    Regex::new(&format!("^(?s:{expression})$"))
}

/// Rewrites what means something else in RE2: `\d`, `\s`, `\w` and `\b` know ASCII only, `\Q…\E` is literal, and
/// within brackets `[`, `&&`, `--` and `~~` are plain characters.
pub fn from_re2(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let (mut rest, mut in_class) = (expression, false);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let next = after.chars().next();
        if first == '\\' {
            if let Some(literal) = after.strip_prefix('Q') {
                let (literal, tail) = literal.split_once("\\E").unwrap_or((literal, ""));
                out.push_str(&regex::escape(literal));
                rest = tail;
                continue;
            }
            let Some(kind) = next else { break };
            rest = &after[kind.len_utf8()..];
            match ascii_class(kind, in_class) {
                Some(class) => out.push_str(class),
                None => out.extend(['\\', kind]),
            }
            continue;
        }
        match first {
            '[' if !in_class => {
                in_class = true;
                // A bracket that follows at once, or after a caret, is a plain character.
                let head = if after.starts_with("^]") { 3 } else { 1 + usize::from(after.starts_with(['^', ']'])) };
                out.push_str(&rest[..head]);
                rest = &rest[head..];
                continue;
            }
            '[' if after.starts_with(':') => {
                let end = after.find(":]").map_or(after.len(), |end| end + 2);
                out.push_str(&rest[..=end.min(rest.len() - 1)]);
                rest = &after[end..];
                continue;
            }
            '[' => out.push_str("\\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '-' | '~' if in_class && next == Some(first) => out.extend([first, '\\']),
            other => out.push(other),
        }
        rest = after;
    }
    if rest == "\\" {
        out.push('\\');
    }
    out
}

/// What a letter after a backslash stands for in RE2, where the `regex` crate would take all of Unicode.
fn ascii_class(letter: char, in_class: bool) -> Option<&'static str> {
    Some(match (letter, in_class) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', _) => "[^0-9]",
        ('s', false) => r"[\t\n\f\r ]",
        ('s', true) => r"\t\n\f\r ",
        ('S', _) => r"[^\t\n\f\r ]",
        ('w', false) => "[0-9A-Za-z_]",
        ('w', true) => "0-9A-Za-z_",
        ('W', _) => "[^0-9A-Za-z_]",
        ('b', false) => r"(?-u:\b)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
