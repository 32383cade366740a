//! Reads rule files and refuses what promtool refuses, with line, column, reason and hint.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use tidewatch_promql::labels::is_plain_name;
use tidewatch_promql::parse::ast::ValueType;
use tidewatch_promql::parse::parse_selector;
use tidewatch_promql::{Grammar, Query};

use super::level::{self, Crossing, Level, Threshold, Thresholds};
use super::locate::{Segment, locate};
use super::raw::{RawExtension, RawFile, RawGroup, RawIncomplete, RawRule, RawThresholds, Texts};
use super::{AlertingRule, Group, RecordingRule, Rule};
use crate::hash;
use crate::state::Incomplete;
use crate::template::alert::AlertTemplate;

/// Which names labels, annotations and series may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Any text but the empty one, as in Prometheus 3.
    #[default]
    Utf8,
    /// Letters, digits and underscores (series: colons too), as before.
    Classic,
}

/// What a loader lets through.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Which names.
    pub names: Names,
    /// Which expressions.
    pub grammar: Grammar,
}

/// The groups of a file.
#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    /// In the order they are written.
    pub groups: Vec<Group>,
}

/// A mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// File as named to the loader.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// Where in the file's own terms: `group "x", rule 1, "y"`; empty for the whole file.
    pub context: String,
    /// What was expected and what was found.
    pub message: String,
    /// What to do; empty when the message says it.
    pub hint: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.context.is_empty() {
            write!(out, "{}: ", self.context)?;
        }
        out.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(out, " (hint: {})", self.hint)?;
        }
        Ok(())
    }
}

/// All mistakes of a file, at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadErrors(pub Vec<LoadError>);

impl fmt::Display for LoadErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            write!(out, "{}{error}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// Reads the first document of `text`. `file` is used in messages and, as in Prometheus, decides with the
/// group's name at which instants the group is evaluated.
///
/// # Errors
/// Every mistake that could be found; of what is no YAML, or has keys that are not known, the first.
pub fn load(file: &str, text: &str, options: LoadOptions) -> Result<RuleFile, LoadErrors> {
    let raw = read(file, text)?;
    let mut checker = Checker { file, text, options, errors: Vec::new() };
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for (place, raw) in raw.groups.unwrap_or_default().into_iter().enumerate() {
        let path = vec![Segment::Key("groups".into()), Segment::Item(place)];
        if raw.name.is_empty() {
            checker.refuse(&path, "", "Groupname must not be empty", "give the group a name");
        }
        if !names.insert(raw.name.clone()) {
            let message = format!("groupname: {:?} is repeated in the same file", raw.name);
            checker.refuse(&path, "", message, "rename one of the groups, or join them");
        }
        groups.push(checker.group(raw, &path));
    }
    if checker.errors.is_empty() { Ok(RuleFile { groups }) } else { Err(LoadErrors(checker.errors)) }
}

fn read(file: &str, text: &str) -> Result<RawFile, LoadErrors> {
    let refuse = |error: &serde_yaml_ng::Error, fallback: (usize, usize)| {
        let (line, column) = error.location().map_or(fallback, |place| (place.line(), place.column()));
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_string();
        let hint = if message.contains("unknown field") { "correct the key, or remove it" } else { "" };
        let (context, hint) = (String::new(), hint.to_string());
        LoadErrors(vec![LoadError { file: file.to_string(), line, column, context, message, hint }])
    };
    let Some(document) = serde_yaml_ng::Deserializer::from_str(text).next() else { return Ok(RawFile::default()) };
    let merges =
        text.lines().position(|line| line.trim_start().trim_start_matches("- ").trim_start().starts_with("<<"));
    let Some(merge_line) = merges else {
        return Option::<RawFile>::deserialize(document).map(Option::unwrap_or_default).map_err(|e| refuse(&e, (1, 1)));
    };
    // Merge keys are resolved in a tree; the text written from it is read as any other.
    let place = (merge_line + 1, 1);
    let mut tree = serde_yaml_ng::Value::deserialize(document).map_err(|error| refuse(&error, place))?;
    let merged = tree.apply_merge().and_then(|()| serde_yaml_ng::to_string(&tree));
    let merged = merged.map_err(|error| refuse(&error, place))?;
    serde_yaml_ng::from_str(&merged).map_err(|error| {
        let mut refused = refuse(&error, place);
        for error in &mut refused.0 {
            (error.line, error.column) = place;
        }
        refused
    })
}

struct Checker<'c> {
    file: &'c str,
    text: &'c str,
    options: LoadOptions,
    errors: Vec<LoadError>,
}

