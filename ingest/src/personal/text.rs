//! Values of personal keys in any text, by pattern: broken JSON, JSON in strings, query strings.
//!
//! Nothing is assumed about where a string begins, so a quote too few does not hide what follows. A key
//! stands before a colon or an equals sign, in quotes or not, escaped or not; its value ends where a
//! value of its kind ends, or with the text.

use super::{DROPPED, HashKey, PersonalCounts};
use regex::bytes::Regex;
use std::borrow::Cow;
use std::fmt::Write;
use tidewatch_engine::source::{PersonalAction, PersonalKeys};

/// A key that no pack has to name: JSON in disguise.
const ALWAYS_DROPPED: &str = "data_base64";

/// Text that has more control characters than one in so many bytes is none.
const TEXT_BYTES_PER_CONTROL: usize = 50;

/// See the module page.
#[derive(Debug)]
pub(super) struct TextCleaner {
    key: Regex,
}

impl TextCleaner {
    pub fn new(keys: &PersonalKeys) -> Self {
        let of = |wanted: PersonalAction| {
            let names = keys.iter().filter(|&(_, action)| action == wanted).map(|(key, _)| spellings(key));
            let always = (wanted == PersonalAction::Drop).then(|| spellings(ALWAYS_DROPPED));
            names.chain(always).collect::<Vec<_>>().join("|")
        };
        // An empty alternative would match everywhere.
        let group = |name: &str, keys: String| if keys.is_empty() { None } else { Some(format!("(?P<{name}>{keys})")) };
        let groups = [group("drop", of(PersonalAction::Drop)), group("hash", of(PersonalAction::Hash))];
        let groups = groups.into_iter().flatten().collect::<Vec<_>>().join("|");
        // An escaped quote or line break before a key looks like letters that belong to it.
        let pattern = format!(
            r#"(?-u)(?:^|[^0-9A-Za-z_]|\\[bfnrt]|\\u[0-9A-Fa-f]{{4}})(?:{groups})(?P<quote>\\*(?:["']|u0022|u0027))?(?:\s|\\[nrt])*[:=](?:\s|\\[nrt])*"#
        );
        #[expect(clippy::expect_used, reason = "every character of a key is written by its bytes")]
        let key = Regex::new(&pattern).expect("a valid pattern");
        Self { key }
    }

    /// The text with the values of personal keys made harmless.
    pub fn clean<'t>(&self, text: &'t [u8], hash_key: &HashKey, counts: &mut PersonalCounts) -> Cow<'t, [u8]> {
        if memchr::memchr2(b':', b'=', text).is_none() {
            return Cow::Borrowed(text);
        }
        let mut out: Vec<u8> = Vec::new();
        let (mut done, mut from) = (0, 0);
        while let Some(found) = self.key.captures_at(text, from) {
            let (Some(whole), quote) = (found.get(0), found.name("quote").map_or(&b""[..], |q| q.as_bytes())) else {
                break;
            };
            let action = if found.name("drop").is_some() { PersonalAction::Drop } else { PersonalAction::Hash };
            let value = Value::at(text, whole.end(), quote);
            // The last byte may stand before the next key.
            from = value.end.max(whole.end()).saturating_sub(1).max(whole.start() + 1);
            if let Some(clean) = value.clean(text, action, quote, hash_key) {
                counts.add(action);
                out.extend_from_slice(&text[done.min(value.start)..value.start]);
                out.extend_from_slice(clean.as_bytes());
                done = value.end;
            }
        }
        if done == 0 && out.is_empty() {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(&text[done..]);
        Cow::Owned(out)
    }
}

/// A pattern of all ways to write a key: each letter in both cases, plain or as an escape of JSON.
fn spellings(key: &str) -> String {
    let mut pattern = String::new();
    for letter in key.chars() {
        let cases = letter.to_lowercase().chain(letter.to_uppercase());
        let mut ways: Vec<String> = Vec::new();
        for case in cases {
            let bytes = case.encode_utf8(&mut [0; 4]).bytes().fold(String::new(), |mut text, byte| {
                // Writing to a text cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
                text
            });
            let escape = case.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |mut text, unit| {
                let _ = write!(text, "\\\\+u(?i:{unit:04x})");
                text
            });
            ways.extend([bytes, escape]);
        }
        ways.dedup();
        // Writing to a text cannot fail.
        let _ = write!(pattern, "(?:{})", ways.join("|"));
    }
    pattern
}

/// Where a value lies, quotes included.
#[derive(Debug)]
struct Value {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// With the length of its opening quote, and whether it is closed.
    Quoted { quote_bytes: usize, is_closed: bool },
    /// An object or an array.
    Nested,
    /// A number, a word, or text without quotes.
    Bare,
}

impl Value {
    /// The value at `start`, whose key ended with `key_quote`.
    fn at(text: &[u8], start: usize, key_quote: &[u8]) -> Self {
        let rest = &text[start..];
        let (end, kind) = if let Some(quote) = quote_at(rest) {
            let body = start + quote.len();
            match closing_quote(&text[body..], quote) {
                Some(at) => (body + at + quote.len(), Kind::Quoted { quote_bytes: quote.len(), is_closed: true }),
                None => (text.len(), Kind::Quoted { quote_bytes: quote.len(), is_closed: false }),
            }
        } else if matches!(rest.first(), Some(b'{' | b'[')) {
            (start + nested_bytes(rest, key_quote), Kind::Nested)
        } else {
            (start + bare_bytes(rest), Kind::Bare)
        };
        Self { start, end, kind }
    }

