//! The same alerts at the same times through a real Alertmanager and through our machine: the same notifications.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::*;
use crate::receiver::Message;
use crate::receiver::webhook::payload;
use crate::test_support::{alertmanager, scratch};

#[expect(clippy::disallowed_methods, reason = "the other program runs by the wall clock")]
fn wall() -> Timestamp {
    Utc::now()
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One request; status and body of the reply.
fn http(port: u16, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, reply.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default()))
}

/// Takes every request of a connection and hands on its body with the time.
fn serve(stream: TcpStream, sink: &SyncSender<(Timestamp, Value)>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let _ = sink.send((wall(), serde_json::from_slice(&body).unwrap()));
        if reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn sink() -> (u16, Receiver<(Timestamp, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sender, receiver) = sync_channel(10_000);
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || serve(stream, &sender));
        }
    });
    (port, receiver)
}

/// Every scenario has its routes and its receivers, named after it.
const ROUTES: &str = r#"
    - {matchers: [scenario=grouping], receiver: grouping, group_by: [alertname, cluster]}
    - {matchers: [scenario=inhibition], receiver: inhibition, group_by: [severity]}
    - {matchers: [scenario=silence], receiver: silence}
    - {matchers: [scenario=resolve], receiver: resolve, group_by: [alertname]}
    - {matchers: [scenario=repeat], receiver: repeat, repeat_interval: 5s}
    - {matchers: [scenario=continue], receiver: continue1, continue: true, routes: [{matchers: [deep=yes], receiver: continue3, group_by: [deep]}]}
    - {matchers: [scenario=continue], receiver: continue2, group_wait: 2s}
    - {matchers: [scenario=muted], receiver: muted, mute_time_intervals: [always]}
    - {matchers: [scenario=inactive], receiver: inactive, active_time_intervals: [never]}
    - {matchers: [scenario=active], receiver: active, active_time_intervals: [always], mute_time_intervals: [never]}
    - {matchers: [scenario=all], receiver: all, group_by: ['...']}
    - {matchers: [scenario=partial], receiver: partial}
    - {matchers: [scenario=unresolved], receiver: unresolved}
    - {matchers: [scenario=brief], receiver: brief}
    - {matchers: [scenario=timeout], receiver: timeout}
    - {matchers: [scenario=old], receiver: old, group_wait: 4s}
    - {match_re: {scenario: "trunc.*"}, receiver: truncated}
"#;

fn yaml(sink: u16) -> String {
    let names = [
        "grouping",
        "inhibition",
        "silence",
        "resolve",
        "repeat",
        "continue1",
        "continue2",
        "continue3",
        "muted",
        "inactive",
        "active",
        "all",
        "partial",
        "unresolved",
        "brief",
        "timeout",
        "old",
        "truncated",
    ];
    let receivers: Vec<String> = names
        .iter()
        .map(|name| {
            let more = match *name {
                "unresolved" => ", send_resolved: false",
                "truncated" => ", max_alerts: 2",
                _ => "",
            };
            format!("  - {{name: {name}, webhook_configs: [{{url: 'http://127.0.0.1:{sink}/'{more}}}]}}")
        })
        .collect();
    format!(
        "global: {{resolve_timeout: 5s}}\nroute:\n  receiver: default\n  group_wait: 1s\n  group_interval: 3s\n  \
         repeat_interval: 1h\n  routes:{ROUTES}receivers:\n  - {{name: default}}\n{}\n\
         inhibit_rules: [{{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [service]}}]\n\
         time_intervals:\n  - {{name: always, time_intervals: [{{years: ['2000:2100']}}]}}\n  - {{name: never, time_intervals: [{{years: ['1999']}}]}}\n",
        receivers.join("\n")
    )
}

