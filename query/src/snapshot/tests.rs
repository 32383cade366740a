use crate::live::NoLiveStates;
use crate::testing::{FakePiece, FakeWorkers, Partial, commit, csv, engine, partition, store};
use std::sync::Arc;

const TOTAL: &str = "SELECT sum(requests) AS n FROM calls";

#[tokio::test]
async fn committed_and_live_states_count_once_whatever_was_committed_in_between() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &[Partial(0, Some("orders"), &[5, 7], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    let engine = engine(&store, workers.clone());
    assert_eq!(csv(&engine, TOTAL).await, "2\n");
    *workers.pieces.lock().unwrap() = vec![
        FakePiece::of(9, 14, &[Partial(0, Some("orders"), &[9], &["b"])]),
        FakePiece::of(14, 20, &[Partial(10, Some("auth"), &[1, 2, 3], &["a"])]),
    ];
    assert_eq!(csv(&engine, TOTAL).await, "6\n");
    // The worker still shows both pieces, but a commit has taken them meanwhile.
    commit(&store, 9, 20, &[Partial(0, Some("orders"), &[9], &["b"]), Partial(10, Some("auth"), &[1, 2, 3], &["a"])])
        .await;
    assert_eq!(csv(&engine, TOTAL).await, "6\n");
    workers.pieces.lock().unwrap().clear();
    assert_eq!(csv(&engine, TOTAL).await, "6\n");
}

#[tokio::test]
async fn without_workers_the_committed_states_are_all_there_is() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &[Partial(0, Some("orders"), &[5, 7], &["a"])]).await;
    let engine = engine(&store, Arc::new(NoLiveStates));
    assert_eq!(csv(&engine, TOTAL).await, "2\n");
    commit(&store, 9, 10, &[Partial(0, Some("orders"), &[5], &["a"])]).await;
    assert_eq!(csv(&engine, TOTAL).await, "3\n", "a remembered table is refreshed");
}

#[tokio::test]
async fn an_answer_without_the_live_states_would_be_wrong_so_there_is_none() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &[Partial(0, Some("orders"), &[5, 7], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    *workers.is_down.lock().unwrap() = true;
    let error = engine(&store, workers).query(TOTAL).await.unwrap_err();
    assert_eq!(error.code(), "unavailable");
}

#[tokio::test]
async fn a_view_that_commits_have_overtaken_is_taken_anew() {
    let (_folder, store) = store();
    commit(&store, -1, 9, &[Partial(0, Some("orders"), &[5, 7], &["a"])]).await;
    let workers = Arc::new(FakeWorkers::default());
    let at = |position| [(partition(), position)].into();
    let engine = engine(&store, workers.clone());
    assert_eq!(csv(&engine, TOTAL).await, "2\n");
    commit(&store, 9, 12, &[Partial(0, Some("orders"), &[5], &["a"])]).await;
    workers.positions.lock().unwrap().extend([at(9), at(11), at(12), at(13)]);
    assert_eq!(csv(&engine, TOTAL).await, "3\n");
    assert_eq!(workers.positions.lock().unwrap().len(), 1, "three views: two were behind");
    workers.positions.lock().unwrap().extend(std::iter::repeat_n(at(1), 10));
    assert_eq!(csv(&engine, TOTAL).await, "3\n", "each table is exact all the same");
}
