use super::{Cursor, Malformed};
use proptest::prelude::*;

pub fn put_varlong(buffer: &mut Vec<u8>, value: i64) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest >= 0x80 {
        buffer.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buffer.push(rest as u8);
}

proptest! {
    #[test]
    fn variable_lengths_read_back(values: Vec<i64>, small: Vec<i8>) {
        let values: Vec<i64> = values.into_iter().chain(small.into_iter().map(i64::from)).collect();
        let mut bytes = Vec::new();
        values.iter().for_each(|value| put_varlong(&mut bytes, *value));
        let mut cursor = Cursor::new(&bytes);
        for value in values {
            prop_assert_eq!(cursor.varlong("a number"), Ok(value));
        }
        prop_assert!(cursor.rest().is_empty());
    }

    #[test]
    fn lengths_beyond_the_bytes_are_refused(bytes: Vec<u8>) {
        let mut cursor = Cursor::new(&bytes);
        while let Ok(taken) = cursor.nullable("a field") {
            prop_assert!(taken.is_none_or(|taken| taken.len() < bytes.len()));
        }
    }
}

#[test]
fn a_count_that_cannot_fit_is_refused() {
    let bytes = [0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
    assert_eq!(Cursor::new(&bytes).count(1, "topics"), Err(Malformed::Impossible("topics", i32::MAX.into())));
    assert_eq!(Cursor::new(&[0xff; 4]).count(1, "topics"), Ok(0));
    assert_eq!(Cursor::new(&[0x80; 11]).varlong("a number"), Err(Malformed::Truncated("a number")));
}
