//! Events that come late take an alert back in the record, and tell nobody.

use super::{SOON, Shop, settings_with, statuses, with_traffic};
use crate::support::{Sink, Tidewatch, tidewatch, wait_until, write_settings};

const RULES: &str = "
groups:
  - name: calls
    interval: 1s
    rules:
      - alert: ErrorShare
        expr: >
          sum by (provider) (increase(api_calls_errors_total[20s]))
          / sum by (provider) (increase(api_calls_requests_total[20s])) > 0.5
";

#[test]
fn what_would_not_have_fired_is_said_in_the_ledger_and_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let mut process = Tidewatch::run(&settings_with(folder.path(), &sink, RULES));
    let events = process.address();
    the_record_is_amended(&mut process, &events, &sink);
    let late = "SELECT coalesce(sum(late_events), 0) AS n FROM system.late";
    assert_ne!(process.sql(late).lines().nth(1), Some("0"));
    process.stop();
}

#[test]
fn events_that_another_process_counted_late_amend_as_well() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = Sink::start();
    let rules = settings_with(folder.path(), &sink, RULES);
    let worker = write_settings(
        other.path(),
        &format!(
            "[storage]\nlocation = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_interval = \"1s\"\n\
             [push]\npath = \"log\"\n[alerting]\nenabled = false\n",
            folder.path().join("data")
        ),
    );
    let (mut worker, mut process) = (Tidewatch::run(&worker), Tidewatch::run(&rules));
    let events = worker.address();
    the_record_is_amended(&mut process, &events, &sink);
    process.stop();
    worker.stop();
}

/// Errors come, an alert is told and told to be over, and then it turns out that most calls had gone well.
fn the_record_is_amended(process: &mut Tidewatch, events: &str, sink: &Sink) {
    let shop = Shop::new();
    with_traffic(&shop, events, || {
        let then = chrono::Utc::now();
        (0..5).for_each(|_| assert!(shop.call_at(events, "ups", "server_error", then)));
        wait_until("the alert and its end", SOON, || statuses(sink) == ["firing", "resolved"]);
        // Nobody had heard of them.
        (0..40).for_each(|_| assert!(shop.call_at(events, "ups", "success", then)));
        let amended = "SELECT reason FROM system.alert_ledger WHERE stage = 'amendment'";
        wait_until("the record to be amended", 2 * SOON, || process.sql(amended).contains("would not have fired"));
    });
    let alert = process.sql("SELECT DISTINCT alert FROM system.alert_ledger WHERE stage = 'amendment'");
    let alert = alert.lines().nth(1).unwrap();
    let why = tidewatch(&["explain", "alert", alert, "--url", &format!("http://{}", process.address())]);
    assert!(why.contains("amendment") && why.contains("would not have fired"), "{why}");
    assert_eq!(statuses(sink), ["firing", "resolved"], "nobody is told anew");
}
