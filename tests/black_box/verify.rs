//! `tidewatch verify`: the same events give the same numbers; other events are found, window by window.

use crate::support::{Tidewatch, tidewatch, tidewatch_finds, write_settings};
use std::path::Path;
use std::time::Duration;

const RUN: Duration = Duration::from_secs(120);

fn event(line: usize, minute: usize, cents: u32) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"e{line}","source":"/till","type":"orders.order.created.v1","time":"2026-03-14T12:{minute:02}:00Z","tenantkind":"creator","tenantid":"c1","data":{{"order_id":"o{line}","total_minor":{cents},"currency":"EUR"}}}}"#
    )
}

fn write_events(path: &Path, cents_of_the_tenth: u32) {
    let lines: Vec<String> = (0..60).map(|i| event(i, i / 2, if i == 10 { cents_of_the_tenth } else { 100 })).collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn equal_events_verify_and_a_changed_amount_is_found_in_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.ndjson");
    write_events(&events, 100);
    let text =
        "[storage]\nlocation = \"data\"\n[files]\npaths = [\"events.ndjson\"]\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let settings = write_settings(folder.path(), text);
    let settings = settings.to_str().unwrap();
    let scratch = folder.path().to_str().unwrap();
    let nothing = tidewatch(&["verify", "-c", settings, "--scratch", scratch]);
    assert!(nothing.contains("nothing to verify"), "{nothing}");

    Tidewatch::start(&["run", "-c", settings, "--until-caught-up"]).wait(RUN);
    let equal = tidewatch(&["verify", "-c", settings, "--scratch", scratch]);
    assert!(equal.contains("is as replayed") && !equal.contains("DIFFERENT"), "{equal}");
    assert!(equal.contains("equal     orders_received: 30 windows"), "{equal}");

    write_events(&events, 101);
    let found = tidewatch_finds(&["verify", "-c", settings, "--scratch", scratch]);
    assert!(found.contains("DIFFERENT orders_received: 1 of 30 windows\n  window 2026-03-14T12:05:00Z"), "{found}");
    assert!(found.contains("gross_minor=201"), "{found}");
    // The same events were counted, with other values: their digests are equal.
    assert!(found.contains("equal     digests"), "{found}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with("tidewatch-verify")), "{left:?}");
}