/// `path` and one step more.
fn to(path: &[Segment], key: &str) -> Vec<Segment> {
    path.iter().cloned().chain([Segment::Key(key.to_string())]).collect()
}

impl Checker<'_> {
    fn refuse(&mut self, path: &[Segment], context: &str, message: impl Into<String>, hint: &str) {
        let (line, column) = locate(self.text, path);
        self.errors.push(LoadError {
            file: self.file.to_string(),
            line,
            column,
            context: context.to_string(),
            message: message.into(),
            hint: hint.to_string(),
        });
    }

    fn group(&mut self, raw: RawGroup, path: &[Segment]) -> Group {
        let context = format!("group {:?}", raw.name);
        let labels = raw.labels.unwrap_or_default();
        self.label_names(&labels, &to(path, "labels"), &context, "label");
        let limit = raw.limit.unwrap_or(0);
        if limit < 0 {
            self.refuse(
                &to(path, "limit"),
                &context,
                format!("limit must not be negative, found {limit}"),
                "0 means no limit",
            );
        }
        let mut rules = Vec::new();
        for (place, rule) in raw.rules.unwrap_or_default().into_iter().enumerate() {
            let mut path = to(path, "rules");
            path.push(Segment::Item(place));
            let name =
                rule.alert.as_deref().filter(|name| !name.is_empty()).or(rule.record.as_deref()).unwrap_or_default();
            let context = format!("{context}, rule {}, {name:?}", place + 1);
            rules.extend(self.rule(rule, &labels, &path, &context));
        }
        Group {
            name: raw.name.into(),
            file: self.file.into(),
            interval_ms: raw.interval.map(|span| span.0).filter(|interval| *interval > 0),
            limit: usize::try_from(limit).unwrap_or(0),
            query_offset_ms: raw.query_offset.map(|span| span.0),
            rules,
        }
    }

    fn rule(&mut self, raw: RawRule, group: &Texts, path: &[Segment], context: &str) -> Option<Rule> {
        let errors = self.errors.len();
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let (record, alert) = (given(&raw.record), given(&raw.alert));
        if record && alert {
            let hint = "make two rules of it";
            self.refuse(&to(path, "record"), context, "only one of 'record' and 'alert' must be set", hint);
        }
        if !record && !alert {
            let hint = "name the series that is recorded, or the alert";
            self.refuse(path, context, "one of 'record' or 'alert' must be set", hint);
        }
        let query = self.expression(&raw, path, context);
        if record {
            self.recording(&raw, path, context);
        }
        let labels = raw.labels.clone().unwrap_or_default();
        self.label_names(&labels, &to(path, "labels"), context, "label");
        let annotations = raw.annotations.clone().unwrap_or_default();
        self.label_names(&annotations, &to(path, "annotations"), context, "annotation");
        // A rule's own labels win over the group's.
        let mut merged = group.0.clone();
        merged.retain(|(name, _)| !labels.0.iter().any(|(own, _)| own == name));
        merged.extend(labels.0);
        merged.sort();
        if record && !alert {
            let name = raw.record.unwrap_or_default();
            let query = query.filter(|_| self.errors.len() == errors)?;
            return Some(Rule::Recording(Arc::new(RecordingRule { name: name.into(), query, labels: merged })));
        }
        let name = raw.alert.unwrap_or_default();
        let labels = self.templates(&name, merged, &to(path, "labels"), context, "label");
        let annotations = self.templates(&name, annotations.0, &to(path, "annotations"), context, "annotation");
        let extension = raw.tidewatch.unwrap_or_default();
        let level = query.as_ref().and_then(|query| self.level(query, &extension, &to(path, "tidewatch"), context));
        let query = query.filter(|_| self.errors.len() == errors)?;
        let meaning = hash::of_texts([name.as_str(), &query.format()]);
        Some(Rule::Alerting(Arc::new(AlertingRule {
            name: name.into(),
            query,
            for_ms: raw.hold_for.map_or(0, |span| span.0),
            keep_firing_for_ms: raw.keep_firing_for.map_or(0, |span| span.0),
            labels,
            annotations,
            level,
            on_incomplete: match extension.on_incomplete {
                Some(RawIncomplete::Wait) => Incomplete::Wait,
                Some(RawIncomplete::Unknown) => Incomplete::Unknown,
                Some(RawIncomplete::Hold) | None => Incomplete::Hold,
            },
            runbook: extension.runbook,
            meaning,
        })))
    }

    fn expression(&mut self, raw: &RawRule, path: &[Segment], context: &str) -> Option<Query> {
        let text = raw.expr.as_deref().unwrap_or_default();
        if text.is_empty() {
            self.refuse(path, context, "field 'expr' must be set in rule", "write a PromQL expression");
            return None;
        }
        match Query::parse(text, self.options.grammar) {
            // promtool lets these through, but no evaluation of them succeeds.
            Ok(query) if matches!(query.expr().value_type(), ValueType::String | ValueType::Matrix) => {
                let found = query.expr().value_type().documented();
                let message = format!("expected an instant vector or a scalar, found a {found}");
                self.refuse(&to(path, "expr"), context, message, "apply a function such as rate or last_over_time");
                None
            }
            Ok(query) => Some(query),
            Err(error) => {
                let hint = "the place after the colon counts within the expression";
                self.refuse(&to(path, "expr"), context, format!("could not parse expression: {error}"), hint);
                None
            }
        }
    }

    fn recording(&mut self, raw: &RawRule, path: &[Segment], context: &str) {
        let place = to(path, "record");
        let name = raw.record.as_deref().unwrap_or_default();
        let has = |texts: &Option<Texts>| texts.as_ref().is_some_and(|texts| !texts.0.is_empty());
        let fields = [
            ("annotations", has(&raw.annotations)),
            ("for", raw.hold_for.is_some_and(|span| span.0 != 0)),
            ("keep_firing_for", raw.keep_firing_for.is_some_and(|span| span.0 != 0)),
            ("tidewatch", raw.tidewatch.is_some()),
        ];
        for (field, _) in fields.iter().filter(|(_, given)| *given) {
            let hint = "alerts have it, recorded series do not";
            self.refuse(&place, context, format!("invalid field '{field}' in recording rule"), hint);
        }
        let is_valid = match self.options.names {
            Names::Utf8 => !name.is_empty(),
            Names::Classic => tidewatch_promql::labels::is_plain_metric_name(name),
        };
        if !is_valid {
            self.refuse(
                &place,
                context,
                format!("invalid recording rule name: {name}"),
                "use letters, digits, _ and :",
            );
        }
        if name.contains(['{', '}']) {
            let message = format!("braces present in the recording rule name; should it be in expr?: {name}");
            self.refuse(&place, context, message, "set labels under 'labels'");
        }
    }

    fn label_names(&mut self, texts: &Texts, path: &[Segment], context: &str, what: &str) {
        for (name, _) in &texts.0 {
            let is_valid = match self.options.names {
                Names::Utf8 => !name.is_empty(),
                Names::Classic => is_plain_name(name),
            };
            if !is_valid || what == "label" && name == "__name__" {
                let hint = if name == "__name__" {
                    "the name of a series is its rule's 'record'"
                } else {
                    "use letters, digits and _"
                };
                self.refuse(&to(path, name), context, format!("invalid {what} name: {name}"), hint);
            }
        }
    }

    fn templates(
        &mut self,
        alert: &str,
        texts: Vec<(String, String)>,
        path: &[Segment],
        context: &str,
        what: &str,
    ) -> Vec<(String, AlertTemplate)> {
        let mut parsed = Vec::with_capacity(texts.len());
        for (name, text) in texts {
            match AlertTemplate::parse(alert, &text) {
                Ok(template) => parsed.push((name, template)),
                Err(error) => {
                    let hint = "$labels, $value, $threshold, $externalLabels and $externalURL are known here";
                    self.refuse(&to(path, &name), context, format!("{what} {name:?}: {error}"), hint);
                }
            }
        }
        parsed.sort_by(|left, right| left.0.cmp(&right.0));
        parsed
    }

    fn level(&mut self, query: &Query, extension: &RawExtension, path: &[Segment], context: &str) -> Option<Level> {
        let key = match (extension.resolve_below, extension.resolve_above) {
            (Some(_), Some(_)) => {
                let message = "only one of 'resolve_below' and 'resolve_above' can be set";
                self.refuse(path, context, message, "an alert that fires above resolves below");
                return None;
            }
            (Some(_), None) => Some("resolve_below"),
            (None, Some(_)) => Some("resolve_above"),
            (None, None) => None,
        };
        if let Some(thresholds) = &extension.thresholds {
            if let Some(key) = key {
                let message = format!("'{key}' does not go with 'thresholds'");
                self.refuse(&to(path, key), context, message, "write 'resolve' within 'thresholds'");
            }
            return self.thresholds(query, thresholds, &to(path, "thresholds"), context);
        }
        let key = key?;
        let resolve = extension.resolve_below.or(extension.resolve_above);
        let Some((left, crossing, fire)) = level::split(query, self.options.grammar) else {
            let message = format!("'{key}' needs an expression that compares a vector with a constant");
            self.refuse(&to(path, key), context, message, "write the expression as `value > 5`, or use 'thresholds'");
            return None;
        };
        if crossing.is_upward() != extension.resolve_below.is_some() {
            let right = if crossing.is_upward() { "resolve_below" } else { "resolve_above" };
            let message = format!("'{key}' does not fit an expression that fires at {} {fire}", crossing.as_str());
            self.refuse(&to(path, key), context, message, &format!("use '{right}'"));
            return None;
        }
        let threshold = Threshold { fire, resolve };
        if let Err(message) = level::check_resolve(crossing, threshold) {
            self.refuse(&to(path, key), context, message, "");
        }
        Some(Level { query: left, crossing, thresholds: Thresholds::new(threshold, Vec::new()) })
    }

    fn thresholds(&mut self, query: &Query, raw: &RawThresholds, path: &[Segment], context: &str) -> Option<Level> {
        let named = raw.fire.as_deref().unwrap_or("above");
        let Some(crossing) = Crossing::named(named) else {
            let message = format!("expected above, at_least, below or at_most, found {named:?}");
            self.refuse(&to(path, "fire"), context, message, "");
            return None;
        };
        let Some(fire) = raw.default else {
            let message = "'thresholds' needs a 'default'";
            self.refuse(path, context, message, "it is what counts for whoever is not in the table");
            return None;
        };
        if level::is_comparison(query) || query.expr().value_type() != ValueType::Vector {
            let message = "with 'thresholds' the expression must be the value that is compared, not a comparison";
            self.refuse(path, context, message, "leave the comparison out of 'expr'");
            return None;
        }
        let default = Threshold { fire, resolve: raw.resolve };
        if let Err(message) = level::check_resolve(crossing, default) {
            self.refuse(&to(path, "resolve"), context, message, "");
        }
        let mut table = Vec::new();
        for (place, entry) in raw.table.iter().flatten().enumerate() {
            let mut path = to(path, "table");
            path.push(Segment::Item(place));
            let threshold = Threshold { fire: entry.value, resolve: entry.resolve };
            if let Err(message) = level::check_resolve(crossing, threshold) {
                self.refuse(&path, context, message, "");
            }
            match parse_selector(&entry.matches) {
                Ok(matchers) => table.push((matchers, threshold)),
                Err(error) => {
                    let hint = "write it as '{seller=\"s-17\"}'";
                    self.refuse(&to(&path, "match"), context, format!("cannot read the match: {error}"), hint);
                }
            }
        }
        Some(Level { query: query.clone(), crossing, thresholds: Thresholds::new(default, table) })
    }
}

