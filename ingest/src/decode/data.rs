//! The `data` object: known fields go to their columns, the rest is skipped unread.

use super::columns::Column;
use super::envelope::first_line;
use super::reject::{Notice, Reason, Reject};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use tidewatch_engine::source::{FieldDef, FieldType, OnUnknown};
use tidewatch_engine::time::parse_rfc3339;

/// What the counted value of an unlisted enum member is.
const OTHER: &str = "other";

/// Wanted fields by name, nested for dotted names.
#[derive(Debug, Default)]
pub(super) struct FieldTree {
    nodes: BTreeMap<String, Node>,
    required: Vec<(String, usize)>,
}

#[derive(Debug, Default)]
struct Node {
    column: Option<(usize, FieldDef)>,
    time_fallback: Option<usize>,
    children: BTreeMap<String, Node>,
    /// Dotted name, for messages.
    path: String,
}

/// What reading found besides the columns.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub time_fallback: Option<i64>,
    pub notices: Vec<Notice>,
}

impl FieldTree {
    fn node(&mut self, path: &str) -> &mut Node {
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let mut node = self.nodes.entry(first.to_owned()).or_default();
        for part in parts {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.path = path.to_owned();
        node
    }

    pub fn insert(&mut self, path: &str, column: usize, def: FieldDef) {
        if def.required {
            self.required.push((path.to_owned(), column));
        }
        self.node(path).column = Some((column, def));
    }

    pub fn insert_time_fallback(&mut self, path: &str, priority: usize) {
        self.node(path).time_fallback = Some(priority);
    }

    /// Reads the JSON of `data` into the row in progress of `columns`.
    pub fn read(&self, json: &str, columns: &mut [Column], string_bytes_max: usize, fallbacks: usize) -> Result<Found, Box<Reject>> {
        let mut state = State {
            columns,
            string_bytes_max,
            found: Found::default(),
            fallbacks: vec![None; fallbacks],
            set: 0,
            reject: None,
        };
        let mut deserializer = sonic_rs::Deserializer::from_str(json);
        let read = ObjectSeed { nodes: &self.nodes, state: &mut state }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        if let Err(error) = read {
            return Err(state.reject.unwrap_or_else(|| {
                let message = first_line(&error.to_string());
                // Syntax errors carry no type complaint.
                let reason = if error.is_unmatched_type() { Reason::WrongType } else { Reason::BrokenJson };
                Reject::new(reason, format!("data: {message}"))
            }));
        }
        let set = state.set;
        let mut found = state.found;
        found.time_fallback = state.fallbacks.into_iter().flatten().next();
        match self.required.iter().find(|(_, column)| set & (1 << (column % 64)) == 0) {
            Some((path, _)) => Err(Reject::missing(&format!("data.{path}"))),
            None => Ok(found),
        }
    }
}

struct State<'c> {
    columns: &'c mut [Column],
    string_bytes_max: usize,
    found: Found,
    fallbacks: Vec<Option<i64>>,
    /// Bit per column (modulo 64) that has a value in this row.
    set: u64,
    reject: Option<Box<Reject>>,
}

struct ObjectSeed<'t, 's, 'c> {
    nodes: &'t BTreeMap<String, Node>,
    state: &'s mut State<'c>,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(node) = map.next_key_seed(KeySeed { nodes: self.nodes })? {
            match node {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(node) if !node.children.is_empty() => {
                    map.next_value_seed(ObjectSeed { nodes: &node.children, state: &mut *self.state })?;
                }
                Some(node) => map.next_value_seed(ValueSeed { node, state: &mut *self.state })?,
            }
        }
        Ok(())
    }
}

/// Looks a key up without copying it.
struct KeySeed<'t> {
    nodes: &'t BTreeMap<String, Node>,
}

impl<'de, 't> DeserializeSeed<'de> for KeySeed<'t> {
    type Value = Option<&'t Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for KeySeed<'t> {
    type Value = Option<&'t Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.nodes.get(key))
    }
}

