//! A value that was passed over once already, for the visitors that read it.

use super::scan::Scanner;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use sonic_rs::LazyValue;
use std::borrow::Cow;
use std::fmt;

/// Reads a value as it is written, without space around it.
pub fn read_value<'de, S: DeserializeSeed<'de>>(json: &'de str, seed: S) -> Result<S::Value, Unread> {
    seed.deserialize(Value { json })
}

/// It was not read, or its visitor refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not read")
    }
}

impl std::error::Error for Unread {}

impl Error for Unread {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }
}

/// The text of a value, from this reader and from that of `sonic-rs`.
#[derive(Debug)]
pub struct Raw<'de>(Cow<'de, str>);

impl Raw<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// By this name a value is asked for its text. Other readers know nothing of it, and pass themselves on.
const RAW: &str = "tidewatch::Raw";

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(RAW, RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, json: &'de str) -> Result<Self::Value, E> {
        Ok(Raw(Cow::Borrowed(json)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        LazyValue::deserialize(deserializer).map(|value| Raw(value.as_raw_cow()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Value<'de> {
    json: &'de str,
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Unread;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.json.as_bytes() {
            [b'"', .., b'"'] => visitor.visit_borrowed_str(&self.json[1..self.json.len() - 1]),
            [b'n', ..] => visitor.visit_unit(),
            [b't', ..] => visitor.visit_bool(true),
            [b'f', ..] => visitor.visit_bool(false),
            [b'{', ..] => visitor.visit_map(Parts::of(self.json)),
            [b'[', ..] => visitor.visit_seq(Parts::of(self.json)),
            _ => visit_number(self.json, visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Unread> {
        match name {
            RAW => visitor.visit_borrowed_str(self.json),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.json {
            "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// Integers that 64 bits hold are integers, as everywhere.
fn visit_number<'de, V: Visitor<'de>>(json: &str, visitor: V) -> Result<V::Value, Unread> {
    if json.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = json.parse() {
            return visitor.visit_u64(value);
        }
    } else if let Some(digits) = json.strip_prefix('-')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        // Readers differ in whether -0 is an integer.
        match json.parse() {
            Ok(0) => return Err(Unread),
            Ok(value) => return visitor.visit_i64(value),
            Err(_) => {}
        }
    }
    let value: f64 = json.parse().map_err(|_| Unread)?;
    if value.is_finite() { visitor.visit_f64(value) } else { Err(Unread) }
}

/// The members or elements of a value.
struct Parts<'de> {
    json: &'de str,
    scanner: Scanner<'de>,
    is_first: bool,
}

impl<'de> Parts<'de> {
    fn of(json: &'de str) -> Self {
        let mut scanner = Scanner::new(json);
        scanner.open();
        Self { json, scanner, is_first: true }
    }

    fn value<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unread> {
        let value = self.scanner.value().ok_or(Unread)?;
        read_value(value.of(self.json), seed)
    }
}

impl<'de> MapAccess<'de> for Parts<'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unread> {
        let Some(key) = self.scanner.next_key(self.is_first).ok_or(Unread)? else { return Ok(None) };
        self.is_first = false;
        seed.deserialize(BorrowedStrDeserializer::new(key.of(self.json))).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unread> {
        self.value(seed)
    }
}

impl<'de> SeqAccess<'de> for Parts<'de> {
    type Error = Unread;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unread> {
        let has_next = self.scanner.next_element(self.is_first).ok_or(Unread)?;
        self.is_first = false;
        if has_next { self.value(seed).map(Some) } else { Ok(None) }
    }
}
