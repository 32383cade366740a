use super::*;

const MINUTE_US: i64 = 60_000_000;

fn late(source: &str, from: i64, to: i64) -> LateEvents {
    LateEvents { source: source.to_owned(), from_us: from * MINUTE_US, to_us: to * MINUTE_US }
}

#[tokio::test]
async fn a_follower_is_given_each_stretch_once_whoever_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
    let mut follower = LateFollower::new(store.clone(), 100 * MINUTE_US);
    assert_eq!(follower.poll().await.unwrap(), [], "nothing ever came late");

    let (mut one, mut other) = (LateTable::new(&store), LateTable::new(&store));
    let (a, b, c) = (late("a", 5, 8), late("b", 5, 6), late("a", 20, 21));
    one.append(&[&a, &b], 101 * MINUTE_US).await.unwrap();
    assert_eq!(follower.poll().await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(follower.poll().await.unwrap(), []);

    // Its clock is some minutes behind the other's.
    other.append(&[&c], 99 * MINUTE_US).await.unwrap();
    assert_eq!(follower.poll().await.unwrap(), [c]);
    // The same again is news: something else was counted into it.
    one.append(&[&a], 130 * MINUTE_US).await.unwrap();
    assert_eq!(follower.poll().await.unwrap(), std::slice::from_ref(&a));
    assert_eq!(follower.poll().await.unwrap(), []);

    let mut later = LateFollower::new(store.clone(), 125 * MINUTE_US);
    assert_eq!(later.poll().await.unwrap(), [a], "what was noted long before one began is left out");
}
