//! The test file as written.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A file of tests.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// Patterns of rule files.
    #[serde(default)]
    pub rule_files: Vec<String>,
    #[serde(default)]
    pub(super) evaluation_interval: Millis,
    #[serde(default)]
    pub(super) group_eval_order: Vec<String>,
    #[serde(default)]
    pub(super) fuzzy_compare: bool,
    #[serde(default)]
    pub(super) tests: Vec<Test>,
}

/// Why a test file cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct TestFileError {
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl TestFile {
    /// Reads a test file; unknown keys are refused.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str) -> Result<TestFile, TestFileError> {
        let document = serde_yaml_ng::Deserializer::from_str(text).next();
        let parsed = document.map_or(Ok(None), Option::<TestFile>::deserialize);
        let mut file = parsed.map(Option::unwrap_or_default).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_string();
            TestFileError { line, column, message }
        })?;
        if file.evaluation_interval.0 == 0 {
            file.evaluation_interval = Millis(60_000);
        }
        Ok(file)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub interval: Millis,
    #[serde(default)]
    pub input_series: Vec<InputSeries>,
    #[serde(default)]
    pub alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    pub promql_expr_test: Vec<ExprTest>,
    #[serde(default)]
    pub external_labels: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    pub external_url: String,
    #[serde(default)]
    pub start_timestamp: Start,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSeries {
    #[serde(default)]
    pub series: String,
    #[serde(default)]
    pub values: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTest {
    #[serde(default)]
    pub eval_time: Millis,
    #[serde(default)]
    pub alertname: String,
    #[serde(default)]
    pub exp_alerts: Option<Vec<ExpectedAlert>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(default)]
    pub exp_labels: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    pub exp_annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTest {
    #[serde(default)]
    pub expr: String,
    #[serde(default)]
    pub eval_time: Millis,
    #[serde(default)]
    pub exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default)]
    pub labels: String,
    #[serde(default)]
    pub value: Number,
    #[serde(default)]
    pub histogram: String,
}

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

/// A number in any notation of YAML or PromQL.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Number(pub f64);

/// The instant at which a test begins, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Start(pub i64);

struct Written<F>(F, &'static str);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Written<F> {
    type Value = T;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        let read = |text: &str| tidewatch_promql::duration::parse(text).map(Millis);
        deserializer.deserialize_str(Written(read, "a duration such as 5m"))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        let read = |text: &str| {
            let yaml = text.trim_start_matches(['.', '+', '-']);
            let special = yaml.eq_ignore_ascii_case("inf") || yaml.eq_ignore_ascii_case("nan");
            let plain = if special { text.replace('.', "") } else { text.to_string() };
            let value = tidewatch_promql::number::parse(&plain).or_else(|| plain.parse().ok());
            value.map(Number).ok_or_else(|| format!("expected a number, found {text:?}"))
        };
        deserializer.deserialize_str(Written(read, "a number"))
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
        let read = |text: &str| {
            let seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1000.0).round() as i64);
            let date = || chrono::DateTime::parse_from_rfc3339(text).ok().map(|date| date.timestamp_millis());
            let found = seconds.or_else(date);
            found
                .map(Start)
                .ok_or_else(|| format!("expected an RFC 3339 date or seconds since the epoch, found {text:?}"))
        };
        deserializer.deserialize_str(Written(read, "a date"))
    }
}
