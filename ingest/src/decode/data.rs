//! The `data` object: known fields go to their columns, the rest is skipped unread.

use super::columns::Column;
use super::envelope::first_line;
use super::reject::{Notice, Reason, Reject};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sonic_rs::LazyValue;
use std::collections::BTreeMap;
use std::fmt;
use tidewatch_engine::source::{FieldDef, FieldType, OnUnknown};
use tidewatch_engine::time::parse_rfc3339;

/// What the counted value of an unlisted enum member is.
const OTHER: &str = "other";

/// Digits of a decimal, those after the point included: ten thousand million of the largest still sum
/// up within the 38 digits of a state.
const DECIMAL_DIGITS_MAX: u32 = 28;

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

    /// Reads the JSON of `data` into `columns`, as row number `row` of each.
    pub fn read(
        &self,
        json: &str,
        columns: &mut [Column],
        row: usize,
        string_bytes_max: usize,
        fallbacks: usize,
    ) -> Result<Found, Box<Reject>> {
        let mut state = State {
            columns,
            row,
            string_bytes_max,
            found: Found::default(),
            fallbacks: vec![None; fallbacks],
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
        let mut found = state.found;
        found.time_fallback = state.fallbacks.into_iter().flatten().next();
        match self.required.iter().find(|&&(_, column)| state.columns[column].len() <= row) {
            Some((path, _)) => Err(Reject::missing(&format!("data.{path}"))),
            None => Ok(found),
        }
    }
}

struct State<'c> {
    columns: &'c mut [Column],
    /// Number of the row in progress; a column that is longer has a value in it.
    row: usize,
    string_bytes_max: usize,
    found: Found,
    fallbacks: Vec<Option<i64>>,
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
        match &self.node.column {
            // Read from its digits: a float would have lost some of them.
            Some((index, FieldDef { field_type: FieldType::Decimal { scale }, .. })) => {
                let raw = LazyValue::deserialize(deserializer)?;
                self.visit_decimal(*index, *scale, raw.as_raw_str())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl ValueSeed<'_, '_, '_> {
    fn visit_decimal<E: Error>(mut self, index: usize, scale: i8, raw: &str) -> Result<(), E> {
        if raw == "null" {
            return self.visit_unit();
        }
        self.check_length(raw)?;
        let digits = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw);
        match parse_decimal(digits, scale) {
            Some(decimal) => {
                self.column(index).set_decimal(decimal);
                Ok(())
            }
            None => self.wrong(raw),
        }
    }

    fn check_length<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let limit = self.state.string_bytes_max;
        match text.len() {
            length if length > limit => {
                self.refuse(Reason::StringTooLong, format!("{length} bytes, the limit is {limit} (string_bytes_max)"))
            }
            _ => Ok(()),
        }
    }

    fn refuse<E: Error>(&mut self, reason: Reason, detail: String) -> Result<(), E> {
        self.state.reject = Some(Reject::new(reason, format!("data.{}: {detail}", self.node.path)));
        Err(E::custom("refused"))
    }

    fn wrong<E: Error>(&mut self, found: &str) -> Result<(), E> {
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
        let column = &mut self.state.columns[index];
        column.truncate(self.state.row);
        column
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        if let Some(priority) = self.node.time_fallback {
            self.state.fallbacks[priority] = None;
        }
        if let Some((index, _)) = self.node.column {
            self.column(index);
        }
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
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
                _ => return self.wrong(&value.to_string()),
            },
            None => return self.wrong(&value.to_string()),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.wrong(&value.to_string()),
        }
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        match &self.node.column {
            Some((index, def)) => match def.field_type {
                FieldType::Float64 => self.column(*index).set_float(value),
                // `312.0` is an integer in JSON; from 2^53 on a float may stand for its neighbour.
                FieldType::Int64 if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                    self.column(*index).set_int(value as i64);
                }
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
        self.check_length(text)?;
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
            _ => return self.wrong(&format!("{text:?}")),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, _map: A) -> Result<(), A::Error> {
        self.wrong("an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, _seq: A) -> Result<(), A::Error> {
        self.wrong("an array")
    }
}

/// Reads a decimal exactly, in units of 10^-scale; `None` when it is not one, or has a digit below
/// that unit or more than [`DECIMAL_DIGITS_MAX`].
fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i16>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mantissa = whole.bytes().chain(fraction.bytes()).try_fold(0i128, |n, b| {
        let digit = b.is_ascii_digit().then(|| i128::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })?;
    if mantissa == 0 {
        return Some(0);
    }
    let shift = i64::from(exponent) + i64::from(scale) - i64::try_from(fraction.len()).ok()?;
    let power = 10i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?)?;
    let scaled = match shift {
        0.. => mantissa.checked_mul(power)?,
        _ if mantissa % power == 0 => mantissa / power,
        _ => return None,
    };
    (scaled < 10i128.pow(DECIMAL_DIGITS_MAX)).then_some(sign * scaled)
}
