use super::*;
use crate::live::NoLiveStates;
use crate::snapshot::Snapshots;
use crate::testing::{Partial, commit, store};
use std::sync::Arc;
use tidewatch_storage::Store;

async fn snapshot(store: &Store) -> Snapshot {
    Snapshots::new(store.clone(), Arc::new(NoLiveStates)).take(&["calls".to_owned()]).await.unwrap()
}

async fn compared(left: &[&[Partial]], right: &[&[Partial]]) -> Comparison {
    let ((_a, first), (_b, second)) = (store(), store());
    for (store, commits) in [(&first, left), (&second, right)] {
        for (offset, partials) in commits.iter().enumerate() {
            commit(store, offset as i64 - 1, offset as i64, partials).await;
        }
    }
    compare("calls", &snapshot(&first).await, &snapshot(&second).await, 1 << 26).await.unwrap()
}

#[tokio::test]
async fn the_same_events_in_other_commits_are_equal() {
    let a = Partial(0, Some("orders"), &[5, 7, 900], &["a", "b"]);
    let b = Partial(0, Some("orders"), &[11], &["b", "c"]);
    let c = Partial(10, None, &[], &["z"]);
    let (a2, b2, c2) = (Partial(a.0, a.1, a.2, a.3), Partial(b.0, b.1, b.2, b.3), Partial(c.0, c.1, c.2, c.3));
    let found = compared(&[&[a, c], &[b]], &[&[b2], &[c2], &[a2]]).await;
    assert_eq!(found, Comparison { windows: 2, rows: 2, different: Vec::new() });
}

#[tokio::test]
async fn a_window_that_lacks_an_event_is_named_with_its_rows() {
    let whole: &[&[Partial]] = &[&[Partial(0, Some("orders"), &[5, 7], &[]), Partial(10, Some("auth"), &[1], &[])]];
    let less: &[&[Partial]] = &[&[Partial(0, Some("orders"), &[5], &[]), Partial(10, Some("auth"), &[1], &[])]];
    let found = compared(whole, less).await;
    assert_eq!((found.windows, found.different.len()), (2, 1));
    let difference = &found.different[0];
    assert_eq!(difference.window(), "1970-01-01T00:00:00Z");
    let row = &difference.only_stored[0];
    assert!(row.starts_with("api=orders ") && row.contains(" requests=2 "), "{difference:?}");
    let row = &difference.only_replayed[0];
    assert!(row.starts_with("api=orders ") && row.contains(" requests=1 "), "{difference:?}");
    assert_eq!(compared(whole, &[]).await.different.len(), 2);
}

#[tokio::test]
async fn what_was_kept_long_enough_is_compared_as_it_is_kept() {
    let events: &[Partial] = &[Partial(0, Some("orders"), &[5, 7], &[]), Partial(10, Some("auth"), &[1], &[])];
    let ((_a, first), (_b, second)) = (store(), store());
    commit(&first, -1, 0, events).await;
    commit(&second, -1, 0, events).await;
    let (mut stored, mut replayed) = (snapshot(&first).await, snapshot(&second).await);
    // As maintenance cuts it; the replay has not been maintained.
    stored.tables.get_mut("calls").unwrap().boundaries = vec![Some(10_000_000)];
    let found = compare("calls", &stored, &replayed, 1 << 26).await.unwrap();
    assert_eq!((found.windows, found.different.len()), (2, 1));
    cut_alike(&stored, &mut replayed);
    let found = compare("calls", &stored, &replayed, 1 << 26).await.unwrap();
    assert_eq!((found.windows, found.different.len()), (1, 0));
}
