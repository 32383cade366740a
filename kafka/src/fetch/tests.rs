use super::{Answer, Limits, Wanted, put_request, read_response};
use crate::wire::Put;
use proptest::prelude::*;

/// Of a partition: number, error, end, aborted transactions, records.
type PartitionOf<'a> = (i32, i16, i64, &'a [(i64, i64)], &'a [u8]);

/// Writes the body of a response, from partitions by topic.
pub fn put_response(buffer: &mut Vec<u8>, topics: &[(&str, &[PartitionOf<'_>])]) {
    buffer.put_i32(0);
    buffer.put_i16(0);
    buffer.put_i32(0);
    buffer.put_i32(topics.len() as i32);
    for (topic, partitions) in topics {
        buffer.put_text(topic);
        buffer.put_i32(partitions.len() as i32);
        for (number, error, end, aborted, records) in *partitions {
            buffer.put_i32(*number);
            buffer.put_i16(*error);
            buffer.put_i64(*end);
            buffer.put_i64(*end);
            buffer.put_i64(0);
            buffer.put_i32(if aborted.is_empty() { -1 } else { aborted.len() as i32 });
            for (producer, first) in *aborted {
                buffer.put_i64(*producer);
                buffer.put_i64(*first);
            }
            buffer.put_i32(-1);
            buffer.put_i32(records.len() as i32);
            buffer.extend_from_slice(records);
        }
    }
}

#[test]
fn a_request_has_the_bytes_of_the_protocol() {
    let limits = Limits { wait_ms: 50, bytes_min: 1, bytes_max: 2, partition_bytes_max: 3, read_committed: true };
    let wanted =
        [("a", 0, 5), ("a", 2, 6), ("b", 1, 7)].map(|(topic, number, offset)| Wanted { topic, number, offset });
    let mut bytes = Vec::new();
    put_request(&mut bytes, &limits, &wanted);
    // https://kafka.apache.org/protocol#The_Messages_Fetch, version 11, written by hand.
    let head = "ffffffff 00000032 00000001 00000002 01 00000000 ffffffff 00000002";
    let a = "0001 61 00000002 00000000 ffffffff 0000000000000005 ffffffffffffffff 00000003 \
             00000002 ffffffff 0000000000000006 ffffffffffffffff 00000003";
    let b = "0001 62 00000001 00000001 ffffffff 0000000000000007 ffffffffffffffff 00000003";
    let expected = [head, a, b, "00000000 0000"].concat().replace(' ', "");
    let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_response_is_read_where_it_lies() {
    let mut body = Vec::new();
    put_response(&mut body, &[("a", &[(0, 0, 9, &[(4, 2)], b"xyz"), (1, 6, -1, &[], b"")]), ("b", &[])]);
    let (error, answers) = read_response(&body).unwrap();
    assert_eq!(error, 0);
    let [first, second] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((first.topic, first.number, &first.aborted[..], first.high_watermark), ("a", 0, &[(4, 2)][..], 9));
    assert_eq!(&body[first.records.clone()], b"xyz");
    let Answer { error, records, .. } = second;
    assert_eq!((*error, records.is_empty()), (6, true));
}

proptest! {
    #[test]
    fn bytes_that_are_no_response_are_refused(bytes: Vec<u8>, end: prop::sample::Index) {
        let _ = read_response(&bytes);
        let mut body = Vec::new();
        put_response(&mut body, &[("topic", &[(0, 0, 9, &[(4, 2)], &bytes)])]);
        prop_assert!(read_response(&body[..end.index(body.len())]).is_err());
    }
}
