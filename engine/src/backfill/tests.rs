use super::*;

fn p(number: i32) -> TopicPartition {
    TopicPartition::new("orders", number)
}

fn measure(name: &str) -> Scope {
    Scope::Measure(name.to_owned())
}

fn records(begins: &[(Scope, i32, i64)], filled: &[(Scope, i32, i64)]) -> Records {
    let mut records = Records::default();
    for (from, to) in [(begins, &mut records.begins), (filled, &mut records.filled)] {
        for (scope, partition, offset) in from {
            to.entry(scope.clone()).or_default().insert(p(*partition), *offset);
        }
    }
    records
}

fn gap(partition: i32, from: i64, to: i64) -> Gap {
    Gap { partition: p(partition), from, to }
}

#[test]
fn a_gap_is_what_lies_before_the_beginning_and_is_not_filled() {
    let records = records(
        &[(Scope::Rollup, 0, 99), (Scope::Rollup, 1, 49), (Scope::Rollup, 2, 9)],
        &[(Scope::Rollup, 1, 20), (Scope::Rollup, 2, 9)],
    );
    assert_eq!(records.gaps(&Scope::Rollup), [gap(0, BEFORE_FIRST, 99), gap(1, 20, 49)]);
    assert_eq!(records.gaps(&measure("m")), []);
    assert_eq!(Records::default().jobs(None, |_| true), []);
}

#[test]
fn measures_that_lack_the_same_share_a_job_and_the_rollup_leaves_them_alone() {
    let records =
        records(&[(measure("a"), 0, 99), (measure("b"), 0, 99), (measure("c"), 0, 150), (Scope::Rollup, 0, 99)], &[]);
    let jobs = records.jobs(None, |_| true);
    let scopes: Vec<_> = jobs.iter().map(|j| j.scopes.clone()).collect();
    assert_eq!(scopes, [vec![Scope::Rollup], vec![measure("a"), measure("b")], vec![measure("c")]]);
    let late = records.late_measures();
    let filled_by = |job: &Job| ["n", "a", "b", "c"].map(|m| job.fills(m, &late));
    assert_eq!(filled_by(&jobs[0]), [true, false, false, false]);
    assert_eq!(filled_by(&jobs[1]), [false, true, true, false]);
    assert_eq!(filled_by(&jobs[2]), [false, false, false, true]);
    assert_eq!(records.jobs(Some("c"), |_| true).len(), 1);
    assert_eq!(records.jobs(Some("nothing"), |_| true), []);
    assert_eq!(records.jobs(None, |p| p.partition == 7), []);
}

#[test]
fn spans_begin_where_records_are_and_say_what_is_deleted() {
    let retained = |first, end| Retained { first, end };
    let span = |gap: Gap, kept, start| Span::of(&gap, kept, start).map(|s| (s.from, s.to, s.deleted));
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(0, 200), None), Some((-1, 99, 0)));
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(40, 200), None), Some((39, 99, 40)));
    assert_eq!(span(gap(0, 59, 99), retained(40, 200), None), Some((59, 99, 0)));
    assert_eq!(span(gap(0, 19, 99), retained(40, 200), None), Some((39, 99, 20)));
    // Nothing of it is left: there is nothing to read, and the gap is closed all the same.
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(150, 200), None), Some((99, 99, 100)));
    // Where to start is asked once; a job that goes on goes on.
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(40, 200), Some(70)), Some((69, 99, 0)));
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(40, 200), Some(10)), Some((39, 99, 30)));
    assert_eq!(span(gap(0, 79, 99), retained(40, 200), Some(90)), Some((79, 99, 0)));
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(40, 200), Some(120)), Some((99, 99, 0)));
    assert_eq!(span(gap(0, BEFORE_FIRST, 99), retained(0, 99), None), None);
}

#[test]
fn numbers_are_whole_from_the_first_window_that_lost_no_event() {
    assert_eq!(whole_from(&[], 5, Some(10)), None);
    assert_eq!(whole_from(&[100, 132], 5, Some(10)), Some(140));
    assert_eq!(whole_from(&[135], 5, Some(10)), Some(140));
    assert_eq!(whole_from(&[136], 5, Some(10)), Some(150));
    assert_eq!(whole_from(&[136], 5, None), Some(141));
}

#[test]
fn readers_are_told_what_is_missing_until_it_is_filled() {
    let mut gaps = records(&[(measure("a"), 0, 99), (measure("b"), 0, 49)], &[(measure("b"), 0, 9)]);
    gaps.begins_time_us = Some(700);
    let unfilled = gaps.unfilled("calls").unwrap();
    assert_eq!(unfilled.until_us, 700);
    assert_eq!(unfilled.reason, "a, b of calls began later: `tidewatch backfill --rollup calls` fills 100 offsets");
    assert_eq!((gaps.begins_time_with(500), gaps.begins_time_with(900)), (700, 900));
    for (scope, to) in [("a", 99), ("b", 49)] {
        gaps.filled.entry(measure(scope)).or_default().insert(p(0), to);
    }
    assert_eq!(gaps.unfilled("calls"), None);
    assert_eq!(gaps.begins_time_with(500), 500, "what is filled keeps nothing back");
    let whole = records(&[(Scope::Rollup, 0, 9)], &[]);
    assert!(whole.unfilled("calls").unwrap().reason.starts_with("calls began later"));
}

#[test]
fn ids_are_read_from_before_the_first_record_that_counts() {
    let span = Span::of(&gap(0, 59, 99), Retained { first: 0, end: 200 }, None).unwrap();
    assert_eq!((span.ids_from, span.from), (59, 59));
    assert_eq!(span.clone().with_ids_from(20).ids_from, 20);
    assert_eq!(span.clone().with_ids_from(80).ids_from, 59);
    assert_eq!(span.with_ids_from(-7).ids_from, BEFORE_FIRST);
}
