//! Personal keys by name: cheap to deny, since almost every key of an event is not one of them.

use super::PersonalCounts;
use hashbrown::HashMap;
use std::borrow::Cow;
use tidewatch_engine::source::{PersonalAction, PersonalKeys};

/// See the module page.
#[derive(Debug)]
pub(super) struct KeyTable {
    /// In lower case.
    actions: HashMap<String, PersonalAction>,
    /// Bit *n*: there is a key of *n* bytes, or of 63 and more.
    lengths: u64,
    /// First bytes of the keys, in both cases.
    firsts: [bool; 256],
    longest: usize,
}

impl KeyTable {
    pub fn new(keys: &PersonalKeys) -> Self {
        let actions: HashMap<String, PersonalAction> = keys.iter().map(|(key, a)| (key.to_owned(), a)).collect();
        let mut table = Self { lengths: 0, firsts: [false; 256], longest: 0, actions };
        for key in table.actions.keys() {
            for form in [key.clone(), key.to_uppercase()] {
                // Letters beyond ASCII may have cases of several lengths.
                table.lengths |= if form.is_ascii() { 1 << form.len().min(63) } else { u64::MAX };
                form.bytes().take(1).for_each(|first| table.firsts[usize::from(first)] = true);
                // Each letter may be written as an escape of six bytes.
                table.longest = table.longest.max(form.chars().count() * 12);
            }
        }
        table
    }

    /// What is done with the value of a key, unescaped.
    pub fn find(&self, key: &str) -> Option<PersonalAction> {
        let first = key.as_bytes().first()?;
        if !self.firsts[usize::from(*first)] || self.lengths & (1 << key.len().min(63)) == 0 {
            return None;
        }
        // Most keys are in lower case already.
        let is_lower = key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
        let lower = if is_lower { Cow::Borrowed(key) } else { Cow::Owned(key.to_lowercase()) };
        self.actions.get(&*lower).copied()
    }

    /// Counts the values of personal keys in a JSON text that is well-formed, without reading it: a key is
    /// a string before a colon.
    pub fn count(&self, json: &str, counts: &mut PersonalCounts) {
        if self.actions.is_empty() {
            return;
        }
        let bytes = json.as_bytes();
        for colon in memchr::memchr_iter(b':', bytes) {
            let before = bytes[..colon].trim_ascii_end();
            let Some((b'"', before)) = before.split_last() else { continue };
            let reach = before.len().saturating_sub(self.longest + 1);
            let Some(start) = memchr::memrchr(b'"', &before[reach..]) else { continue };
            let key = &before[reach + start + 1..];
            let action = match memchr::memchr(b'\\', key) {
                None => std::str::from_utf8(key).ok().and_then(|key| self.find(key)),
                Some(_) => {
                    sonic_rs::from_slice::<String>(&[b"\"", key, b"\""].concat()).ok().and_then(|k| self.find(&k))
                }
            };
            if let Some(action) = action
                && !bytes[colon + 1..].trim_ascii_start().starts_with(b"null")
            {
                counts.add(action);
            }
        }
    }
}
