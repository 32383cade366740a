//! Seeded simulations of ingest: whatever fails and whoever dies, each event is counted once.
//!
//! ```text
//! seed ─▶ events, steps, faults ─▶ real workers, committers, maintenance ─▶ tables in memory ═ plain maps of the events
//! ```
//!
//! A life is some dozen steps: a worker starts, gets records, commits, dies, is told that partitions come and go, while
//! others believe to own the same ones; files are merged, rolled up, expired, checkpointed and deleted; readers look at
//! commits and memory. The object store fails before and after a write, lets go of answers, breaks off listings and
//! bodies, and keeps a write under way while others go first, or until after the death of its writer. All of it, the
//! time included, follows from one number, and the same number gives the same story.
//!
//! Real are the worker on its thread, the committer, maintenance and the tables with Delta Lake below them. Made up are
//! the source, the clock and the store. [`member`] says how a worker and its committer are kept in step; the waits of a
//! committer between two attempts are real time, so several simulations run side by side. Uploads in parts do not
//! happen: files of this size are written at once.
//!
//! `TIDEWATCH_SEEDS=5000` runs so many seeds, `TIDEWATCH_SEED=17` runs that one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests say what went wrong by panicking")]
#![allow(clippy::large_futures, reason = "a simulation is one large future, made once")]

mod clock;
mod events;
mod member;
mod store;
mod tables;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use world::{Story, World};

/// Seeds of a run, unless the environment says otherwise: about half a minute on two cores.
const SEEDS: u64 = 60;
/// One in so many of them is run twice.
const TWICE: usize = 10;
/// Simulations side by side, for each core: they wait now and then.
const PER_CORE: usize = 3;
/// Longer than any simulation takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("TIDEWATCH_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("TIDEWATCH_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

/// One life; returns its story.
fn live(runtime: &Runtime, seed: u64) -> Vec<String> {
    let story = Story::default();
    let life = async {
        let world = World::new(seed, story.clone());
        tokio::time::timeout(PATIENCE, world.live()).await.expect("nothing goes on");
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(life))) {
        let told = story.told().join("\n");
        eprintln!(
            "{told}\nseed {seed} failed; alone: TIDEWATCH_SEED={seed} cargo test -p tidewatch-ingest --test simulation"
        );
        resume_unwind(panic);
    }
    story.told()
}

/// Simulates some seeds side by side, until one fails.
fn for_each(seeds: &[u64], simulate: impl Fn(&Runtime, u64) + Sync) {
    // Delta Lake writes checkpoints only on a runtime of several threads; each simulation is a future of its own thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst)) {
            if catch_unwind(AssertUnwindSafe(|| simulate(&runtime, seed))).is_err() {
                next.store(seeds.len(), Ordering::SeqCst);
                has_failed.store(true, Ordering::SeqCst);
            }
        }
    };
    let threads = PER_CORE * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    assert!(!has_failed.load(Ordering::SeqCst), "a simulation failed; it stands above");
}

#[test]
fn whatever_fails_each_event_is_counted_once() {
    for_each(&seeds(), |runtime, seed| drop(live(runtime, seed)));
}

#[test]
fn a_seed_has_one_story() {
    let some: Vec<u64> = seeds().into_iter().step_by(TWICE).collect();
    for_each(&some, |runtime, seed| {
        let (first, second) = (live(runtime, seed), live(runtime, seed));
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        if let Some(line) = differs {
            panic!("seed {seed} at line {line}:\n{}\n{}", first[..=line].join("\n"), second[line]);
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    });
}
