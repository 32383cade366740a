use super::*;
use std::time::Duration;

/// Time in which nothing is expected to happen.
const MOMENT: Duration = Duration::from_millis(50);
/// Time in which everything does.
const LONG: Duration = Duration::from_secs(60);

/// Without waiting.
fn enter(gate: &Arc<QueryGate>, client: &str) -> Result<QueryPermit, Refused> {
    let place = gate.place(client)?;
    let of_client = Arc::clone(&place.turns).try_acquire_owned().map_err(|_| Refused::Client)?;
    let of_all = Arc::clone(&gate.turns).try_acquire_owned().map_err(|_| Refused::Total)?;
    Ok(QueryPermit { _of_all: of_all, _of_client: of_client, _place: place })
}

#[test]
fn one_client_does_not_take_it_all() {
    let gate = QueryGate::new(3, 2);
    let first = enter(&gate, "a").unwrap();
    let _second = enter(&gate, "a").unwrap();
    assert_eq!(enter(&gate, "a").unwrap_err(), Refused::Client);
    let _other = enter(&gate, "b").unwrap();
    assert_eq!(enter(&gate, "c").unwrap_err(), Refused::Total);
    drop(first);
    drop(enter(&gate, "a").unwrap());
    let clients = gate.lock();
    assert_eq!((clients.known.len(), clients.queries), (2, 2), "clients without queries are forgotten");
}

#[tokio::test]
async fn whoever_waits_is_let_in_when_a_turn_is_over() {
    let gate = QueryGate::new(2, 1);
    let running = enter(&gate, "a").unwrap();
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.wait("a", Instant::now() + LONG).await.map(drop) }
    });
    // Those of others pass it.
    tokio::time::timeout(MOMENT, gate.wait("b", Instant::now() + LONG)).await.unwrap().unwrap();
    tokio::time::sleep(MOMENT).await;
    assert!(!waiting.is_finished());
    drop(running);
    waiting.await.unwrap().unwrap();
    assert_eq!(gate.lock().queries, 0);
}

#[tokio::test]
async fn whoever_waits_in_vain_is_told_for_what() {
    let gate = QueryGate::new(2, 1);
    let _a = enter(&gate, "a").unwrap();
    assert_eq!(gate.wait("a", Instant::now() + MOMENT).await.unwrap_err(), Refused::Client);
    let _b = enter(&gate, "b").unwrap();
    assert_eq!(gate.wait("c", Instant::now() + MOMENT).await.unwrap_err(), Refused::Total);
    // Nobody waits for it any more: it has left its place.
    let forgotten = tokio::time::timeout(MOMENT, gate.wait("a", Instant::now() + LONG)).await;
    assert!(forgotten.is_err());
    assert_eq!(gate.lock().queries, 2);
}

#[tokio::test]
async fn queues_have_an_end() {
    let gate = QueryGate::new(1, 1);
    let _running = enter(&gate, "a").unwrap();
    let waiting: Vec<_> = (0..WAITING_PER_CLIENT_MAX).map(|_| gate.place("a").unwrap()).collect();
    assert_eq!(gate.wait("a", Instant::now() + LONG).await.unwrap_err(), Refused::Client);
    let of_others: Vec<_> = (waiting.len()..WAITING_MAX).map(|n| gate.place(&format!("client {n}")).unwrap()).collect();
    assert_eq!(gate.wait("b", Instant::now() + LONG).await.unwrap_err(), Refused::Total);
    drop((waiting, of_others));
    assert_eq!(gate.lock().queries, 1);
}