    /// What stands in its place; `None` when there is no value.
    fn clean(&self, text: &[u8], action: PersonalAction, key_quote: &[u8], hash_key: &HashKey) -> Option<String> {
        let raw = &text[self.start..self.end];
        let in_quotes = |quote: &[u8], value: &str| {
            let quote = String::from_utf8_lossy(quote);
            format!("{quote}{value}{quote}")
        };
        match self.kind {
            Kind::Quoted { quote_bytes, is_closed } => {
                let quote = &raw[..quote_bytes];
                let value = match action {
                    PersonalAction::Hash if quote == b"\"" && is_closed => sonic_rs::from_slice::<String>(raw).ok(),
                    _ => None,
                };
                Some(in_quotes(quote, &value.map_or(DROPPED.to_owned(), |v| hash_key.hash(&v))))
            }
            Kind::Bare if raw.trim_ascii().is_empty() || raw == b"null" || raw == DROPPED.as_bytes() => None,
            // Text without quotes needs none: it may stand in a string.
            Kind::Bare if !is_literal(raw) => Some(DROPPED.to_owned()),
            Kind::Bare | Kind::Nested => {
                let value = match action {
                    PersonalAction::Hash => hash_key.hash(&String::from_utf8_lossy(raw)),
                    PersonalAction::Drop => DROPPED.to_owned(),
                };
                Some(in_quotes(key_quote, &value))
            }
        }
    }
}

/// The quote that a text begins with, its backslashes included.
fn quote_at(text: &[u8]) -> Option<&[u8]> {
    let backslashes = text.iter().take_while(|&&b| b == b'\\').count();
    let rest = &text[backslashes..];
    let length = match rest {
        [b'"' | b'\'', ..] => 1,
        [b'u', b'0', b'0', b'2', b'2' | b'7', ..] if backslashes > 0 => 5,
        _ => return None,
    };
    Some(&text[..backslashes + length])
}

/// Where the quote that closes a string begins: the next one that is not escaped further than the first.
fn closing_quote(body: &[u8], quote: &[u8]) -> Option<usize> {
    let sign = quote.iter().copied().find(|&b| b != b'\\')?;
    if sign == b'u' {
        return memchr::memmem::find(body, quote);
    }
    let level = quote.len() - 1;
    for at in memchr::memchr_iter(sign, body) {
        let backslashes = body[..at].iter().rev().take_while(|&&b| b == b'\\').count();
        match level {
            0 if backslashes % 2 == 0 => return Some(at),
            0 => {}
            _ if backslashes <= level => return Some(at - backslashes),
            _ => {}
        }
    }
    None
}

/// Length of an object or array: to its closing bracket, to the end of the string that holds it, or all.
fn nested_bytes(text: &[u8], key_quote: &[u8]) -> usize {
    let level = key_quote.iter().take_while(|&&b| b == b'\\').count();
    let (mut depth, mut backslashes, mut in_string) = (0usize, 0, false);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'"' if backslashes < level => return at - backslashes,
            b'"' if backslashes == level || level == 0 && backslashes % 2 == 0 => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    text.len()
}

/// Length of a value without quotes: a number or a word of JSON, else text to the end of the line, of the
/// string or of the pair of a query string. A comma does not end it: addresses have commas.
fn bare_bytes(text: &[u8]) -> usize {
    let word = text.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count();
    let after = text[word..].iter().find(|b| !matches!(b, b' ' | b'\t'));
    let ends = matches!(after, None | Some(b',' | b'}' | b']' | b'&' | b'\r' | b'\n'));
    if word > 0 && ends && is_literal(&text[..word]) {
        return word;
    }
    if text.starts_with(DROPPED.as_bytes()) {
        return DROPPED.len();
    }
    // What a backslash stands before is no end of the value: it may be what is left of an escaped quote. Neither is a
    // quote with letters behind it, which opens something.
    let escaped = match text.first() {
        Some(b'\\') => text.iter().take_while(|b| matches!(b, b'\\' | b' ' | b'\t')).count() + 1,
        _ => 0,
    };
    let escaped = match text.get(escaped.max(1)..) {
        Some([b'"' | b'\'', letter, ..]) if letter.is_ascii_alphanumeric() => escaped.max(1) + 1,
        _ => escaped,
    };
    let is_end = |b: &u8| matches!(b, b'"' | b'\'' | b'\\' | b'{' | b'}' | b'\r' | b'\n' | b'&' | b';' | b'<');
    text.iter().skip(escaped).position(is_end).map_or(text.len(), |at| escaped + at)
}

fn is_literal(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false" | b"null")
        || std::str::from_utf8(text).is_ok_and(|t| {
            t.parse::<f64>().is_ok() && t.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        })
}

/// Bytes that are no text at all, in which nothing can be found by pattern: compressed, encrypted, UTF-16.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let controls = bytes.iter().filter(|b| b.is_ascii_control() && !matches!(b, b'\t' | b'\r' | b'\n')).count();
    bytes.contains(&0) || controls * TEXT_BYTES_PER_CONTROL > bytes.len()
}
