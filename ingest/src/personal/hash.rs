//! Salted hashes that stand for personal values.

use std::fmt;

/// What a hash begins with, so that one is told from what it stands for.
const PREFIX: &str = "h_";
/// Digits of a hash: 96 bits.
const DIGITS: usize = 24;
/// What the key is derived for; another text gives other hashes.
const CONTEXT: &str = "tidewatch 2026-03 hashes of personal values";

/// The key of all hashes of an installation, derived from its salt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey {
    key: [u8; 32],
    is_salted: bool,
}

impl HashKey {
    /// The key of a salt. Whoever knows the salt can try values out.
    pub fn from_salt(salt: &str) -> Self {
        Self { key: blake3::derive_key(CONTEXT, salt.as_bytes()), is_salted: !salt.is_empty() }
    }

    /// Is there a salt? Hashes without one can be undone by trying values.
    pub fn is_salted(&self) -> bool {
        self.is_salted
    }

    /// `h_` and 24 hexadecimal digits of a keyed BLAKE3. A text that is a hash already stays, so that
    /// what was cleaned before gives the same again.
    pub fn hash(&self, value: &str) -> String {
        if is_hash(value) {
            return value.to_owned();
        }
        let hash = blake3::keyed_hash(&self.key, value.as_bytes()).to_hex();
        format!("{PREFIX}{}", &hash.as_str()[..DIGITS])
    }
}

/// Without a salt: good for tests and for packs that hash nothing.
impl Default for HashKey {
    fn default() -> Self {
        Self::from_salt("")
    }
}

/// The key is a secret.
impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

fn is_hash(value: &str) -> bool {
    value
        .strip_prefix(PREFIX)
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}
