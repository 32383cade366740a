//! `kill -9` before and after every step that a commit, maintenance or the beginning of a table takes in the object
//! store, one life after the other over one store, while events come in. In the end every row is as in a straight run,
//! and no file lies there that no table lists.

use super::feed::Feed;
use super::proxy::{Act, Kind, Pick};
use super::{oracle, settings, store};
use crate::support::{Tidewatch, python, wait_until};
use Act::{Hold, KillAfter, KillAndDeliver, KillBefore};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(120);
/// From a start to the first commit, of a development build on a machine that others use.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// When a request arrives whose sender is dead: its successor is at work by then.
const LATER: Duration = Duration::from_secs(2);

/// Maintenance after a few commits; nothing is old enough to be deleted.
const MERGING: &str = "[maintenance]\ninterval = \"200ms\"\nfresh_files = 4\ncheckpoint_commits = 4\n";
/// The same, and what is not wanted any more is deleted, once it is older than any request takes.
const DELETING: &str = "log_retention = \"10s\"\nfile_grace = \"10s\"\n";

/// When the requests of a phase are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// From the start of its process.
    Start,
    /// From the start of its process, which deletes.
    Deleting,
    /// Once the process has committed.
    Commit,
}

type Phase = (&'static str, From, &'static [(Act, Pick)]);

/// In an order in which each finds what it needs: what is deleted must have lain there for a while.
const PHASES: &[Phase] = &[
    ("before a table begins", From::Start, &[(KillBefore, Pick(Kind::Creation, "", 1))]),
    ("a table has begun, unheard", From::Start, &[(KillAfter, Pick(Kind::Creation, "", 2))]),
    ("before a data file is written", From::Commit, &[(KillBefore, Pick(Kind::DataFile, "orders", 1))]),
    ("a data file is written, unheard", From::Commit, &[(KillAfter, Pick(Kind::DataFile, "orders", 1))]),
    ("data files are written, before the version", From::Commit, &[(KillBefore, Pick(Kind::Append, "orders", 1))]),
    ("a version is written, unheard", From::Commit, &[(KillAfter, Pick(Kind::Append, "orders", 1))]),
    ("a version arrives after the death", From::Commit, &[(KillAndDeliver(LATER), Pick(Kind::Append, "orders", 1))]),
    (
        "ids of events are committed, their counts are not",
        From::Commit,
        &[
            (KillAfter, Pick(Kind::Append, "event_ids", 1)),
            (Hold, Pick(Kind::Append, "orders", 1)),
            (Hold, Pick(Kind::Append, "order_way", 1)),
        ],
    ),
    (
        "counts are committed, the ids of their events are not",
        From::Commit,
        &[(KillAfter, Pick(Kind::Append, "orders", 1)), (Hold, Pick(Kind::Append, "event_ids", 1))],
    ),
    ("between the tables of a commit", From::Commit, &[(KillBefore, Pick(Kind::Append, "", 4))]),
    ("late events are noted, before they count", From::Commit, &[(KillAfter, Pick(Kind::Append, "late_events", 1))]),
    ("files are merged, before the version", From::Commit, &[(KillBefore, Pick(Kind::Merge, "digests", 1))]),
    ("a merge is committed, unheard", From::Commit, &[(KillAfter, Pick(Kind::Merge, "digests", 1))]),
    ("a merge arrives after the death", From::Commit, &[(KillAndDeliver(LATER), Pick(Kind::Merge, "digests", 1))]),
    ("keys are merged, unheard", From::Commit, &[(KillAfter, Pick(Kind::Merge, "order_way", 1))]),
    ("before old windows go", From::Commit, &[(KillBefore, Pick(Kind::Expiry, "digests", 1))]),
    ("old windows are gone, unheard", From::Commit, &[(KillAfter, Pick(Kind::Expiry, "digests", 1))]),
    ("before a checkpoint", From::Commit, &[(KillBefore, Pick(Kind::Checkpoint, "", 1))]),
    ("a checkpoint is written, its hint is not", From::Commit, &[(KillBefore, Pick(Kind::Hint, "", 1))]),
    ("the hint of a checkpoint is written, unheard", From::Commit, &[(KillAfter, Pick(Kind::Hint, "", 1))]),
    ("before entries of a log are deleted", From::Deleting, &[(KillBefore, Pick(Kind::LogRemoval, "", 1))]),
    ("entries of a log are deleted, unheard", From::Deleting, &[(KillAfter, Pick(Kind::LogRemoval, "", 1))]),
    ("before a data file is deleted", From::Deleting, &[(KillBefore, Pick(Kind::DataRemoval, "", 1))]),
    ("data files are deleted, unheard", From::Deleting, &[(KillAfter, Pick(Kind::DataRemoval, "", 2))]),
];

#[test]
fn a_kill_at_every_phase_of_commits_and_maintenance_changes_no_row_and_leaves_no_file() {
    let Some(python) = python() else { return };
    let ((s3, proxy), folder) = (store(&python), tempfile::tempdir().unwrap());
    let merging = settings(folder.path(), "merging", &proxy.address, MERGING);
    let deleting = settings(folder.path(), "deleting", &proxy.address, &format!("{MERGING}{DELETING}"));
    let feed = Feed::new();
    let mut recoveries: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    let process = feed.beside(|| {
        let start = |what: &str, from: From| {
            let started = Instant::now();
            let process = Tidewatch::run(if from == From::Deleting { &deleting } else { &merging });
            proxy.target(process.id());
            eprintln!("{:6.1} s, {what}", begun.elapsed().as_secs_f64());
            (started, process)
        };
        let mut serves = |process: &mut Tidewatch, started: Instant| {
            feed.towards(&process.address());
            wait_until("the first commit", SOON, || proxy.first(Kind::Append, started).is_some());
            recoveries.extend(proxy.first(Kind::Append, started).map(|at| at - started));
        };
        for (name, from, acts) in PHASES {
            let (started, mut process) = start(name, *from);
            match from {
                From::Start | From::Deleting => proxy.arm(acts),
                From::Commit => {
                    serves(&mut process, started);
                    proxy.arm(acts);
                }
            }
            wait_until(name, SOON, || {
                if proxy.has_killed() {
                    return true;
                }
                if *from != From::Commit && process.log().contains("address=") {
                    feed.towards(&process.address());
                }
                assert!(!process.has_ended() || proxy.has_killed(), "it ended by itself:\n{}", process.log());
                false
            });
            process.kill();
        }
        let (started, mut process) = start("the last life", From::Deleting);
        serves(&mut process, started);
        process
    });
    process.stop();
    recoveries.sort();
    let (median, longest) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    eprintln!(
        "{} kills, {} lines, {:?}; from a start to the next commit: median {median:?}, longest {longest:?}",
        PHASES.len(),
        feed.sent(),
        begun.elapsed()
    );
    assert!(longest < RECOVERY_MAX, "{recoveries:?}");
    oracle::is_exact(folder.path(), &python, &s3, &feed.all());
    eprintln!("{:6.1} s, compared", begun.elapsed().as_secs_f64());
}
