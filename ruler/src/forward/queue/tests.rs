use super::*;

fn texts(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

#[test]
fn the_oldest_go_at_the_bound_and_first_when_sent() {
    let mut queue = Queue::new(4);
    assert_eq!(queue.push(&texts(&["a", "b", "c"])), 0);
    assert_eq!(queue.push(&texts(&["d", "e"])), 1, "a");
    assert_eq!(queue.take(2), texts(&["b", "c"]));
    assert_eq!((queue.len(), queue.take(2), queue.take(2)), (2, texts(&["d", "e"]), vec![]));
    // More at once than there is room for: its newest stay.
    assert_eq!(queue.push(&texts(&["f", "g", "h", "i", "j", "k"])), 2);
    assert_eq!(queue.take(1), texts(&["h"]));
    assert_eq!(queue.abandon(), 4, "one on its way, three waiting");
    assert_eq!((queue.len(), queue.abandon()), (0, 0));
}
