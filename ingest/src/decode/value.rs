//! One value of a declared field, read as its type or refused.

use super::plain::Raw;
use super::reject::{Notice, Reason};
use super::tree::{Node, State};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use tidewatch_engine::source::{FieldDef, FieldType, OnUnknown};
use tidewatch_engine::time::parse_rfc3339;

/// What the counted value of an unlisted enum member is.
const OTHER: &str = "other";

/// Digits of a decimal, those after the point included: ten thousand million of the largest still sum
/// up within the 38 digits of a state.
const DECIMAL_DIGITS_MAX: u32 = 28;

/// Reads the value of a field.
pub(super) struct ValueSeed<'t, 's, 'c> {
    pub node: &'t Node,
    pub state: &'s mut State<'c>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match &self.node.column {
            // Read from its digits: a float would have lost some of them.
            Some((index, FieldDef { field_type: FieldType::Decimal { scale }, .. })) => {
                let raw = Raw::deserialize(deserializer)?;
                self.visit_decimal(*index, *scale, raw.as_str())
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
                self.state.column(index).set_decimal(decimal);
                Ok(())
            }
            None => self.wrong(raw),
        }
    }

    fn check_length<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let limit = self.state.limits.string_bytes_max;
        match text.len() {
            length if length > limit => {
                self.refuse(Reason::StringTooLong, &format!("{length} bytes, the limit is {limit} (string_bytes_max)"))
            }
            _ => Ok(()),
        }
    }

    fn refuse<E: Error>(&mut self, reason: Reason, detail: &str) -> Result<(), E> {
        self.state.refuse(reason, &self.node.path, detail)
    }

    fn wrong<E: Error>(&mut self, found: &str) -> Result<(), E> {
        let is_hashed = self.node.column.as_ref().is_some_and(|(_, def)| def.is_hashed);
        let found = if is_hashed { "another personal value" } else { found };
        let expected = match &self.node.column {
            Some((_, FieldDef { field_type, .. })) => match field_type {
                FieldType::String => "a string",
                FieldType::Int64 => "an integer",
                FieldType::Float64 => "a number",
                FieldType::Boolean => "true or false",
                FieldType::Timestamp => "an RFC 3339 timestamp",
                FieldType::Decimal { .. } => "a decimal number",
                FieldType::Enum(_) => "one of the listed values",
                FieldType::Sample => "a number",
            },
            None => "an RFC 3339 timestamp",
        };
        self.refuse(Reason::WrongType, &format!("expected {expected}, found {found}"))
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        if let Some(priority) = self.node.time_fallback {
            self.state.fallbacks[priority] = None;
        }
        if let Some((index, _)) = self.node.column {
            self.state.column(index);
        }
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        match &self.node.column {
            Some((index, FieldDef { field_type: FieldType::Boolean, .. })) => {
                self.state.column(*index).set_bool(value);
                Ok(())
            }
            _ => self.wrong(if value { "true" } else { "false" }),
        }
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        match &self.node.column {
            Some((index, def)) => match def.field_type {
                FieldType::Int64 => self.state.column(*index).set_int(value),
                FieldType::Float64 => self.state.column(*index).set_float(value as f64),
                FieldType::Sample => self.state.column(*index).set_bytes(&(value as f64).to_le_bytes()),
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
                FieldType::Float64 => self.state.column(*index).set_float(value),
                FieldType::Sample => self.state.column(*index).set_bytes(&value.to_le_bytes()),
                // `312.0` is an integer in JSON; from 2^53 on a float may stand for its neighbour.
                FieldType::Int64 if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                    self.state.column(*index).set_int(value as i64);
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
            FieldType::String if def.is_hashed => {
                let hash = self.state.hash(text);
                self.state.column(*index).set_text(&hash);
            }
            FieldType::String => self.state.column(*index).set_text(text),
            FieldType::Enum(allowed) => match (allowed.values.get(text), allowed.on_unknown) {
                (Some(value), _) => self.state.column(*index).set_text(value),
                (None, OnUnknown::Other) => {
                    self.state.column(*index).set_text(OTHER);
                    Notice::add(&mut self.state.found.notices, &self.node.path, text);
                }
                (None, OnUnknown::Reject) => {
                    return self.refuse(Reason::UnknownEnum, &format!("{text:?} is not one of the listed values"));
                }
            },
            FieldType::Timestamp => match parse_rfc3339(text) {
                Some(time) => self.state.column(*index).set_int(time),
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
