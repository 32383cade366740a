//! What looks like an e-mail address, a telephone number or an access token.

use super::HashKey;
use regex::bytes::{Captures, Regex};
use std::borrow::Cow;

/// How much must speak for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// In messages and broken records: too much rather than too little. Ten digits are a number to call.
    Message,
    /// In values that are kept for a second try, and in ids: a telephone number needs a plus, or groups.
    /// What is found is told apart by its hash, as an id must be, if there is a salt.
    Value,
}

/// Finds by pattern and puts a word in its place.
#[derive(Debug)]
pub(super) struct Scrubber {
    email: Regex,
    token: Regex,
    phone: Regex,
    hash_key: HashKey,
}

/// `@` stands for itself, or is escaped for a URL or for JSON.
const EMAIL: &str = r#"(?i-u)[^\x00-\x20"'`<>()\[\]{},;:=\\@/&?|%]{1,64}(?:@|%40|\\+u0040)[a-z0-9\x80-\xff_-]+(?:\.[a-z0-9\x80-\xff-]+)+"#;

/// A scheme with its credentials, a JSON Web Token, or one of the prefixes that issuers give to secrets.
const TOKEN: &str = r"(?i-u)\bbearer(?:\s|%20|\+|:)+[a-z0-9._~+/=-]{6,}|(?-i:\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4})|(?-i:\b(?:AKIA|ASIA)[A-Z0-9]{12,})|\b(?:act|rft)[._-][a-z0-9._~!+/=-]{4,}|\b(?P<prefix>sk|pk|rk|gh[oprsu]|github_pat|glpat|xox[a-z]|ttp|row|ya29|shp[a-z]{2})[._-](?P<tail>[a-z0-9._~!+/=-]{6,})";

/// Digits in groups; which of them are a number to call is decided by [`is_phone`].
const PHONE: &str = r"(?-u)\+?\(?[0-9][0-9 ()./-]{6,24}[0-9]";

/// Fewest and most digits of a telephone number.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Fewest digits that are one without a plus.
const PHONE_DIGITS_PLAIN: usize = 10;

impl Scrubber {
    pub fn new(hash_key: HashKey) -> Self {
        #[expect(clippy::expect_used, reason = "patterns of ours, compiled by every test")]
        let pattern = |text: &str| Regex::new(text).expect("a valid pattern");
        Self { email: pattern(EMAIL), token: pattern(TOKEN), phone: pattern(PHONE), hash_key }
    }

    /// Puts `[email]`, `[token]` or `[phone]` for what looks like one.
    pub fn clean<'t>(&self, text: &'t [u8], look: Look) -> Cow<'t, [u8]> {
        let word = |kind: &str, found: &[u8]| match look {
            Look::Value if self.hash_key.is_salted() => {
                format!("[{kind} {}]", self.hash_key.hash(&String::from_utf8_lossy(found))).into_bytes()
            }
            _ => format!("[{kind}]").into_bytes(),
        };
        let mut cleaned = Cow::Borrowed(text);
        if ["@", "%40", "u0040"].iter().any(|at| memchr::memmem::find(text, at.as_bytes()).is_some()) {
            cleaned = replace(cleaned, &self.email, |found| Some(word("email", &found[0])));
        }
        let cleaned = replace(cleaned, &self.token, |found| is_token(found).then(|| word("token", &found[0])));
        let digits = cleaned.iter().filter(|b| b.is_ascii_digit()).count();
        if digits < *PHONE_DIGITS.start() {
            return cleaned;
        }
        // Numbers need to know their neighbours, so they are replaced by hand.
        match self.phones(&cleaned, look) {
            phones if phones.is_empty() => cleaned,
            phones => {
                let mut out = Vec::with_capacity(cleaned.len());
                let mut done = 0;
                for (start, end) in phones {
                    out.extend_from_slice(&cleaned[done..start]);
                    out.extend(word("phone", &cleaned[start..end]));
                    done = end;
                }
                out.extend_from_slice(&cleaned[done..]);
                Cow::Owned(out)
            }
        }
    }

    fn phones(&self, text: &[u8], look: Look) -> Vec<(usize, usize)> {
        let mut phones = Vec::new();
        for found in self.phone.find_iter(text) {
            if is_phone(text, found.start(), found.end(), look) {
                phones.push((found.start(), found.end()));
                continue;
            }
            // Two numbers beside each other are too long together.
            let mut start = found.start();
            for part in found.as_bytes().split(|&b| b == b' ') {
                if is_phone(text, start, start + part.len(), look) {
                    phones.push((start, start + part.len()));
                }
                start += part.len() + 1;
            }
        }
        phones
    }
}

fn replace<'t>(text: Cow<'t, [u8]>, pattern: &Regex, word: impl Fn(&Captures<'_>) -> Option<Vec<u8>>) -> Cow<'t, [u8]> {
    let replaced =
        match pattern.replace_all(&text, |found: &Captures<'_>| word(found).unwrap_or_else(|| found[0].to_vec())) {
            Cow::Borrowed(_) => return text,
            Cow::Owned(replaced) => replaced,
        };
    Cow::Owned(replaced)
}

/// Short prefixes are words, too: a secret has a digit in it.
fn is_token(found: &Captures<'_>) -> bool {
    found.name("tail").is_none_or(|tail| tail.as_bytes().iter().any(u8::is_ascii_digit))
}

fn is_phone(text: &[u8], start: usize, end: usize, look: Look) -> bool {
    let found = &text[start..end];
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let before = &text[..start];
    // Part of a longer word, such as an id in groups.
    let is_part = before.last().is_some_and(is_word)
        || text.get(end).is_some_and(is_word)
        || matches!(before, [.., b, b'-'] if is_word(b))
        || matches!(&text[end..], [b'-', b, ..] if is_word(b));
    let digits = found.iter().filter(|b| b.is_ascii_digit()).count();
    let groups = found.iter().filter(|b| matches!(b, b' ' | b'-' | b'.' | b'/' | b'(')).count();
    let is_date = matches!(found, [a, b, c, d, b'-', ..] if [a, b, c, d].iter().all(|b| b.is_ascii_digit()));
    let is_long_enough = match (found.first(), look) {
        (Some(b'+'), _) => true,
        (_, Look::Message) => digits >= PHONE_DIGITS_PLAIN,
        (_, Look::Value) => digits >= PHONE_DIGITS_PLAIN && groups >= 2,
    };
    !is_part && !is_date && PHONE_DIGITS.contains(&digits) && is_long_enough
}
