//! A typed field of an event: `name: int64`, or a mapping with more to say.

use crate::rollup::{SUM_PRECISION, timestamp_type};
use arrow::datatypes::DataType;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Type and rules of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDef {
    /// Type of the column.
    pub field_type: FieldType,
    /// An event without it is a dead letter.
    pub required: bool,
    /// Where it lies in `data` when that is not its name; a dot reaches into an object.
    pub path: Option<String>,
    /// Its key is personal data: the column holds a salted hash.
    pub is_hashed: bool,
}

/// Types a field may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// Text.
    String,
    /// 64-bit integer.
    Int64,
    /// 64-bit float. It cannot be summed (see `decimal`).
    Float64,
    /// True or false.
    Boolean,
    /// RFC 3339 text.
    Timestamp,
    /// Exact decimal, written as a JSON number or string, with so many digits after the point.
    Decimal {
        /// Digits after the point.
        scale: i8,
    },
    /// Text out of a list.
    Enum(EnumValues),
    /// A sample: a number, or a native histogram as [`crate::samples`] encodes it.
    Sample,
}

/// The values of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumValues {
    /// Accepted spelling → value counted.
    pub values: BTreeMap<String, String>,
    /// What happens to any other text.
    pub on_unknown: OnUnknown,
}

/// What happens to a value that an enumeration does not list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The event counts under the value `other`; a copy goes to the dead letters, marked as kept.
    #[default]
    Other,
    /// The event is a dead letter and does not count.
    Reject,
}

impl FieldType {
    /// The Arrow type of the column.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::String | Self::Enum(_) => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => timestamp_type(),
            Self::Sample => DataType::Binary,
            Self::Decimal { scale } => DataType::Decimal128(SUM_PRECISION, *scale),
        }
    }

    /// Reads a type name, or says which ones there are.
    pub fn parse(name: &str) -> Result<Self, String> {
        Ok(match name.trim() {
            "string" => Self::String,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "boolean" => Self::Boolean,
            "timestamp" => Self::Timestamp,
            "sample" => Self::Sample,
            other => {
                let scale = other.strip_prefix("decimal(").and_then(|s| s.strip_suffix(')'));
                match scale.map(|s| s.trim().parse::<i8>()) {
                    Some(Ok(scale)) if (0..=18).contains(&scale) => Self::Decimal { scale },
                    Some(_) => {
                        return Err(format!(
                            "`{other}`: decimal takes the digits after the point, 0 to 18, as in decimal(2)"
                        ));
                    }
                    None => {
                        return Err(format!(
                            "unknown type `{other}`; expected string, int64, float64, boolean, timestamp, decimal(SCALE), sample, or {{enum: [...]}}"
                        ));
                    }
                }
            }
        })
    }
}

impl<'de> Deserialize<'de> for FieldDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongForm {
    #[serde(rename = "type")]
    type_name: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    on_unknown: Option<OnUnknown>,
    #[serde(default)]
    required: bool,
    path: Option<String>,
    personal: Option<FieldPersonal>,
}

/// What is kept of a field whose values are personal data. A field that is dropped is not declared.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FieldPersonal {
    Hash,
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = FieldDef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type name such as `int64`, or a mapping with `type` or `enum`")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<FieldDef, E> {
        let field_type = FieldType::parse(name).map_err(E::custom)?;
        Ok(FieldDef { field_type, required: false, path: None, is_hashed: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FieldDef, A::Error> {
        let long = LongForm::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let field_type = match (long.type_name, long.values) {
            (Some(name), None) if long.aliases.is_empty() && long.on_unknown.is_none() => {
                FieldType::parse(&name).map_err(de::Error::custom)?
            }
            (None, Some(values)) => {
                if let Some((alias, target)) = long.aliases.iter().find(|(_, t)| !values.contains(t)) {
                    return Err(de::Error::custom(format!(
                        "alias `{alias}` stands for `{target}`, which the enum does not list"
                    )));
                }
                let spelled = values.into_iter().map(|v| (v.clone(), v)).chain(long.aliases);
                FieldType::Enum(EnumValues {
                    values: spelled.collect(),
                    on_unknown: long.on_unknown.unwrap_or_default(),
                })
            }
            _ => {
                return Err(de::Error::custom(
                    "a field has either `type`, or `enum` with optional `aliases` and `on_unknown`",
                ));
            }
        };
        Ok(FieldDef {
            field_type,
            required: long.required,
            path: long.path,
            is_hashed: matches!(long.personal, Some(FieldPersonal::Hash)),
        })
    }
}
