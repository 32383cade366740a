//! What `/-/healthy`, `/-/startup` and `/-/ready` answer. [`decide`] decides, from facts that are gathered here.
//!
//! | probe | 503 when | because |
//! |---|---|---|
//! | healthy | a worker with work stands still | only a restart helps |
//! | startup | tables, workers or rules are not there yet; never again after that | it needs time |
//! | ready | commits fail, the log or a disk does not take more, the store does not answer, it stops | others should be asked, or somebody should look; a restart does not help |

pub mod decide;
mod disk;
mod front;

pub use disk::free_bytes;
pub use front::Front;

use crate::live::Workers;
use crate::settings;
use decide::{Disk, Stage};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tidewatch_ingest::CommitHealth;
use tidewatch_ingest::clock::Clock;
use tidewatch_ingest::log::EventLog;
use tidewatch_query::http::{Check, Checks, Probes};

/// How far the process has come. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Life(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: RwLock<Stage>,
    /// Told once that it has started, it stays so.
    has_started: AtomicBool,
}

impl Default for Life {
    fn default() -> Self {
        Self(Arc::new(Inner { stage: RwLock::new(Stage::OpeningStore), has_started: AtomicBool::new(false) }))
    }
}

impl Life {
    /// It has come so far.
    pub fn reach(&self, stage: Stage) {
        *self.0.stage.write().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        *self.0.stage.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it begun? Workers that take the place of others, in a reload, change nothing about that.
    fn started(&self, workers: &Workers) -> Result<(), String> {
        if self.0.has_started.load(Ordering::Relaxed) {
            return Ok(());
        }
        decide::started(self.stage(), &workers.pulses())?;
        self.0.has_started.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Where the facts come from.
#[derive(Debug)]
pub struct Sources {
    /// How far the process has come.
    pub life: Life,
    /// Its workers.
    pub workers: Arc<Workers>,
    /// How commits go.
    pub commits: CommitHealth,
    /// Where pushed events are durable.
    pub log: Option<Arc<EventLog>>,
    /// Folders of this machine that are written to, and what lies there.
    pub folders: Vec<(&'static str, PathBuf)>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Sources {
    /// The questions of the probes.
    pub fn probes(self, limits: &settings::Probes) -> Probes {
        let settings::Probes { stuck_after, commit_failures_max, disk_free_min } = *limits;
        let Self { life, workers, commits, log, folders, clock } = self;
        let pulses = Arc::clone(&workers);
        let alive: Check = Box::new(move || decide::alive(&pulses.pulses(), clock.monotonic(), stuck_after));
        let begun = life.clone();
        let started: Check = Box::new(move || begun.started(&workers));
        let ready: [Check; 4] = [
            Box::new(move || decide::staying(life.stage())),
            Box::new(move || log.as_ref().map_or(Ok(()), |l| l.health().map_err(|e| e.to_string()))),
            Box::new(move || decide::committing(commits.worst().as_ref(), commit_failures_max)),
            Box::new(move || decide::roomy(&look_at(&folders), disk_free_min)),
        ];
        Probes { alive: Checks::new([alive]), started: Checks::new([started]), ready: Checks::new(ready) }
    }
}

fn look_at(folders: &[(&'static str, PathBuf)]) -> Vec<Disk> {
    let look = |(of, folder): &(&'static str, PathBuf)| Disk {
        of,
        folder: folder.clone(),
        free: free_bytes(folder).map_err(|error| error.to_string()),
    };
    folders.iter().map(look).collect()
}