#[derive(Clone)]
enum Event {
    /// Labels, whether it fires, and whether an end is sent.
    Alert(Vec<(&'static str, &'static str)>, Sends),
    Silence(&'static str),
    Expire,
}

#[derive(Clone, Copy, PartialEq)]
enum Sends {
    Firing,
    Resolved,
    NoEnd,
    Old,
}

fn script() -> Vec<(u64, Event)> {
    use Sends::{Firing, NoEnd, Old, Resolved};
    let mut events = Vec::new();
    let mut add = |ms: u64, labels: &[(&'static str, &'static str)], sends: Sends| {
        events.push((ms, Event::Alert(labels.to_vec(), sends)));
    };
    for (ms, name, cluster, i) in
        [(0, "A", "c1", "1"), (0, "A", "c2", "1"), (500, "A", "c1", "2"), (0, "B", "c1", "1"), (2500, "A", "c1", "3")]
    {
        add(
            ms,
            &[("scenario", "grouping"), ("alertname", name), ("cluster", cluster), ("instance", i), ("job", "j")],
            Firing,
        );
    }
    for (ms, service, severity, sends) in [
        (0, "x", "critical", Firing),
        (100, "x", "warning", Firing),
        (100, "y", "warning", Firing),
        (2500, "x", "critical", Resolved),
    ] {
        add(ms, &[("scenario", "inhibition"), ("alertname", "I"), ("service", service), ("severity", severity)], sends);
    }
    for host in ["a", "b"] {
        add(200, &[("scenario", "silence"), ("alertname", "S"), ("host", host)], Firing);
    }
    for (ms, sends) in [(0, Firing), (2500, Resolved), (5500, Firing)] {
        add(ms, &[("scenario", "resolve"), ("alertname", "R")], sends);
    }
    add(0, &[("scenario", "repeat"), ("alertname", "P")], Firing);
    add(0, &[("scenario", "continue"), ("alertname", "C")], Firing);
    add(0, &[("scenario", "continue"), ("alertname", "C"), ("deep", "yes")], Firing);
    for scenario in ["muted", "inactive", "active"] {
        add(0, &[("scenario", scenario), ("alertname", "M")], Firing);
    }
    for i in ["1", "2", "3"] {
        add(0, &[("scenario", "all"), ("alertname", "G"), ("i", i)], Firing);
        add(0, &[("scenario", "truncated"), ("alertname", "T"), ("i", i)], Firing);
        add(0, &[("scenario", "partial"), ("alertname", "L"), ("i", i)], Firing);
    }
    add(2500, &[("scenario", "partial"), ("alertname", "L"), ("i", "2")], Resolved);
    add(5500, &[("scenario", "partial"), ("alertname", "L"), ("i", "1")], Resolved);
    for (ms, sends) in [(0, Firing), (2500, Resolved), (5500, Firing)] {
        add(ms, &[("scenario", "unresolved"), ("alertname", "U")], sends);
    }
    add(0, &[("scenario", "brief"), ("alertname", "F")], Firing);
    add(400, &[("scenario", "brief"), ("alertname", "F")], Resolved);
    add(0, &[("scenario", "timeout"), ("alertname", "O")], NoEnd);
    add(0, &[("scenario", "old"), ("alertname", "D")], Old);
    events.push((0, Event::Silence("host=a")));
    events.push((2500, Event::Expire));
    events.sort_by_key(|(ms, _)| *ms);
    events
}

/// How long it runs, and how far two times may lie apart on a busy machine.
const LENGTH_MS: u64 = 12_000;
const TOLERANCE_MS: i64 = 1400;

type Told = BTreeMap<String, Vec<(Timestamp, Value)>>;

/// By receiver and group: times and payloads in their order.
fn by_group(told: impl IntoIterator<Item = (Timestamp, Value)>) -> Told {
    let mut groups = Told::new();
    for (at, mut payload) in told {
        let key = format!("{} {}", payload["receiver"].as_str().unwrap(), payload["groupKey"].as_str().unwrap());
        payload["externalURL"] = json!("");
        for alert in payload["alerts"].as_array_mut().unwrap() {
            // A guessed end depends on when exactly the message was read.
            if alert["labels"]["scenario"] == "timeout" {
                alert["endsAt"] = json!("");
            }
        }
        groups.entry(key).or_default().push((at, payload));
    }
    groups
}

fn post_event(port: u16, events: &[(Timestamp, Event, Option<String>)]) {
    for (now, event, _) in events {
        if let Event::Alert(labels, sends) = event {
            let alert = event_alert(labels, *sends, *now);
            let mut body = json!({ "labels": alert.labels, "startsAt": alert.starts_at.to_rfc3339(), "generatorURL": "http://gen/" });
            if let Some(end) = alert.ends_at {
                body["endsAt"] = json!(end.to_rfc3339());
            }
            let (status, reply) = http(port, "POST", "/api/v2/alerts", &json!([body]).to_string()).unwrap();
            assert_eq!(status, 200, "{reply}");
        }
    }
}

/// One start for all messages of a scenario's first ten seconds, so that resolutions end the same firing.
fn event_alert(labels: &[(&str, &str)], sends: Sends, now: Timestamp) -> Alert {
    let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
    let start = if sends == Sends::Old { now - TimeDelta::seconds(60) } else { now };
    let ends_at = match sends {
        Sends::Firing | Sends::Old => Some(now + TimeDelta::hours(1)),
        Sends::Resolved => Some(now),
        Sends::NoEnd => None,
    };
    // A resolution says since when it fired.
    let starts_at = if sends == Sends::Resolved { now - TimeDelta::milliseconds(350) } else { start };
    Alert { ends_at, generator_url: "http://gen/".to_string(), ..Alert::firing(labels, starts_at) }
}

fn our_run(text: &str, log: &[(Timestamp, Event, Option<String>)], start: Timestamp) -> Told {
    let mut state = NotifierState::default();
    // Debian's version looks for empty groups every 30 s.
    state.groups.keep_empty_ms = 30_000;
    let mut notifier = Notifier::new(config(text), state, start);
    let (mut told, mut events, mut ids) = (Vec::new(), log.iter().peekable(), Vec::new());
    for step in 0..(LENGTH_MS + 1500) / 20 {
        let now = start + TimeDelta::milliseconds(20 * i64::try_from(step).unwrap());
        while let Some((at, event, _)) = events.next_if(|(at, ..)| *at <= now) {
            match event {
                Event::Alert(labels, sends) => {
                    notifier.receive(vec![event_alert(labels, *sends, *at)], *at).remove(0).unwrap();
                }
                Event::Silence(matcher) => {
                    let request = SilenceRequest {
                        id: None,
                        matchers: vec![crate::route::Matcher::parse(matcher).unwrap()],
                        starts_at: *at,
                        ends_at: *at + TimeDelta::hours(1),
                        created_by: "t".into(),
                        comment: "t".into(),
                        annotations: Labels::default(),
                    };
                    ids.push(notifier.state.silences.set(request, *at, 1).unwrap());
                }
                Event::Expire => notifier.state.silences.expire(&ids[0], *at).unwrap(),
            }
        }
        for notification in notifier.tick(now).notifications {
            let max_alerts = if notification.integration.receiver == "truncated" { 2 } else { 0 };
            let payload = payload(&Message { notification: &notification, external_url: "" }, max_alerts);
            told.push((now, serde_json::to_value(payload).unwrap()));
        }
    }
    by_group(told)
}

#[test]
fn a_real_alertmanager_tells_the_same() {
    let Some(program) = alertmanager() else { return };
    let folder = scratch("oracle");
    let (sink_port, received) = sink();
    let text = yaml(sink_port);
    std::fs::write(folder.join("alertmanager.yml"), &text).unwrap();
    let port = free_port();
    let child = Command::new(program)
        .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--cluster.listen-address=", "--log.level=error"])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let ready = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        http(port, "GET", "/-/ready", "").is_ok_and(|(status, _)| status == 200)
    });
    assert!(ready, "Alertmanager does not get ready");
    let start = wall();
    let mut log: Vec<(Timestamp, Event, Option<String>)> = Vec::new();
    for (ms, event) in script() {
        let due = start + TimeDelta::milliseconds(i64::try_from(ms).unwrap());
        std::thread::sleep((due - wall()).to_std().unwrap_or_default());
        let now = wall();
        let mut id = None;
        match &event {
            Event::Alert(..) => post_event(port, &[(now, event.clone(), None)]),
            Event::Silence(matcher) => {
                let (name, value) = matcher.split_once('=').unwrap();
                let body = json!({ "matchers": [{ "name": name, "value": value, "isRegex": false }], "startsAt": now.to_rfc3339(),
                    "endsAt": (now + TimeDelta::hours(1)).to_rfc3339(), "createdBy": "t", "comment": "t" });
                let (status, reply) = http(port, "POST", "/api/v2/silences", &body.to_string()).unwrap();
                assert_eq!(status, 200, "{reply}");
                let reply: crate::api_v2::PostedSilence = serde_json::from_str(&reply).unwrap();
                id = Some(reply.silence_id);
            }
            Event::Expire => {
                let id = log.iter().find_map(|(_, _, id)| id.clone()).unwrap();
                assert_eq!(http(port, "DELETE", &format!("/api/v2/silence/{id}"), "").unwrap().0, 200);
            }
        }
        log.push((now, event, id));
    }
    let end = start + TimeDelta::milliseconds(i64::try_from(LENGTH_MS).unwrap());
    std::thread::sleep((end - wall()).to_std().unwrap_or_default());
    let theirs = by_group(received.try_iter());
    let ours = our_run(&text, &log, start);
    compare(&theirs, &ours, end);
    their_api_is_ours(port);
    std::fs::remove_dir_all(folder).unwrap();
}

