use super::Aborted;
use crate::batch::Batch;
use crate::batch::tests::Written;

const TRANSACTIONAL: i16 = 16;
const MARKER: i16 = 16 | 32;

#[test]
fn batches_between_the_first_offset_and_the_marker_do_not_count() {
    let mut aborted = Aborted::new(&[(7, 20), (7, 3), (8, 5)]);
    let batches = [
        // Producer, first offset, attributes, does it count?
        (7, 1, TRANSACTIONAL, true),
        (7, 2, MARKER, false),
        (7, 3, TRANSACTIONAL, false),
        (9, 4, TRANSACTIONAL, true),
        (8, 5, TRANSACTIONAL, false),
        (7, 6, TRANSACTIONAL, false),
        (7, 7, MARKER, false),
        (7, 8, TRANSACTIONAL, true),
        (8, 9, TRANSACTIONAL, false),
        (-1, 10, 0, true),
        (8, 11, MARKER, false),
        (8, 12, TRANSACTIONAL, true),
        (7, 20, TRANSACTIONAL, false),
        (7, 21, 0, true),
    ];
    for (producer, base_offset, attributes, counts) in batches {
        let bytes = Written { producer, attributes, ..Written::new(base_offset, &["x"]) }.bytes();
        assert_eq!(aborted.counts(&Batch::read(&bytes).unwrap()), counts, "at {base_offset}");
    }
}
