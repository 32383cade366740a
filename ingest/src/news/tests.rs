use super::*;

fn taken(news: &News) -> Vec<(String, i64, i64)> {
    let minutes = |us: i64| us / LATE_PANE_US;
    news.take_late().into_iter().map(|one| (one.source, minutes(one.from_us), minutes(one.to_us))).collect()
}

#[test]
fn late_panes_that_touch_are_one_stretch_and_are_taken_once() {
    let news = News::default();
    news.note_late([("a", 7), ("b", 5), ("a", 5), ("a", 6), ("a", 20)]);
    let expected = [("a".to_owned(), 5, 8), ("a".to_owned(), 20, 21), ("b".to_owned(), 5, 6)];
    assert_eq!(taken(&news), expected);
    assert_eq!(taken(&news), []);
}

#[test]
fn beyond_the_bound_everything_in_between_is_late() {
    let news = News::default();
    let panes = 0..LATE_PANES_MAX as i64 + 2;
    news.note_late(panes.map(|pane| ("a", pane * 3)));
    assert_eq!(taken(&news), [("a".to_owned(), 0, (LATE_PANES_MAX as i64 + 1) * 3 + 1)]);
}
