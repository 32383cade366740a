use super::*;

fn taken(notes: &mut LateNotes) -> Vec<(String, i64, i64)> {
    let minutes = |us: i64| us / PANE_US;
    notes.take().into_iter().map(|one| (one.source, minutes(one.from_us), minutes(one.to_us))).collect()
}

#[test]
fn panes_that_touch_are_one_stretch_and_are_taken_once() {
    let mut notes = LateNotes::default();
    for (source, pane) in [("a", 7), ("b", 5), ("a", 5), ("a", 6), ("a", 20)] {
        notes.note(source, pane * PANE_US + 59_999_999);
    }
    let expected = [("a".to_owned(), 5, 8), ("a".to_owned(), 20, 21), ("b".to_owned(), 5, 6)];
    assert_eq!(taken(&mut notes), expected);
    assert_eq!(taken(&mut notes), []);
}

#[test]
fn beyond_the_bound_everything_in_between_is_late() {
    let mut notes = LateNotes::default();
    (0..PANES_MAX as i64 + 2).for_each(|pane| notes.note("a", pane * 3 * PANE_US));
    assert_eq!(taken(&mut notes), [("a".to_owned(), 0, (PANES_MAX as i64 + 1) * 3 + 1)]);
}

#[test]
fn what_was_taken_can_be_noted_elsewhere() {
    let mut notes = LateNotes::default();
    let stretch = |from, to| LateEvents { source: "a".to_owned(), from_us: from * PANE_US, to_us: to * PANE_US };
    let short = [stretch(5, 8), stretch(20, 21)];
    short.iter().for_each(|one| notes.note_stretch(one));
    assert_eq!(notes.take(), short);
    // A long one is not made longer, nor cut.
    notes.note_stretch(&stretch(-500_000, 1_000_001));
    assert_eq!(notes.take(), [stretch(-500_000, 1_000_001)]);
}
