//! What is wrong with a configuration, and where.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One mistake in a configuration: the path of the value, its line, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}{}", self.place(), self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct ConfigError {
    /// Path such as `receivers[2].slack_configs[0].api_url`; empty for the whole document.
    pub path: String,
    /// Line and column, both from 1, when the place could be found in the text.
    pub position: Option<(usize, usize)>,
    /// What was expected and what was found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ConfigError {
    fn place(&self) -> String {
        let path = if self.path.is_empty() { "configuration" } else { &self.path };
        match self.position {
            Some((line, column)) => format!("line {line}, column {column}, {path}"),
            None => path.to_string(),
        }
    }
}

/// A mistake found by a check that knows the path but not the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, from the root.
    pub path: Path,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake at `path`.
    pub fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.clone(), message: message.into(), hint: None }
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the line of the place in `text`: of the value itself or of the nearest enclosing one that is written.
    pub fn within(self, text: &str) -> ConfigError {
        let mut steps = self.path.0.as_slice();
        let position = loop {
            match locate(text, steps) {
                None if steps.is_empty() => break None,
                None => steps = &steps[..steps.len() - 1],
                found => break found,
            }
        };
        ConfigError { path: self.path.to_string(), position, message: self.message, hint: self.hint }
    }
}

/// One step from a value into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// By key of a mapping.
    Key(String),
    /// By index of a list, from 0.
    Index(usize),
}

/// Steps from the root of the document to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path one key further.
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_string()));
        Self(steps)
    }

    /// The path one index further.
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(formatter, "{key}")?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Line and column (from 1) of the value at `steps` in the YAML `text`, if there is such a value. The reader is made
/// to fail at that very value, because its errors carry the position that its values do not.
fn locate(text: &str, steps: &[Step]) -> Option<(usize, usize)> {
    let found = Walk(steps).deserialize(serde_yaml_ng::Deserializer::from_str(text));
    let error = found.err()?;
    let here = error.to_string().contains(MARK);
    error.location().filter(|_| here).map(|place| (place.line(), place.column()))
}

const MARK: &str = "\u{1}the value looked for";

struct Walk<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { MARK } else { "a mapping or list on the way" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(MARK));
        };
        while let Some(key) = map.next_key::<serde_yaml_ng::Value>()? {
            if key.as_str() == Some(wanted) {
                map.next_value_seed(Walk(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom(MARK));
        };
        let mut at = 0;
        loop {
            let more = if at == *wanted {
                list.next_element_seed(Walk(rest))?.is_some()
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }
}
