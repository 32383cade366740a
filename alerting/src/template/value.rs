//! What templates work on: a tree of values, with the kinds that Go's `text/template` tells apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock_time::Time;

/// A value. Cloning shares whatever is large.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: an absent entry of a map of any values.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Text that an HTML template must not escape.
    Html(Arc<str>),
    /// An instant.
    Time(Time),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A list.
    List(Arc<List>),
    /// A map; what an absent key gives depends on its kind.
    Map(Arc<Map>),
    /// Named fields; an absent one is an error.
    Record(Arc<Record>),
}

/// What the items of a list are, which decides its methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// Anything.
    Any,
    /// Texts.
    Text,
    /// Records with `Status`: has `Firing` and `Resolved`.
    Alerts,
    /// Records with `Name` and `Value`: has `Names` and `Values`.
    Pairs,
}

/// A list with its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// What the items are.
    pub kind: ListKind,
    /// The items.
    pub items: Vec<Value>,
}

/// What the values of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Anything; an absent key gives nothing.
    Any,
    /// Texts; an absent key gives the empty text.
    Text,
    /// Texts, with Alertmanager's methods `SortedPairs`, `Remove`, `Names` and `Values`.
    Labels,
}

/// A map with its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// What the values are.
    pub kind: MapKind,
    /// The entries.
    pub entries: BTreeMap<Arc<str>, Value>,
}

/// Named fields in the order of their declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The type's name, for error messages.
    pub name: &'static str,
    /// The fields.
    pub fields: Vec<(&'static str, Value)>,
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    /// A list of anything.
    pub fn list(items: Vec<Value>) -> Value {
        Value::list_of(ListKind::Any, items)
    }

    /// A list of texts.
    pub fn texts<T: Into<Arc<str>>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::list_of(ListKind::Text, items.into_iter().map(Value::text).collect())
    }

    /// A list of a kind.
    pub fn list_of(kind: ListKind, items: Vec<Value>) -> Value {
        Value::List(Arc::new(List { kind, items }))
    }

    /// A map of anything.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Value::Map(Arc::new(Map { kind: MapKind::Any, entries }))
    }

    /// A map of texts of a kind.
    pub fn text_map<K: Into<Arc<str>>, V: Into<Arc<str>>>(
        kind: MapKind,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), Value::text(value))).collect();
        Value::Map(Arc::new(Map { kind, entries }))
    }

    /// A record.
    pub fn record(name: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
        Value::Record(Arc::new(Record { name, fields }))
    }

    /// The name of Go's type, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::Html(_) => "template.HTML",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::List(list) => match list.kind {
                ListKind::Any => "[]interface {}",
                ListKind::Text => "[]string",
                ListKind::Alerts => "template.Alerts",
                ListKind::Pairs => "template.Pairs",
            },
            Value::Map(map) => match map.kind {
                MapKind::Any => "map[string]interface {}",
                MapKind::Text => "map[string]string",
                MapKind::Labels => "template.KV",
            },
            Value::Record(record) => record.name,
        }
    }

    /// Whether `if` and `with` take their first branch.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) | Value::Html(text) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Time(_) | Value::Record(_) => true,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Value::Text(text) | Value::Html(text) => Some(text),
            _ => None,
        }
    }
}

impl Map {
    /// The entry of `key`, or what stands for an absent one.
    pub fn get(&self, key: &str) -> Value {
        let absent = || if self.kind == MapKind::Any { Value::Nil } else { Value::text("") };
        self.entries.get(key).cloned().unwrap_or_else(absent)
    }
}

impl Record {
    /// The field, if there is one of that name.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}
