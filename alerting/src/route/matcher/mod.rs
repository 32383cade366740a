//! Matchers of labels, in Alertmanager's two notations.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidewatch_promql::labels::quote;
use tidewatch_promql::matcher::from_re2;

use super::labels::Labels;

mod classic;
mod utf8;

/// How a matcher compares. The order is Alertmanager's, which sorts by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends.
    Regex,
    /// `!~`, anchored at both ends.
    NotRegex,
}

impl MatchOp {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// Of the two booleans in which the HTTP API writes it.
    pub fn from_flags(is_equal: bool, is_regex: bool) -> Self {
        match (is_equal, is_regex) {
            (true, false) => Self::Equal,
            (false, false) => Self::NotEqual,
            (true, true) => Self::Regex,
            (false, true) => Self::NotRegex,
        }
    }

    /// Whether it asks for equality or a match, rather than their opposites.
    pub fn is_equal(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }

    /// Whether the value is a regular expression.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }
}

/// A condition on one label. A missing label counts as the empty value.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// A matcher; the expression of a regular one is compiled in RE2's syntax.
    ///
    /// # Errors
    /// When the regular expression is not valid.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, String> {
        let (name, value) = (name.into(), value.into());
        let regex = if op.is_regex() { Some(anchored(&value)?) } else { None };
        Ok(Self { name, op, value, regex })
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or expression compared with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `text` fulfils the matcher.
    pub fn matches(&self, text: &str) -> bool {
        let same = self.regex.as_ref().map_or_else(|| text == self.value, |regex| regex.is_match(text));
        same == self.op.is_equal()
    }

    /// Parses exactly one matcher, with the newer notation first and the classic one where that fails or differs, as
    /// Alertmanager does while both are in use.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('{') || text.ends_with('}') {
            return Err(format!("unexpected open or close brace: {text}"));
        }
        let newer = utf8::matchers(text).and_then(|found| match found.len() {
            1 => Ok(found),
            0 => Err("no matchers".to_string()),
            many => Err(format!("expected 1 matcher, found {many}")),
        });
        let classic = classic::matcher(text).map(|matcher| vec![matcher]);
        agree(newer, classic)?.pop().ok_or_else(|| "no matchers".to_string())
    }
}

/// `^(?:…)$` in RE2's meaning: `.` does not match line ends.
pub(crate) fn anchored(expression: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{})$", from_re2(expression))).map_err(|reason| reason.to_string())
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op.as_str();
        if self.name.contains(utf8::is_reserved) {
            return write!(formatter, "{}{op}{}", quote(&self.name), quote(&self.value));
        }
        let value = self.value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        write!(formatter, "{}{op}\"{value}\"", self.name)
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    value: String,
    #[serde(rename = "isRegex", default)]
    is_regex: bool,
    #[serde(rename = "isEqual", default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Serialize for Matcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (is_regex, is_equal) = (self.op.is_regex(), self.op.is_equal());
        Written { name: self.name.clone(), value: self.value.clone(), is_regex, is_equal }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { name, value, is_regex, is_equal } = Written::deserialize(deserializer)?;
        Self::new(MatchOp::from_flags(is_equal, is_regex), name, value).map_err(serde::de::Error::custom)
    }
}

/// Matchers that must all be fulfilled, sorted by name, value and operator. None is fulfilled by everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Sorts them.
    pub fn new(mut matchers: Vec<Matcher>) -> Self {
        matchers.sort_by(|one, two| (&one.name, &one.value, one.op).cmp(&(&two.name, &two.value, two.op)));
        Self(matchers)
    }

    /// Parses `{a="b",c=~"d"}` with or without braces, zero or more matchers, in either notation.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        agree(utf8::matchers(text), classic::matchers(text)).map(Self::new)
    }

    /// Whether all are fulfilled.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.value(&matcher.name)))
    }

    /// In their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(formatter, "{{{}}}", texts.join(","))
    }
}

/// The classic reading wins where both are valid and differ, and where only it is valid.
fn agree(newer: Result<Vec<Matcher>, String>, classic: Result<Vec<Matcher>, String>) -> Result<Vec<Matcher>, String> {
    match (newer, classic) {
        (Err(_), classic) => classic,
        (Ok(newer), Ok(classic)) if newer != classic => Ok(classic),
        (Ok(newer), _) => Ok(newer),
    }
}

#[cfg(test)]
mod tests;
