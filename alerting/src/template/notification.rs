//! Alertmanager's notification templates: their data and functions.
//!
//! The data is a record with `Receiver`, `Status`, `Alerts`, `GroupLabels`, `CommonLabels`, `CommonAnnotations`,
//! `ExternalURL`; [`Notification::value`] builds it.

use std::sync::Arc;

use super::builtin::wrong_count;
use super::clock_time::Time;
use super::functions::{self, texts};
use super::value::{List, ListKind, Map, MapKind, Value};
use super::{Functions, humanize};

/// Functions of notification templates.
#[derive(Debug, Clone, Copy)]
pub struct NotificationFunctions {
    /// What `since` and `now` measure from, milliseconds since the Unix epoch.
    pub now_ms: i64,
}

const NAMES: [&str; 12] = [
    "title",
    "trimSpace",
    "join",
    "stringSlice",
    "date",
    "tz",
    "since",
    "now",
    "humanizeDuration",
    "toJson",
    "urlUnescape",
    "list",
];

impl Functions for NotificationFunctions {
    fn knows(&self, name: &str) -> bool {
        NAMES.contains(&name) || functions::NAMES.contains(&name)
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        Some(match name {
            "title" => texts(name, args).map(|[text]| Value::text(functions::title(text, true))),
            "trimSpace" => texts(name, args).map(|[text]| Value::text(text.trim())),
            "join" => join(args),
            "stringSlice" => (0..args.len())
                .map(|at| functions::text(args, at).map(str::to_string))
                .collect::<Result<Vec<String>, String>>()
                .map(Value::texts),
            "list" => Ok(Value::list(args.to_vec())),
            "date" => match args {
                [Value::Text(layout), Value::Time(time)] => Ok(Value::text(time.format(layout))),
                _ => Err("date takes a layout and a time".to_string()),
            },
            "tz" => match args {
                [Value::Text(zone), Value::Time(time)] => time.in_zone(zone).map(Value::Time),
                _ => Err("tz takes a zone and a time".to_string()),
            },
            "since" => match args {
                [Value::Time(time)] => {
                    let elapsed_ms = self.now_ms.saturating_sub(time.unix_milliseconds());
                    Ok(Value::Duration(elapsed_ms.saturating_mul(1_000_000)))
                }
                _ => Err("since takes a time".to_string()),
            },
            "now" => Ok(Value::Time(Time::from_milliseconds(self.now_ms))),
            "humanizeDuration" => match args {
                [Value::Duration(nanoseconds)] => Ok(Value::text(humanize::duration(*nanoseconds as f64 / 1e9))),
                [Value::Float(seconds)] => Ok(Value::text(humanize::duration(*seconds))),
                [Value::Int(seconds)] => Ok(Value::text(humanize::duration(*seconds as f64))),
                _ => Err("humanizeDuration takes a duration".to_string()),
            },
            "toJson" => match args {
                [value] => Ok(Value::text(json(value).to_string())),
                _ => Err(wrong_count(name, 1, args.len())),
            },
            "urlUnescape" => texts(name, args).map(|[text]| Value::text(url_unescape(text))),
            _ => return functions::call(name, args),
        })
    }
}

fn join(args: &[Value]) -> Result<Value, String> {
    let [Value::Text(separator), Value::List(list)] = args else {
        return Err("join takes a separator and a list of texts".to_string());
    };
    let items: Result<Vec<&str>, String> = (0..list.items.len()).map(|at| functions::text(&list.items, at)).collect();
    Ok(Value::text(items?.join(separator)))
}

fn json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::from(*truth),
        Value::Int(number) | Value::Duration(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) | Value::Html(text) => Json::from(&**text),
        Value::Time(time) => Json::from(time.format("2006-01-02T15:04:05.999999999Z07:00")),
        Value::List(list) => list.items.iter().map(json).collect(),
        Value::Map(map) => map.entries.iter().map(|(key, value)| (key.to_string(), json(value))).collect(),
        Value::Record(record) => record.fields.iter().map(|(key, value)| (key.to_string(), json(value))).collect(),
    }
}

fn url_unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The entries with `alertname` first, the others by name.
pub(super) fn sorted(map: &Map) -> Vec<(Arc<str>, Value)> {
    let mut entries: Vec<(Arc<str>, Value)> =
        map.entries.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    entries.sort_by_key(|(key, _)| (&**key != "alertname", key.clone()));
    entries
}

