//! Events that come late take an alert back in the record, and tell nobody.

use super::{SOON, Shop, settings_with, statuses, with_traffic};
use crate::support::{Sink, Tidewatch, tidewatch, wait_until};

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
    let address = process.address();
    let shop = Shop::new();
    with_traffic(&shop, &address, || {
        let then = chrono::Utc::now();
        (0..5).for_each(|_| assert!(shop.call_at(&address, "ups", "server_error", then)));
        wait_until("the alert and its end", SOON, || statuses(&sink) == ["firing", "resolved"]);
        // Most calls had gone well, and nobody had heard of them.
        (0..40).for_each(|_| assert!(shop.call_at(&address, "ups", "success", then)));
        let amended = "SELECT reason FROM system.alert_ledger WHERE stage = 'amendment'";
        wait_until("the record to be amended", 2 * SOON, || process.sql(amended).contains("would not have fired"));
    });
    let late = "SELECT coalesce(sum(late_events), 0) AS n FROM system.late";
    assert_ne!(process.sql(late).lines().nth(1), Some("0"));
    let alert = process.sql("SELECT DISTINCT alert FROM system.alert_ledger WHERE stage = 'amendment'");
    let alert = alert.lines().nth(1).unwrap();
    let why = tidewatch(&["explain", "alert", alert, "--url", &format!("http://{address}")]);
    assert!(why.contains("amendment") && why.contains("would not have fired"), "{why}");
    assert_eq!(statuses(&sink), ["firing", "resolved"], "nobody is told anew");
    process.stop();
}
