//! Personal data in well-formed JSON: the result is well-formed, too, and the same wherever nothing is
//! personal.

use super::keys::KeyTable;
use super::scrub::{Look, Scrubber};
use super::text::TextCleaner;
use super::{DROPPED, HashKey, PersonalCounts};
use crate::decode::is_too_deep;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tidewatch_engine::source::PersonalAction;

/// Walks over a text that [`is_well_formed`].
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonCleaner<'c> {
    pub keys: &'c KeyTable,
    pub text: &'c TextCleaner,
    pub hash_key: &'c HashKey,
    pub scrubber: &'c Scrubber,
}

/// Is it one JSON value?
pub(super) fn is_well_formed(json: &str) -> bool {
    if is_too_deep(json.as_bytes()) {
        return false;
    }
    let mut deserializer = sonic_rs::Deserializer::from_str(json);
    IgnoredAny::deserialize(&mut deserializer).is_ok() && deserializer.end().is_ok()
}

impl JsonCleaner<'_> {
    pub fn clean(&self, json: &str, counts: &mut PersonalCounts) -> Vec<u8> {
        let mut out = Vec::with_capacity(json.len());
        let mut at = 0;
        while let Some(start) = memchr::memchr(b'"', &json.as_bytes()[at..]).map(|offset| at + offset) {
            out.extend_from_slice(&json.as_bytes()[at..start]);
            let end = start + string_bytes(&json[start..]);
            let string = &json[start..end];
            at = end;
            let rest = json[end..].trim_start();
            let Some(after_colon) = rest.strip_prefix(':') else {
                self.string(string, &mut out, counts);
                continue;
            };
            match self.action(string) {
                None => self.string(string, &mut out, counts),
                Some(action) => {
                    out.extend_from_slice(string.as_bytes());
                    let value = after_colon.trim_start();
                    let value_start = json.len() - value.len();
                    out.extend_from_slice(&json.as_bytes()[end..value_start]);
                    at = value_start + value_bytes(value);
                    self.value(&json[value_start..at], action, &mut out, counts);
                }
            }
        }
        out.extend_from_slice(&json.as_bytes()[at..]);
        out
    }

    fn action(&self, key: &str) -> Option<PersonalAction> {
        let plain = &key[1..key.len() - 1];
        match plain.contains('\\') {
            false if plain.eq_ignore_ascii_case("data_base64") => Some(PersonalAction::Drop),
            false => self.keys.find(plain),
            true => sonic_rs::from_str::<String>(key).ok().and_then(|key| self.keys.find(&key)),
        }
    }

    /// A string that is not personal by its key.
    fn string(&self, quoted: &str, out: &mut Vec<u8>, counts: &mut PersonalCounts) {
        let mut clean = |text: &[u8]| {
            let by_key = self.text.clean(text, self.hash_key, counts);
            self.scrubber.clean(&by_key, Look::Value).into_owned()
        };
        match sonic_rs::from_str::<String>(quoted) {
            Ok(text) => {
                let cleaned = clean(text.as_bytes());
                let changed = (cleaned != text.as_bytes()).then(|| String::from_utf8_lossy(&cleaned).into_owned());
                match changed.and_then(|text| sonic_rs::to_string(&text).ok()) {
                    Some(changed) => out.extend_from_slice(changed.as_bytes()),
                    None => out.extend_from_slice(quoted.as_bytes()),
                }
            }
            // Escapes that stand for nothing: not a text, but not to be kept unseen either.
            Err(_) => out.extend(clean(quoted.as_bytes())),
        }
    }

    /// The value of a personal key.
    fn value(&self, raw: &str, action: PersonalAction, out: &mut Vec<u8>, counts: &mut PersonalCounts) {
        if raw == "null" {
            return out.extend_from_slice(raw.as_bytes());
        }
        counts.add(action);
        let clean = match (action, raw.starts_with('"')) {
            (PersonalAction::Drop, _) => DROPPED.to_owned(),
            (PersonalAction::Hash, true) => {
                sonic_rs::from_str::<String>(raw).map_or(DROPPED.to_owned(), |text| self.hash_key.hash(&text))
            }
            (PersonalAction::Hash, false) => self.hash_key.hash(raw),
        };
        out.extend_from_slice(b"\"");
        out.extend_from_slice(clean.as_bytes());
        out.extend_from_slice(b"\"");
    }
}

/// Length of the string that a text begins with, quotes included.
fn string_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(offset) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += offset;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Length of the value that a text begins with.
fn value_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'"') => string_bytes(text),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (0, 0usize);
            while at < bytes.len() {
                match bytes[at] {
                    b'"' => {
                        at += string_bytes(&text[at..]);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            bytes.len()
        }
        _ => bytes
            .iter()
            .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
            .unwrap_or(bytes.len()),
    }
}
