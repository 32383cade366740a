//! Where in a YAML text a node stands.
//!
//! The parser says where it failed, so a visitor that walks to the node and fails there is told its place.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A step on the way to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into the value of a key.
    Key(String),
    /// Into an item, counted from 0.
    Item(usize),
}

/// Line and column, counted from 1, of the node at `path` in the first document of `text`, or of the nearest
/// node around it.
pub fn locate(text: &str, path: &[Segment]) -> (usize, usize) {
    for length in (0..=path.len()).rev() {
        let Some(document) = serde_yaml_ng::Deserializer::from_str(text).next() else { break };
        if let Err(error) = Walk(&path[..length]).deserialize(document)
            && let Some(location) = error.location()
        {
            return (location.line(), location.column());
        }
    }
    (1, 1)
}

struct Walk<'p>(&'p [Segment]);

impl Walk<'_> {
    fn arrived<E: Error, T>(&self, value: T) -> Result<T, E> {
        if self.0.is_empty() { Err(E::custom("here")) } else { Ok(value) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.arrived::<A::Error, ()>(())?;
        while let Some(key) = map.next_key::<String>()? {
            if matches!(self.0.first(), Some(Segment::Key(wanted)) if *wanted == key) {
                map.next_value_seed(Walk(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.arrived::<A::Error, ()>(())?;
        let mut place = 0;
        loop {
            let found = match self.0.first() {
                Some(Segment::Item(wanted)) if *wanted == place => seq.next_element_seed(Walk(&self.0[1..]))?,
                _ => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if found.is_none() {
                return Ok(());
            }
            place += 1;
        }
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.arrived(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.arrived(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.arrived(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.arrived(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.arrived(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.arrived(())
    }
}
