//! A wall clock that jumps an hour ahead and an hour back: what is counted is exact, and nothing waits for it.
//!
//! Events come over HTTP: libfaketime knows nothing of the waits of C11, which librdkafka uses.

use crate::live::{calls, events};
use crate::support::{Sink, Tidewatch, faketime, pack, post, sql, wait_until, write_settings};
use std::path::Path;
use std::time::{Duration, Instant};
use tidewatch_simulate::SimulatedEvent;

const SOON: Duration = Duration::from_secs(60);
/// From a jump to the commit of what came after it, and to the message of an alert that began then.
const UNMOVED_MAX: Duration = Duration::from_secs(20);
/// Lines of one request.
const BATCH: usize = 200;
/// Of the clock, one part of the events after each.
const JUMPS: [&str; 4] = ["+0", "+1h", "-1h", "+0"];
/// After the last of the simulated events.
const EVALUATED_AT: i64 = 1_773_514_800;

fn committed(folder: &Path) -> usize {
    let text = sql(&folder.join("data"), "SELECT coalesce(sum(requests), 0) AS n FROM api_calls");
    text.lines().nth(1).unwrap().parse().unwrap()
}

fn send(process: &mut Tidewatch, events: &[SimulatedEvent]) {
    for batch in events.chunks(BATCH) {
        let lines: Vec<u8> = batch.iter().flat_map(|event| [event.body.as_slice(), b"\n"].concat()).collect();
        let headers = ["Content-Type: application/x-ndjson"];
        let answer = post(&process.address(), "/api/v1/events", &headers, &lines).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

#[test]
fn a_clock_that_jumps_changes_no_number_and_holds_nothing_up() {
    let Some(faketime) = faketime() else { return };
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let mut all = events(45, 6);
    all.retain(|event| calls(std::slice::from_ref(event)) == 1);
    let parts: Vec<_> = all.chunks(all.len().div_ceil(JUMPS.len())).collect();
    let reached: Vec<usize> = (1..=parts.len()).map(|to| calls(&parts[..to].concat())).collect();
    // One alert for each part, which holds from then on.
    let rules: String = reached
        .iter()
        .enumerate()
        .map(|(part, count)| {
            format!(
                "  - alert: Part{part}\n    expr: sum(increase(api_calls_requests_total[1h] @ {EVALUATED_AT})) >= {count}\n"
            )
        })
        .collect();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("rules.yml", &format!("groups:\n- name: parts\n  interval: 1s\n  rules:\n{rules}"));
    write(
        "routes.yml",
        &format!(
            "route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1d}}\n\
             receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook', send_resolved: true}}]\n",
            sink.address
        ),
    );
    let settings = write_settings(
        folder.path(),
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [ingest]\nflush_interval = \"300ms\"\n[alerting]\nrules = [\"rules.yml\"]\nconfig = \"routes.yml\"\n",
            pack("calls"),
            path("data").display(),
        ),
    );
    write("clock", JUMPS[0]);
    let environment = [
        ("LD_PRELOAD", faketime.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", path("clock").to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut process = Tidewatch::start_with(&environment, &["run", "-c", settings.to_str().unwrap()]);
    process.address();
    let told = |part: usize| {
        let name = format!("Part{part}");
        sink.taken().iter().filter(|one| one.json()["groupLabels"]["alertname"] == *name).count()
    };
    for (part, jump) in JUMPS.iter().enumerate() {
        write("clock", jump);
        let start = Instant::now();
        let limit = if part == 0 { SOON } else { UNMOVED_MAX };
        send(&mut process, parts[part]);
        wait_until(&format!("{jump}: every call is committed"), limit, || committed(folder.path()) == reached[part]);
        wait_until(&format!("{jump}: the alert is told"), limit, || told(part) > 0);
        eprintln!("the clock at {jump}: counted and told after {:.1} s", start.elapsed().as_secs_f64());
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(process.get("/-/healthy").status, 200);
    let all_told: Vec<usize> = (0..JUMPS.len()).map(told).collect();
    assert_eq!(all_told, [1; JUMPS.len()], "each alert is told once, and none is over");
    process.stop();
    assert_eq!(committed(folder.path()), reached[JUMPS.len() - 1]);
}
