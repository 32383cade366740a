//! `kill -9` before and after every step that the beginning of a table, a commit or maintenance takes in the object
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

/// Commits alone.
const COUNTING: &str = "flush_interval = \"300ms\"\n[maintenance]\nenabled = false\n";
/// Maintenance after a few commits, which leave it the time for all it has to do; nothing is old enough to be deleted.
const MERGING: &str =
    "flush_interval = \"1s\"\n[maintenance]\ninterval = \"300ms\"\nfresh_files = 4\ncheckpoint_commits = 4\n";
/// The same, and what is not wanted any more is deleted, once it is older than any request takes.
const DELETING: &str = "log_retention = \"10s\"\nfile_grace = \"10s\"\n";

/// What the process of a phase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It counts, and is killed after its first commit.
    Counting,
    /// It counts and maintains, and may be killed from its start on.
    Merging,
    /// It deletes as well.
    Deleting,
}

type Phase = (&'static str, Life, &'static [(Act, Pick)]);

const COMMITS: &[Phase] = &[
    ("before a table begins", Life::Merging, &[(KillBefore, Pick(Kind::Creation, "", 1))]),
    ("a table has begun, unheard", Life::Merging, &[(KillAfter, Pick(Kind::Creation, "", 2))]),
    ("before a data file is written", Life::Counting, &[(KillBefore, Pick(Kind::DataFile, "orders", 1))]),
    ("a data file is written, unheard", Life::Counting, &[(KillAfter, Pick(Kind::DataFile, "orders", 1))]),
    ("data files are written, before the version", Life::Counting, &[(KillBefore, Pick(Kind::Append, "orders", 1))]),
    ("a version is written, unheard", Life::Counting, &[(KillAfter, Pick(Kind::Append, "orders", 1))]),
    ("a version arrives after the death", Life::Counting, &[(KillAndDeliver(LATER), Pick(Kind::Append, "orders", 1))]),
    (
        "ids of events are committed, their counts are not",
        Life::Counting,
        &[
            (KillAfter, Pick(Kind::Append, "event_ids", 1)),
            (Hold, Pick(Kind::Append, "orders", 1)),
            (Hold, Pick(Kind::Append, "order_way", 1)),
        ],
    ),
    (
        "counts are committed, the ids of their events are not",
        Life::Counting,
        &[(KillAfter, Pick(Kind::Append, "orders", 1)), (Hold, Pick(Kind::Append, "event_ids", 1))],
    ),
    ("between the tables of a commit", Life::Counting, &[(KillBefore, Pick(Kind::Append, "", 4))]),
    ("late events are noted, before they count", Life::Counting, &[(KillAfter, Pick(Kind::Append, "late_events", 1))]),
];

/// In an order in which each finds what it needs: old windows go once, and what is deleted must have lain there for a
/// while.
const MAINTENANCE: &[Phase] = &[
    ("before old windows go", Life::Merging, &[(KillBefore, Pick(Kind::Expiry, "digests", 1))]),
    ("old windows are gone, unheard", Life::Merging, &[(KillAfter, Pick(Kind::Expiry, "digests", 1))]),
    ("files are merged, before the version", Life::Merging, &[(KillBefore, Pick(Kind::Merge, "digests", 1))]),
    ("a merge is committed, unheard", Life::Merging, &[(KillAfter, Pick(Kind::Merge, "digests", 1))]),
    ("a merge arrives after the death", Life::Merging, &[(KillAndDeliver(LATER), Pick(Kind::Merge, "digests", 1))]),
    ("keys are merged, unheard", Life::Merging, &[(KillAfter, Pick(Kind::Merge, "order_way", 1))]),
    ("before a checkpoint", Life::Merging, &[(KillBefore, Pick(Kind::Checkpoint, "", 1))]),
    ("a checkpoint is written, its hint is not", Life::Merging, &[(KillBefore, Pick(Kind::Hint, "", 1))]),
    ("the hint of a checkpoint is written, unheard", Life::Merging, &[(KillAfter, Pick(Kind::Hint, "", 1))]),
    ("before entries of a log are deleted", Life::Deleting, &[(KillBefore, Pick(Kind::LogRemoval, "", 1))]),
    ("entries of a log are deleted, unheard", Life::Deleting, &[(KillAfter, Pick(Kind::LogRemoval, "", 1))]),
    ("before a data file is deleted", Life::Deleting, &[(KillBefore, Pick(Kind::DataRemoval, "", 1))]),
    ("data files are deleted, unheard", Life::Deleting, &[(KillAfter, Pick(Kind::DataRemoval, "", 2))]),
];

#[test]
fn a_kill_at_every_phase_of_a_commit_changes_no_row_and_leaves_no_file() {
    are_survived(COMMITS);
}

#[test]
fn a_kill_at_every_phase_of_maintenance_changes_no_row_and_leaves_no_file() {
    are_survived(MAINTENANCE);
}

fn are_survived(phases: &[Phase]) {
    let Some(python) = python() else { return };
    let ((s3, proxy), folder) = (store(&python), tempfile::tempdir().unwrap());
    let config = |life: Life| {
        let (name, rest) = match life {
            Life::Counting => ("counting", COUNTING.to_owned()),
            Life::Merging => ("merging", MERGING.to_owned()),
            Life::Deleting => ("deleting", format!("{MERGING}{DELETING}")),
        };
        settings(folder.path(), name, &proxy.address, &rest)
    };
    let feed = Feed::new();
    let mut recoveries: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    let process = feed.beside(|| {
        let start = |what: &str, life: Life| {
            let started = Instant::now();
            let process = Tidewatch::run(&config(life));
            proxy.target(process.id());
            eprintln!("{:6.1} s, {what}", begun.elapsed().as_secs_f64());
            (started, process)
        };
        let recovery = |started: Instant| proxy.first(Kind::Append, started).map(|at| at - started);
        let serves = |process: &mut Tidewatch, started: Instant| {
            feed.towards(&process.address());
            wait_until("the first commit", SOON, || recovery(started).is_some());
        };
        for (name, life, acts) in phases {
            let (started, mut process) = start(name, *life);
            match life {
                Life::Merging | Life::Deleting => proxy.arm(acts),
                Life::Counting => {
                    serves(&mut process, started);
                    proxy.arm(acts);
                }
            }
            wait_until(name, SOON, || {
                if proxy.has_killed() {
                    return true;
                }
                if *life != Life::Counting && process.log().contains("address=") {
                    feed.towards(&process.address());
                }
                assert!(!process.has_ended() || proxy.has_killed(), "it ended by itself:\n{}", process.log());
                false
            });
            process.kill();
            recoveries.extend(recovery(started));
        }
        let (started, mut process) = start("the last life", Life::Deleting);
        serves(&mut process, started);
        recoveries.extend(recovery(started));
        process
    });
    process.stop();
    recoveries.sort();
    let (median, longest) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    eprintln!(
        "{} kills, {} lines, {:?}; from a start to the next commit: median {median:?}, longest {longest:?}",
        phases.len(),
        feed.sent(),
        begun.elapsed()
    );
    assert!(longest < RECOVERY_MAX, "{recoveries:?}");
    oracle::is_exact(folder.path(), &python, &s3, &feed.all());
    eprintln!("{:6.1} s, compared", begun.elapsed().as_secs_f64());
}