struct ValueSeed<'t, 's, 'c> {
    node: &'t Node,
    state: &'s mut State<'c>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ValueSeed<'_, '_, '_> {
    fn refuse<E: Error>(self, reason: Reason, detail: String) -> Result<(), E> {
        self.state.reject = Some(Reject::new(reason, format!("data.{}: {detail}", self.node.path)));
        Err(E::custom("refused"))
    }

    fn wrong<E: Error>(self, found: &str) -> Result<(), E> {
        let expected = match &self.node.column {
            Some((_, FieldDef { field_type, .. })) => match field_type {
                FieldType::String => "a string",
                FieldType::Int64 => "an integer",
                FieldType::Float64 => "a number",
                FieldType::Boolean => "true or false",
                FieldType::Timestamp => "an RFC 3339 timestamp",
                FieldType::Decimal { .. } => "a decimal number",
                FieldType::Enum(_) => "one of the listed values",
            },
            None => "an RFC 3339 timestamp",
        };
        self.refuse(Reason::WrongType, format!("expected {expected}, found {found}"))
    }

    /// Makes room for the value: a key that comes twice keeps its last one.
    fn column(&mut self, index: usize) -> &mut Column {
        let bit = 1 << (index % 64);
        let column = &mut self.state.columns[index];
        if self.state.set & bit != 0 {
            column.drop_unfinished();
        }
        self.state.set |= bit;
        column
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        match &self.node.column {
            Some((index, FieldDef { field_type: FieldType::Boolean, .. })) => {
                self.column(*index).set_bool(value);
                Ok(())
            }
            _ => self.wrong(if value { "true" } else { "false" }),
        }
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        match &self.node.column {
            Some((index, def)) => match def.field_type {
                FieldType::Int64 => self.column(*index).set_int(value),
                FieldType::Float64 => self.column(*index).set_float(value as f64),
                FieldType::Decimal { scale } => match i128::from(value).checked_mul(10i128.pow(scale as u32)) {
                    Some(scaled) => self.column(*index).set_decimal(scaled),
                    None => return self.wrong(&value.to_string()),
                },
                _ => return self.wrong(&value.to_string()),
            },
            None => return self.wrong(&value.to_string()),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.wrong(&value.to_string()),
        }
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        match &self.node.column {
            Some((index, def)) => match def.field_type {
                FieldType::Float64 => self.column(*index).set_float(value),
                // `312.0` is an integer in JSON; beyond 2^53 a float is not exact any more.
                FieldType::Int64 if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => {
                    self.column(*index).set_int(value as i64);
                }
                FieldType::Decimal { scale } => match parse_decimal(&value.to_string(), scale) {
                    Some(decimal) => self.column(*index).set_decimal(decimal),
                    None => return self.wrong(&value.to_string()),
                },
                _ => return self.wrong(&value.to_string()),
            },
            None => return self.wrong(&value.to_string()),
        }
        Ok(())
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        if let Some(priority) = self.node.time_fallback {
            self.state.fallbacks[priority] = parse_rfc3339(text);
        }
        let Some((index, def)) = &self.node.column else { return Ok(()) };
        if text.len() > self.state.string_bytes_max {
            let limit = self.state.string_bytes_max;
            return self.refuse(Reason::StringTooLong, format!("{} bytes, the limit is {limit} (string_bytes_max)", text.len()));
        }
        match &def.field_type {
            FieldType::String => self.column(*index).set_text(text),
            FieldType::Enum(allowed) => match (allowed.values.get(text), allowed.on_unknown) {
                (Some(value), _) => self.column(*index).set_text(value),
                (None, OnUnknown::Other) => {
                    self.column(*index).set_text(OTHER);
                    let notice = Notice { field: self.node.path.clone(), found: text.to_owned() };
                    self.state.found.notices.push(notice);
                }
                (None, OnUnknown::Reject) => {
                    return self.refuse(Reason::UnknownEnum, format!("{text:?} is not one of the listed values"));
                }
            },
            FieldType::Timestamp => match parse_rfc3339(text) {
                Some(time) => self.column(*index).set_int(time),
                None => return self.wrong(&format!("{text:?}")),
            },
            FieldType::Decimal { scale } => match parse_decimal(text, *scale) {
                Some(decimal) => self.column(*index).set_decimal(decimal),
                None => return self.wrong(&format!("{text:?}")),
            },
            _ => return self.wrong(&format!("{text:?}")),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _map: A) -> Result<(), A::Error> {
        self.wrong("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _seq: A) -> Result<(), A::Error> {
        self.wrong("an array")
    }
}

/// Reads a decimal exactly; `None` when it has more digits after the point than `scale` or is not one.
fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::try_from(scale).ok()?;
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) || fraction.len() > scale || whole.len() + scale > 37 {
        return None;
    }
    let number = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<i128>().ok() };
    let scaled = number(whole)? * 10i128.pow(scale as u32) + number(fraction)? * 10i128.pow((scale - fraction.len()) as u32);
    Some(sign * scaled)
}