/// The file as other tools want it: without `tidewatch`, and where that held `thresholds`, with the default
/// threshold written into the expression. Comments and layout are lost.
///
/// # Errors
/// The parser's complaint when the text is no YAML.
pub fn without_extensions(text: &str) -> Result<String, serde_yaml_ng::Error> {
    use serde_yaml_ng::Value;
    let Some(document) = serde_yaml_ng::Deserializer::from_str(text).next() else { return Ok(String::new()) };
    let mut tree = Value::deserialize(document)?;
    tree.apply_merge()?;
    let groups = tree.get_mut("groups").and_then(Value::as_sequence_mut);
    for group in groups.into_iter().flatten() {
        let rules = group.get_mut("rules").and_then(Value::as_sequence_mut);
        for rule in rules.into_iter().flatten().filter_map(Value::as_mapping_mut) {
            let Some(extension) = rule.remove("tidewatch") else { continue };
            let Some(thresholds) = extension.get("thresholds") else { continue };
            let crossing = thresholds.get("fire").and_then(Value::as_str).and_then(Crossing::named);
            let default = thresholds.get("default").and_then(Value::as_f64);
            if let (Some(Value::String(expr)), Some(default)) = (rule.get_mut("expr"), default) {
                let operator = crossing.unwrap_or(Crossing::Above).as_str();
                *expr = format!("({}) {operator} {default}", expr.trim());
            }
        }
    }
    serde_yaml_ng::to_string(&tree)
}