fn compare(theirs: &Told, ours: &Told, end: Timestamp) {
    let scenarios: BTreeSet<&str> = theirs.keys().filter_map(|key| key.split(' ').next()).collect();
    assert!(scenarios.len() >= 13, "{scenarios:?}");
    let silent: Vec<&String> = ours.keys().filter(|key| !theirs.contains_key(*key)).collect();
    assert!(silent.is_empty(), "only ours tells {silent:?}");
    // What falls on the end may be on either side of it.
    let counted = |told: &[(Timestamp, Value)]| {
        told.iter().filter(|(at, _)| *at < end - TimeDelta::milliseconds(TOLERANCE_MS)).count()
    };
    for (key, theirs) in theirs {
        let ours = ours.get(key).unwrap_or_else(|| panic!("ours does not tell {key}: {theirs:#?}"));
        assert!(ours.len() >= counted(theirs) && theirs.len() >= counted(ours), "{key}:\n{theirs:#?}\n{ours:#?}");
        for ((their_time, their_payload), (our_time, our_payload)) in theirs.iter().zip(ours) {
            assert_eq!(their_payload, our_payload, "{key}");
            let apart = (*their_time - *our_time).num_milliseconds().abs();
            assert!(apart <= TOLERANCE_MS, "{key}: {apart} ms apart");
        }
    }
}

