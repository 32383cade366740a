//! Identifiers: unique by construction, a function of seed, start and entity.

use crate::random::{Entity, mix};
use std::fmt;

/// Where the ids of one run come from. The start is part of it, so that a run repeated later with the
/// same seed brings new orders and not old ones again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    salt: u64,
}

impl Ids {
    pub fn new(seed: u64, start_ms: i64) -> Self {
        Self { salt: mix(seed.wrapping_add(mix(start_ms as u64))) }
    }

    /// Different for every (entity, step) of a run, because `mix` is a bijection.
    pub fn unique(self, entity: Entity, step: u8) -> u64 {
        mix(entity.code(step) ^ self.salt)
    }

    /// The id of an entity, such as `ord_5e21c7…`.
    pub fn named(self, prefix: &'static str, entity: Entity, step: u8) -> Named {
        Named { prefix, number: self.unique(entity, step) }
    }

    /// A ULID: 48 bits of milliseconds, then 80 bits of which 64 are unique within the run.
    pub fn ulid(self, entity: Entity, step: u8, time_us: i64) -> Ulid {
        let millis = (time_us.max(0) / 1000) as u64 & 0xffff_ffff_ffff;
        let unique = self.unique(entity, step);
        let filler = mix(unique) >> 48;
        Ulid::new(u128::from(millis) << 80 | u128::from(filler) << 64 | u128::from(unique))
    }
}

/// `<prefix><16 hex digits>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    prefix: &'static str,
    number: u64,
}

impl Named {
    /// Appends it to a text.
    pub fn write(self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(self.prefix.as_bytes());
        out.extend((0..16).rev().map(|digit| HEX[(self.number >> (4 * digit) & 15) as usize]));
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", self.prefix, self.number)
    }
}

/// 26 characters of Crockford's base 32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ulid([u8; 26]);

impl Ulid {
    fn new(bits: u128) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        Self(std::array::from_fn(|i| DIGITS[(bits >> (5 * (25 - i)) & 31) as usize]))
    }

    pub fn as_str(&self) -> &str {
        // The digits are ASCII; the empty string stands for what cannot happen.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
