use super::*;

fn at(positions: &[(i32, i64)]) -> BTreeMap<TopicPartition, i64> {
    positions.iter().map(|&(p, o)| (TopicPartition::new("t", p), o)).collect()
}

fn covering(ranges: &[(i32, i64, i64)]) -> BTreeMap<TopicPartition, OffsetRange> {
    ranges.iter().map(|&(p, from, to)| (TopicPartition::new("t", p), OffsetRange { from, to })).collect()
}

#[test]
fn appends_where_the_table_ends() {
    assert_eq!(decide_append(&at(&[(0, 9), (1, 4)]), &covering(&[(0, 9, 20), (1, 4, 5)])), AppendDecision::Append);
    assert_eq!(decide_append(&at(&[]), &covering(&[(0, BEFORE_FIRST, 20)])), AppendDecision::Append);
    assert_eq!(decide_append(&at(&[]), &covering(&[])), AppendDecision::Append, "rows of no offsets");
}

#[test]
fn knows_its_own_earlier_success() {
    assert_eq!(decide_append(&at(&[(0, 20)]), &covering(&[(0, 9, 20)])), AppendDecision::AlreadyCommitted);
}

#[test]
fn refuses_gap_overlap_and_mixture() {
    for (positions, ranges) in [
        (at(&[(0, 8)]), covering(&[(0, 9, 20)])),
        (at(&[(0, 12)]), covering(&[(0, 9, 20)])),
        (at(&[(0, 20), (1, 4)]), covering(&[(0, 9, 20), (1, 4, 5)])),
    ] {
        assert!(matches!(decide_append(&positions, &ranges), AppendDecision::MustReplay { .. }));
    }
}