/// The bodies that the real one sends are read by our types and written the same.
fn their_api_is_ours(port: u16) {
    use crate::api_v2::{AlertGroup, AlertmanagerStatus, GettableAlert, GettableSilence};
    fn same<T: serde::Serialize + serde::de::DeserializeOwned>(port: u16, path: &str) -> Value {
        let (status, body) = http(port, "GET", path, "").unwrap();
        assert_eq!(status, 200);
        let body = if body.starts_with(['[', '{']) { body } else { unchunked(&body) };
        let theirs: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let read: T =
            serde_json::from_value(theirs.clone()).unwrap_or_else(|error| panic!("{path}: {error}: {theirs}"));
        let ours = serde_json::to_value(&read).unwrap();
        contains(&ours, &theirs, path);
        theirs
    }
    assert!(same::<Vec<GettableAlert>>(port, "/api/v2/alerts").as_array().unwrap().len() > 10);
    same::<Vec<AlertGroup>>(port, "/api/v2/alerts/groups");
    assert_eq!(same::<Vec<GettableSilence>>(port, "/api/v2/silences")[0]["status"]["state"], "expired");
    same::<AlertmanagerStatus>(port, "/api/v2/status");
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size @ 1..) = usize::from_str_radix(size.trim(), 16) else { break };
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Everything that they write, we write: times are compared as instants.
fn contains(ours: &Value, theirs: &Value, path: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in theirs {
                // A cluster's name and an old version's keys are not ours to have.
                if key == "name" && path.ends_with("cluster") {
                    continue;
                }
                contains(
                    ours.get(key).unwrap_or_else(|| panic!("{path}.{key} is missing")),
                    value,
                    &format!("{path}.{key}"),
                );
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{path}");
            ours.iter().zip(theirs).for_each(|(ours, theirs)| contains(ours, theirs, path));
        }
        (Value::String(ours), Value::String(theirs)) if ours != theirs => {
            let instant = |text: &str| {
                chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| panic!("{path}: {ours} {theirs}"))
            };
            assert_eq!(instant(ours), instant(theirs), "{path}");
        }
        _ => assert_eq!(ours, theirs, "{path}"),
    }
}
