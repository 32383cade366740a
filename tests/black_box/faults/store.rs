//! An object store that errs, loses answers, is slow, tears bodies and goes away, under load: the process goes on by
//! itself, says so meanwhile, and no event is lost or counted twice, neither in the tables nor in an answer.

use super::feed::Feed;
use super::proxy::{Kind, Trouble};
use super::{oracle, settings, store};
use crate::support::{Tidewatch, get, post, python, wait_until};
use Trouble::{Denied, Refused, Slow, TornRead, TornWrite, Unheard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(120);
/// How long each kind of trouble lasts.
const EPISODE: Duration = Duration::from_secs(3);
/// Requests that have trouble in each of them, and commits that come through all the same.
const TROUBLES_MIN: u64 = 10;
const COMMITS_MIN: usize = 2;
/// Between two questions of whoever watches.
const PAUSE: Duration = Duration::from_millis(150);
/// Longer than the client waits for an answer: `timeout` in the settings.
const TOO_SLOW: Duration = Duration::from_secs(3);

/// A name, one in so many requests, and what befalls it.
type Episode = (&'static str, u64, &'static [Trouble]);

const EPISODES: &[Episode] = &[
    ("errors", 3, &[Refused(503), Refused(500)]),
    ("answers that are lost", 4, &[Unheard, Denied(500)]),
    ("slow answers, some too slow", 4, &[Slow(Duration::from_millis(300)), Slow(TOO_SLOW)]),
    ("torn reads and writes", 3, &[TornRead, TornWrite]),
    ("all of it", 4, &[Refused(503), Unheard, Denied(503), Slow(TOO_SLOW), TornRead, TornWrite]),
];

const SETTINGS: &str = "flush_interval = \"300ms\"\n[probes]\ncommit_failures_max = 1\n\
                        [maintenance]\ninterval = \"500ms\"\nfresh_files = 2\ncheckpoint_commits = 4\n";

const ORDERS: &str = "SELECT coalesce(sum(orders), 0) AS n FROM orders";

/// Orders in an answer; `None` when there is none, as may be while files cannot be read.
fn orders(address: &str) -> Option<u64> {
    let headers = ["Accept: text/csv", "Content-Type: text/plain"];
    let answer = post(address, "/api/v1/sql", &headers, ORDERS.as_bytes()).ok()?;
    (answer.status == 200).then(|| answer.text().lines().nth(1).unwrap().parse().unwrap())
}

fn failed_commits(process: &mut Tidewatch) -> u64 {
    let text = process.get("/metrics").text();
    let lines = text.lines().filter(|l| l.starts_with("tidewatch_commit_total{") && l.contains("outcome=\"failed\""));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Asks for answers and probes until it is told to stop: no number falls, none is too large, and the process is never
/// said to need a restart. Returns answers, and questions without one.
fn watch(address: &str, feed: &Feed, is_over: &AtomicBool) -> (u64, u64) {
    let (mut last, mut answers, mut failures) = (0, 0, 0);
    while !is_over.load(Ordering::SeqCst) {
        match orders(address) {
            Some(found) => {
                assert!(found >= last, "the number of orders fell from {last} to {found}");
                assert!(found <= feed.sent(), "{found} orders of at most {}", feed.sent());
                (last, answers) = (found, answers + 1);
            }
            None => failures += 1,
        }
        let healthy = get(address, "/-/healthy", &[]).unwrap();
        assert_eq!(healthy.status, 200, "{}", healthy.text());
        std::thread::sleep(PAUSE);
    }
    (answers, failures)
}

#[test]
fn a_store_in_trouble_loses_nothing_counts_nothing_twice_and_is_told_of() {
    let Some(python) = python() else { return };
    let ((s3, proxy), folder) = (store(&python), tempfile::tempdir().unwrap());
    let mut process = Tidewatch::run(&settings(folder.path(), "live", &proxy.address, SETTINGS));
    let address = process.address();
    let (feed, is_over, begun) = (Feed::new(), AtomicBool::new(false), Instant::now());
    feed.towards(&address);
    let is_ready = || get(&address, "/-/ready", &[]).unwrap().status == 200;
    let commits = || proxy.count(Kind::Append);
    let committed_since = |before: usize| commits() >= before + COMMITS_MIN;
    let (answers, failures) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&address, &feed, &is_over));
        feed.beside(|| {
            wait_until("the first commits", SOON, || committed_since(0));
            for (name, one_in, troubles) in EPISODES {
                let (before, since) = (commits(), Instant::now());
                proxy.storm(*one_in, troubles);
                // It goes on in spite of it.
                wait_until(name, SOON, || {
                    since.elapsed() > EPISODE && committed_since(before) && proxy.troubles() >= TROUBLES_MIN
                });
                let (befallen, came) = (proxy.calm(), commits() - before);
                eprintln!("{:6.1} s, {name}: {befallen} requests, {came} commits", begun.elapsed().as_secs_f64());
            }
            wait_until("it is ready after trouble", SOON, is_ready);
            let failed = failed_commits(&mut process);
            proxy.set_down(true);
            wait_until("readiness says that there is no store", SOON, || {
                let ready = get(&address, "/-/ready", &[]).unwrap();
                ready.status == 503 && ready.text().contains("commits fail: ")
            });
            eprintln!("{:6.1} s, it says that commits fail", begun.elapsed().as_secs_f64());
            assert!(failed_commits(&mut process) > failed, "{failed} commits failed before");
            assert_eq!(get(&address, "/-/startup", &[]).unwrap().status, 200, "it has started, for ever");
            let (before, gone) = (commits(), Instant::now());
            proxy.set_down(false);
            wait_until("it is ready again", SOON, is_ready);
            wait_until("it commits again", SOON, || committed_since(before));
            eprintln!("{:?} from the return of the store to commits", gone.elapsed());
        });
        is_over.store(true, Ordering::SeqCst);
        watching.join().unwrap()
    });
    eprintln!("{answers} answers, {failures} questions without one");
    assert!(answers > 20, "{answers} answers, {failures} failures");
    assert!(process.log().contains("commit failed"), "the log names what failed");
    process.stop();
    eprintln!("{:6.1} s, {} lines", begun.elapsed().as_secs_f64(), feed.sent());
    oracle::is_exact(folder.path(), &python, &s3, &feed.all());
    eprintln!("{:6.1} s, compared", begun.elapsed().as_secs_f64());
}
