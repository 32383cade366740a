//! Personal data: keys of events whose values are never kept as they are.

use super::SourceDef;
use super::field::FieldType;
use super::parse::Mistake;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Attributes that every event needs, or that say what else it holds.
const NEEDED: [&str; 11] = [
    "data",
    "data_base64",
    "id",
    "sequence",
    "source",
    "specversion",
    "subject",
    "tenantid",
    "tenantkind",
    "time",
    "type",
];

/// What is kept of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonalAction {
    /// Nothing.
    Drop,
    /// A salted hash: equal values stay equal.
    Hash,
}

impl PersonalAction {
    /// Stable name, the label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Hash => "hash",
        }
    }
}

/// Keys whose values are personal data wherever they stand in an event, at any depth and in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalKeys {
    /// In lower case.
    actions: BTreeMap<String, PersonalAction>,
}

/// The section `personal` of a `sources.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersonalSection {
    /// Keys whose values are not kept.
    pub drop: Vec<String>,
    /// Keys whose values are kept as a salted hash.
    pub hash: Vec<String>,
}

impl PersonalKeys {
    /// All keys, in lower case, with what is kept of their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, PersonalAction)> {
        self.actions.iter().map(|(key, &action)| (key.as_str(), action))
    }

    /// No key is personal.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Is a salt needed?
    pub fn any_hashed(&self) -> bool {
        self.actions.values().any(|&a| a == PersonalAction::Hash)
    }

    /// Adds the keys of a section.
    pub(super) fn add_section(&mut self, section: &PersonalSection) -> Option<Mistake> {
        let dropped = section.drop.iter().map(|key| (key, PersonalAction::Drop));
        let mut keys = dropped.chain(section.hash.iter().map(|key| (key, PersonalAction::Hash)));
        keys.find_map(|(key, action)| self.add(key, action))
    }

    /// Adds the keys of the fields that are marked as hashed.
    pub(super) fn add_fields(&mut self, def: &SourceDef) -> Option<Mistake> {
        let mut hashed = def.fields.iter().filter(|(_, field)| field.is_hashed);
        hashed.find_map(|(name, _)| self.add(last_key(def.path(name)), PersonalAction::Hash))
    }

    fn add(&mut self, key: &str, action: PersonalAction) -> Option<Mistake> {
        let lower = key.to_lowercase();
        if lower.is_empty() || NEEDED.contains(&lower.as_str()) {
            let mistake = Mistake::new(format!("`{key}` cannot be a personal key"));
            return Some(mistake.hint("the attributes of the envelope are needed; name keys below data"));
        }
        match self.actions.insert(lower, action) {
            Some(other) if other != action => {
                let mistake = Mistake::new(format!("the personal key `{key}` is both dropped and hashed"));
                Some(mistake.hint("a key means the same wherever it stands, in all sources and packs"))
            }
            _ => None,
        }
    }

    /// Marks the fields of a source that hold hashes, or says why one cannot be kept.
    pub(super) fn mark_fields(&self, def: &mut SourceDef) -> Option<Mistake> {
        let paths: Vec<(String, String)> =
            def.fields.keys().map(|name| (name.clone(), def.path(name).to_owned())).collect();
        for (name, path) in paths {
            let Some(place) = self.place(&path) else { continue };
            let wrong = |text: &str| {
                Mistake::new(format!("source {}: `{name}` lies at the personal key `{}`, {text}", def.name, place.key))
            };
            if place.action == PersonalAction::Drop {
                return Some(wrong("which is dropped").hint("remove the field, or list the key under `hash`"));
            }
            if !place.is_last {
                return Some(
                    wrong("of which only a hash is kept").hint("name the keys further below instead, one by one"),
                );
            }
            match def.fields.get_mut(&name) {
                Some(field) if field.field_type == FieldType::String => field.is_hashed = true,
                _ => return Some(wrong("and a hash is text").hint("declare the field as string")),
            }
        }
        let place = def.explode.as_deref().and_then(|array| self.place(array))?;
        let text = format!("source {}: explode lies at the personal key `{}`", def.name, place.key);
        Some(Mistake::new(text).hint("name the keys further below instead, one by one"))
    }

    /// The first personal key of a path.
    fn place<'p>(&self, path: &'p str) -> Option<Place<'p>> {
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            if let Some(&action) = self.actions.get(&key.to_lowercase()) {
                return Some(Place { key, action, is_last: keys.peek().is_none() });
            }
        }
        None
    }
}

struct Place<'p> {
    key: &'p str,
    action: PersonalAction,
    is_last: bool,
}

fn last_key(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
