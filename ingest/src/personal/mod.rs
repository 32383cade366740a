//! Personal data: nothing of it stays behind, in columns, dead letters, logs or metrics.
//!
//! ```text
//! columns     value of a hashed key ─▶ hash
//! payloads    JSON: values of personal keys, then what looks personal in the other strings   json
//!             no JSON, or cut off: the same by pattern, wherever the syntax breaks           text
//! messages    the same by pattern                                                            text
//! ```
//!
//! A pack names the keys (`personal` in `sources.yaml`). Dropped values become `[dropped]`, hashed ones
//! their hash, so that a record that is put back gives the same columns. E-mail addresses, telephone
//! numbers and access tokens are found by their look ([`scrub`]): in messages and broken records always,
//! in the strings of well-formed ones when the pack names any key.

mod hash;
mod json;
mod keys;
mod scrub;
mod text;

pub use hash::HashKey;

use json::JsonCleaner;
use keys::KeyTable;
use scrub::{Look, Scrubber};
use std::borrow::Cow;
use text::TextCleaner;
use tidewatch_engine::source::{PersonalAction, PersonalKeys};

/// What a dropped value becomes.
const DROPPED: &str = "[dropped]";
/// A payload is cleaned so many bytes beyond its bound, so that what is cut there is known by its look.
const CUT_MARGIN: usize = 512;

/// Knows what is personal, and makes it harmless.
#[derive(Debug)]
pub struct Personal {
    keys: KeyTable,
    hash_key: HashKey,
    /// `None` when no key is personal.
    text: Option<TextCleaner>,
    scrubber: Scrubber,
}

/// Personal values that were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PersonalCounts {
    /// Not kept.
    pub dropped: u64,
    /// Kept as a hash.
    pub hashed: u64,
}

impl PersonalCounts {
    /// Counts one more.
    pub fn add(&mut self, action: PersonalAction) {
        match action {
            PersonalAction::Drop => self.dropped += 1,
            PersonalAction::Hash => self.hashed += 1,
        }
    }

    /// Are there any?
    pub fn any(&self) -> bool {
        self.dropped + self.hashed > 0
    }
}

impl std::ops::AddAssign for PersonalCounts {
    fn add_assign(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.hashed += other.hashed;
    }
}

impl Personal {
    /// For the keys of a catalogue and the key of this installation.
    pub fn new(keys: &PersonalKeys, hash_key: HashKey) -> Self {
        Self {
            keys: KeyTable::new(keys),
            hash_key,
            text: (!keys.is_empty()).then(|| TextCleaner::new(keys)),
            scrubber: Scrubber::new(hash_key),
        }
    }

    /// Does the pack name any personal key?
    pub fn names_keys(&self) -> bool {
        self.text.is_some()
    }

    /// The hash that stands for a value; a hash stands for itself.
    pub fn hash(&self, value: &str) -> String {
        self.hash_key.hash(value)
    }

    /// Looks a key up, in any case.
    pub fn action(&self, key: &str) -> Option<PersonalAction> {
        self.keys.find(key)
    }

    /// Counts a value that is not read: that of a personal key, or the personal values inside of it.
    pub(crate) fn count_skipped(&self, action: Option<PersonalAction>, json: &str, counts: &mut PersonalCounts) {
        match action {
            Some(action) if json != "null" => counts.add(action),
            None if json.starts_with(['{', '[']) => self.keys.count(json, counts),
            _ => {}
        }
    }

    /// A text that is about a record, such as what is wrong with it.
    pub fn clean_message(&self, message: &str) -> String {
        self.clean_text(message.as_bytes(), Look::Message, &mut PersonalCounts::default())
    }

    /// An attribute of an event: bare digits stay, for ids look like that.
    pub fn clean_attribute(&self, value: &str) -> String {
        self.clean_text(value.as_bytes(), Look::Value, &mut PersonalCounts::default())
    }

    fn clean_text(&self, text: &[u8], look: Look, counts: &mut PersonalCounts) -> String {
        let cleaned = match &self.text {
            Some(keys) => keys.clean(text, &self.hash_key, counts),
            None => Cow::Borrowed(text),
        };
        String::from_utf8_lossy(&self.scrubber.clean(&cleaned, look)).into_owned()
    }

    /// The bytes of a record as they may be kept, at most `bytes_max` of them.
    pub fn clean_payload<'p>(&self, payload: &'p [u8], bytes_max: usize) -> (Cow<'p, [u8]>, PersonalCounts) {
        let mut counts = PersonalCounts::default();
        let is_whole = payload.len() <= bytes_max;
        let seen = &payload[..payload.len().min(bytes_max.saturating_add(CUT_MARGIN))];
        let json = std::str::from_utf8(seen).ok().filter(|_| is_whole).filter(|text| json::is_well_formed(text));
        let mut cleaned = match (&self.text, json) {
            (None, Some(json)) => Cow::Borrowed(json.as_bytes()),
            (Some(text), Some(json)) => {
                let cleaner =
                    JsonCleaner { keys: &self.keys, text, hash_key: &self.hash_key, scrubber: &self.scrubber };
                Cow::Owned(cleaner.clean(json, &mut counts))
            }
            (Some(_), None) if text::is_binary(seen) => {
                Cow::Owned(format!("[not kept: {} bytes that are no text]", payload.len()).into_bytes())
            }
            (Some(text), None) => {
                let cleaned = text.clean(seen, &self.hash_key, &mut counts);
                Cow::Owned(self.scrubber.clean(&cleaned, Look::Message).into_owned())
            }
            (None, None) => self.scrubber.clean(seen, Look::Message),
        };
        if cleaned.len() > bytes_max {
            match &mut cleaned {
                Cow::Borrowed(bytes) => *bytes = &bytes[..bytes_max],
                Cow::Owned(bytes) => bytes.truncate(bytes_max),
            }
        }
        (cleaned, counts)
    }
}

#[cfg(test)]
mod tests;
