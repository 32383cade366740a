use super::*;

fn row(time_ms: i64, alert: &str, message: Option<&str>) -> Row {
    Row {
        time_ms,
        stage: "dedup".to_owned(),
        alert: Some(alert.to_owned()),
        message: message.map(str::to_owned),
        reason: format!("at {time_ms}"),
        ..Row::default()
    }
}

fn write(store: &Store, rows: &[Row]) {
    store.write(&Change { rows, durable: true, ..Change::default() }).unwrap();
}

#[test]
fn rows_are_found_by_alert_and_message_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [row(10, "a", Some("k1")), row(5, "b", None), row(20, "a", Some("k2")), row(20, "a", Some("k2"))];
    write(&Store::open(folder.path()).unwrap(), &rows);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.ledger_rows(), 4);
    assert_eq!(store.rows_of_alert("a", 10).unwrap(), [rows[0].clone(), rows[2].clone(), rows[3].clone()]);
    assert_eq!(store.rows_of_alert("a", 1).unwrap(), [rows[3].clone()]);
    assert_eq!(store.rows_of_message("k2", 10).unwrap().len(), 2);
    assert_eq!(store.rows_of_message("k", 10).unwrap(), []);
    let times: Vec<i64> = store.newest_rows(10).unwrap().iter().map(|row| row.time_ms).collect();
    assert_eq!(times, [5, 10, 20, 20]);
    // Numbers go on, so that rows of one time stay apart.
    write(&store, &[row(20, "c", None)]);
    assert_eq!(store.newest_rows(10).unwrap().len(), 5);
}

#[test]
fn what_is_old_or_too_much_is_forgotten_with_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rows: Vec<Row> = (0..100).map(|time_ms| row(time_ms, "a", Some("k"))).collect();
    write(&store, &rows);
    assert_eq!(store.sweep(10, 1000).unwrap(), 10);
    assert_eq!(store.sweep(10, 30).unwrap(), 60);
    assert_eq!(store.sweep(10, 30).unwrap(), 0);
    assert_eq!(store.ledger_rows(), 30);
    assert_eq!(store.rows_of_alert("a", 1000).unwrap().first().unwrap().time_ms, 70);
    assert_eq!(store.rows_of_message("k", 1000).unwrap().len(), 30);
}

#[test]
fn an_empty_store_has_an_empty_notifier() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.notifier_state().unwrap().store.iter().count(), 0);
    let state = store.notifier_state().unwrap();
    store.write(&Change { notifier: Some(&state), ..Change::default() }).unwrap();
    assert_eq!(store.notifier_state().unwrap().silences.iter().count(), 0);
}
