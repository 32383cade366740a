//! Workers that are restarted one after the other under load, while another process answers.

use super::shop::{ORDERS, counted, number, send};
use crate::support::{Tidewatch, get, pack, post, sql, wait_until, write_settings};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tidewatch_simulate::DemoBroker;

const SOON: Duration = Duration::from_secs(120);
const PART: u64 = 200;

/// Settings of a role over one store.
fn settings(folder: &Path, role: &str, rest: &str) -> PathBuf {
    let own = folder.join(role);
    std::fs::create_dir(&own).unwrap();
    let store = folder.join("data").display().to_string();
    let text = format!(
        "packs = [\"{}\"]\n[storage]\nlocation = \"{store}\"\n[http]\nlisten = \"127.0.0.1:0\"\n{rest}",
        pack("shop")
    );
    write_settings(&own, &text)
}

fn worker(folder: &Path, name: &str, broker: &DemoBroker) -> PathBuf {
    let rest = format!(
        "[push]\nenabled = false\n[alerting]\nenabled = false\n[maintenance]\nenabled = false\n[ingest]\nflush_interval = \"200ms\"\n\
         [kafka.properties]\n\"bootstrap.servers\" = \"{}\"\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n",
        broker.bootstrap_servers()
    );
    settings(folder, name, &rest)
}

fn partitions(member: &mut Tidewatch) -> f64 {
    member.metric("tidewatch_ingest_partitions")
}

/// What an answering process has said.
#[derive(Default)]
struct Heard {
    answers: AtomicU64,
    is_over: AtomicBool,
}

/// Lets all threads end, also when the test fails.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|flag| flag.store(true, Ordering::Relaxed));
    }
}

/// Asks until told to stop: every answer is one, and no number falls.
fn listen(address: &str, heard: &Heard) {
    let mut last = 0;
    while !heard.is_over.load(Ordering::Relaxed) {
        let headers = ["Accept: text/csv", "Content-Type: text/plain"];
        let answer = post(address, "/api/v1/sql", &headers, ORDERS.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let now = number(&answer.text());
        assert!(now >= last, "{last} was answered, then {now}");
        let ready = get(address, "/-/ready", &[]).unwrap();
        assert_eq!(ready.status, 200, "{}", ready.text());
        last = now;
        heard.answers.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_rolling_restart_loses_nothing_and_leaves_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let broker = DemoBroker::start(&[("shop", 4)]).unwrap();
    let workers = ["one", "two"].map(|name| worker(folder.path(), name, &broker));
    let answering = settings(folder.path(), "query", "[push]\npath = \"push\"\n[alerting]\npath = \"alerts\"\n");
    let mut members = workers.each_ref().map(|config| Tidewatch::run(config));
    members.iter_mut().for_each(|member| _ = member.address());
    wait_until("both have partitions", SOON, || members.iter_mut().all(|member| partitions(member) == 2.0));
    let mut query = Tidewatch::run(&answering);
    let address = query.address();

    let (heard, sent, is_over) = (Heard::default(), AtomicU64::new(0), AtomicBool::new(false));
    let members = std::thread::scope(|scope| {
        let _ends = Ends([&heard.is_over, &is_over]);
        let listening = scope.spawn(|| listen(&address, &heard));
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let first = sent.load(Ordering::Relaxed);
                send(folder.path(), &broker, first..first + PART);
                sent.store(first + PART, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let mut members = members.map(Some);
        for round in 0..4 {
            let index = round % 2;
            let before = (heard.answers.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
            let member = members[index].take().unwrap();
            member.signal("TERM");
            let log = member.wait(Duration::from_secs(60));
            assert!(log.contains("everything that was read is committed"), "{log}");
            let mut member = Tidewatch::run(&workers[index]);
            member.address();
            members[index] = Some(member);
            wait_until("it has partitions again", SOON, || {
                members.iter_mut().flatten().all(|member| partitions(member) == 2.0)
            });
            let after = (heard.answers.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
            assert!(
                after.0 > before.0 && after.1 > before.1,
                "there were questions and load meanwhile: {before:?} {after:?}"
            );
            assert!(!listening.is_finished(), "an answer was missing");
        }
        is_over.store(true, Ordering::Relaxed);
        let count = || number(&sql(&folder.path().join("data"), ORDERS));
        wait_until("everything is committed", SOON, || {
            // The last part may still be on its way.
            count() == counted(0..sent.load(Ordering::Relaxed))
        });
        heard.is_over.store(true, Ordering::Relaxed);
        listening.join().unwrap();
        members
    });
    let expected = counted(0..sent.load(Ordering::Relaxed));
    wait_until("everything is in an answer", SOON, || number(&query.sql(ORDERS)) == expected);
    members.into_iter().flatten().for_each(|member| _ = member.stop());
    query.stop();
    assert_eq!(number(&sql(&folder.path().join("data"), ORDERS)), expected);
    let letters = "SELECT count(*) AS n FROM dead_letters";
    assert_eq!(number(&sql(&folder.path().join("data"), letters)), sent.load(Ordering::Relaxed) / 50);
}
