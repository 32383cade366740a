//! xxHash64, by which Prometheus spreads groups over their interval and tells alerts apart.
//!
//! Formula: the xxHash specification 0.1.1, 64-bit variant, seed 0.

use tidewatch_promql::Labels;

const PRIMES: [u64; 5] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

/// The hash of a label set as `labels.Labels.Hash` of Prometheus gives it: names and values in order, each
/// followed by a byte that UTF-8 never contains.
pub fn of_labels(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(128);
    for label in labels.iter() {
        for part in [&label.name, &label.value] {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0xff);
        }
    }
    xxh64(&bytes)
}

/// The hash of texts, told apart by where one ends.
pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut bytes = Vec::with_capacity(128);
    for text in texts {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0xff);
    }
    xxh64(&bytes)
}

/// The 64-bit hash of `bytes` with seed 0.
pub fn xxh64(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut hash = if bytes.len() >= 32 {
        let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0_u64.wrapping_sub(PRIMES[0])];
        while rest.len() >= 32 {
            for lane in &mut lanes {
                *lane = round(*lane, word(rest));
                rest = &rest[8..];
            }
        }
        let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        let mixed = rotated.fold(0_u64, u64::wrapping_add);
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]))
    } else {
        PRIMES[4]
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while rest.len() >= 8 {
        hash ^= round(0, word(rest));
        hash = hash.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        let half = rest[..4].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        hash ^= half.wrapping_mul(PRIMES[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash ^= u64::from(*byte).wrapping_mul(PRIMES[4]);
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// The first eight bytes, least significant first.
fn word(bytes: &[u8]) -> u64 {
    bytes[..8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_reference_implementation() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        assert_eq!(xxh64(b"The quick brown fox jumps over the lazy dog"), 0x0b24_2d36_1fda_71bc);
    }
}
