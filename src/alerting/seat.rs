//! One process of those that share a folder evaluates the rules. The others stand by: when it stops or dies, one of them
//! goes on from the states, the silences and the messages that it has left.

use super::{Opened, RulerClock};
use anyhow::{Context, Result};
use futures::future::BoxFuture;
use prometheus::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::Clock;
use tidewatch_notify::OutboxSettings;
use tidewatch_ruler::begin::Definition;
use tidewatch_ruler::{Data, Ruler, RulerError, RulerSettings, Running};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;

/// How often a process that stands by looks whether the seat is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What opening rules takes; it may be tried as often as another process has them.
pub struct Opening {
    pub(super) settings: RulerSettings,
    pub(super) definition: Definition,
    pub(super) data: Arc<dyn Data>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: Registry,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Opening {
    /// `None` when another process has them.
    ///
    /// Errors: what that one has left cannot be read; the disk.
    pub async fn open(&self) -> Result<Option<Ruler>> {
        let (settings, definition, data) = (self.settings.clone(), self.definition.clone(), Arc::clone(&self.data));
        let (clock, registry) = (Arc::new(RulerClock(Arc::clone(&self.clock))), self.registry.clone());
        let opened = tokio::task::spawn_blocking(move || {
            Ruler::open(settings, definition, OutboxSettings::default(), data, clock, &registry)
        });
        match opened.await? {
            Ok(ruler) => Ok(Some(ruler)),
            Err(RulerError::Taken(_)) => Ok(None),
            Err(error) => Err(error).context("alerting"),
        }
    }
}

/// Is called once, with the rules that are about to run.
pub type OnTaken = Box<dyn FnOnce(&Ruler) + Send>;

#[derive(Debug)]
enum Seat {
    StandBy(Box<Opening>),
    Taken(Box<Running>),
    /// There are no rules here, or not any more.
    Left,
}

/// The rules of a process, whether it evaluates them or stands by.
#[derive(Debug)]
pub struct Rules {
    seat: Arc<Mutex<Seat>>,
    /// Why taking the seat failed.
    failed: Option<oneshot::Receiver<anyhow::Error>>,
    waiting: Option<JoinHandle<()>>,
}

impl Rules {
    /// Starts the rules, or begins to stand by. `on_taken` hears of them before they run, now or later.
    pub fn start(opened: Opened, on_taken: OnTaken) -> Self {
        let (fail, failed) = oneshot::channel();
        let seat = match opened {
            Opened::Off => Seat::Left,
            Opened::Taken(ruler) => {
                on_taken(&ruler);
                return Self::new(Seat::Taken(Box::new(ruler.start())), failed);
            }
            Opened::StandBy(opening) => Seat::StandBy(opening),
        };
        let stands_by = matches!(seat, Seat::StandBy(_));
        let mut rules = Self::new(seat, failed);
        if stands_by {
            let seat = Arc::clone(&rules.seat);
            rules.waiting = Some(tokio::spawn(async move {
                if let Err(error) = wait_for(&seat, on_taken).await {
                    // Nobody listens any more when the process is about to end.
                    let _ = fail.send(error);
                }
            }));
        }
        rules
    }

    fn new(seat: Seat, failed: oneshot::Receiver<anyhow::Error>) -> Self {
        Self { seat: Arc::new(Mutex::new(seat)), failed: Some(failed), waiting: None }
    }

    /// Ends when the seat was free and could not be taken, and says why.
    pub fn failed(&mut self) -> BoxFuture<'_, anyhow::Error> {
        Box::pin(async move {
            if let Some(failed) = &mut self.failed
                && let Ok(error) = failed.await
            {
                return error;
            }
            // The seat is taken, or never was to be: that is known once.
            self.failed = None;
            std::future::pending().await
        })
    }

    /// Goes on by another definition, now or when the seat is taken.
    ///
    /// Errors: it cannot work; then everything stays as it is.
    pub async fn redefine(&self, definition: Definition) -> Result<()> {
        match &mut *self.seat.lock().await {
            Seat::Taken(running) => Ok(running.redefine(definition).await?),
            Seat::StandBy(opening) => {
                opening.definition = definition;
                Ok(())
            }
            Seat::Left => Ok(()),
        }
    }

    /// Ends evaluations, then what is on its way to receivers.
    ///
    /// Errors: the outbox's.
    pub async fn stop(self) -> Result<()> {
        let left = std::mem::replace(&mut *self.seat.lock().await, Seat::Left);
        if let Some(waiting) = self.waiting {
            waiting.abort();
        }
        match left {
            Seat::Taken(running) => Ok(running.stop().await?),
            Seat::StandBy(_) | Seat::Left => Ok(()),
        }
    }
}

/// Looks until the seat is free, and takes it.
async fn wait_for(seat: &Mutex<Seat>, on_taken: OnTaken) -> Result<()> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut seat = seat.lock().await;
        let Seat::StandBy(opening) = &*seat else { return Ok(()) };
        let Some(ruler) = opening.open().await? else { continue };
        tracing::warn!("the process that evaluated the rules is gone; this one goes on with them");
        on_taken(&ruler);
        *seat = Seat::Taken(Box::new(ruler.start()));
        return Ok(());
    }
}