/// Methods of label and annotation sets.
pub(super) fn labels_method(map: &Map, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let wanted = usize::from(name == "Remove");
    if matches!(name, "SortedPairs" | "Names" | "Values" | "Remove" | "String") && args.len() != wanted {
        return Some(Err(wrong_count(name, wanted, args.len())));
    }
    Some(Ok(match name {
        "SortedPairs" => {
            let pair =
                |(key, value)| Value::record("template.Pair", vec![("Name", Value::Text(key)), ("Value", value)]);
            Value::list_of(ListKind::Pairs, sorted(map).into_iter().map(pair).collect())
        }
        "Names" => Value::list_of(ListKind::Text, sorted(map).into_iter().map(|(key, _)| Value::Text(key)).collect()),
        "Values" => Value::list_of(ListKind::Text, sorted(map).into_iter().map(|(_, value)| value).collect()),
        "Remove" => {
            let Value::List(names) = &args[0] else {
                return Some(Err(format!("wrong type for value; expected []string; got {}", args[0].kind())));
            };
            let removed = |key: &Arc<str>| names.items.iter().any(|name| name.as_text() == Some(key));
            let kept = map.entries.iter().filter(|(key, _)| !removed(key));
            let entries = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            Value::Map(Arc::new(Map { kind: MapKind::Labels, entries }))
        }
        _ => return None,
    }))
}

/// Methods of lists of alerts and of pairs.
pub(super) fn list_method(list: &List, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let column = |field: &str| -> Vec<Value> {
        let of = |item: &Value| match item {
            Value::Record(record) => record.get(field).unwrap_or(Value::Nil),
            _ => Value::Nil,
        };
        list.items.iter().map(of).collect()
    };
    let with_status = |status: &str| -> Vec<Value> {
        let fits = |value: &Value| value.as_text().is_some_and(|text| **text == *status);
        list.items.iter().zip(column("Status")).filter(|(_, found)| fits(found)).map(|(item, _)| item.clone()).collect()
    };
    let value = match (list.kind, name) {
        (ListKind::Alerts, "Firing") => Value::list_of(ListKind::Alerts, with_status("firing")),
        (ListKind::Alerts, "Resolved") => Value::list_of(ListKind::Alerts, with_status("resolved")),
        (ListKind::Pairs, "Names") => Value::list_of(ListKind::Text, column("Name")),
        (ListKind::Pairs, "Values") => Value::list_of(ListKind::Text, column("Value")),
        _ => return None,
    };
    Some(if args.is_empty() { Ok(value) } else { Err(wrong_count(name, 0, args.len())) })
}

/// An alert as notification templates see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertData {
    /// Whether it is firing; resolved otherwise.
    pub is_firing: bool,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
    /// When it began to fire, milliseconds since the Unix epoch.
    pub starts_at_ms: i64,
    /// When it was or will be resolved, milliseconds since the Unix epoch.
    pub ends_at_ms: i64,
    /// Where its expression can be looked at.
    pub generator_url: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// A notification as its templates see it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notification {
    /// Name of the receiver.
    pub receiver: String,
    /// Labels by which alerts were grouped.
    pub group_labels: Vec<(String, String)>,
    /// The alerts.
    pub alerts: Vec<AlertData>,
    /// Where we are to be found.
    pub external_url: String,
}

impl Notification {
    /// The value tree; common labels and annotations are those that all alerts share.
    pub fn value(&self) -> Value {
        let is_firing = self.alerts.iter().any(|alert| alert.is_firing);
        let labels = self.alerts.iter().map(|alert| &alert.labels);
        let annotations = self.alerts.iter().map(|alert| &alert.annotations);
        Value::record(
            "*template.Data",
            vec![
                ("Receiver", Value::text(self.receiver.as_str())),
                ("Status", Value::text(status(is_firing))),
                ("Alerts", Value::list_of(ListKind::Alerts, self.alerts.iter().map(AlertData::value).collect())),
                ("GroupLabels", pairs(self.group_labels.iter())),
                ("CommonLabels", common(labels)),
                ("CommonAnnotations", common(annotations)),
                ("ExternalURL", Value::text(self.external_url.as_str())),
            ],
        )
    }
}

impl AlertData {
    fn value(&self) -> Value {
        Value::record(
            "template.Alert",
            vec![
                ("Status", Value::text(status(self.is_firing))),
                ("Labels", pairs(self.labels.iter())),
                ("Annotations", pairs(self.annotations.iter())),
                ("StartsAt", Value::Time(Time::from_milliseconds(self.starts_at_ms))),
                ("EndsAt", Value::Time(Time::from_milliseconds(self.ends_at_ms))),
                ("GeneratorURL", Value::text(self.generator_url.as_str())),
                ("Fingerprint", Value::text(self.fingerprint.as_str())),
            ],
        )
    }
}

fn status(is_firing: bool) -> &'static str {
    if is_firing { "firing" } else { "resolved" }
}

fn pairs<'a>(entries: impl Iterator<Item = &'a (String, String)>) -> Value {
    Value::text_map(MapKind::Labels, entries.map(|(name, value)| (name.as_str(), value.as_str())))
}

fn common<'a>(mut sets: impl Iterator<Item = &'a Vec<(String, String)>>) -> Value {
    let mut shared: Vec<(String, String)> = sets.next().cloned().unwrap_or_default();
    for set in sets {
        shared.retain(|entry| set.contains(entry));
    }
    pairs(shared.iter())
}
