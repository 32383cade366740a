//! Opens what a stop has left, starts the tasks, and takes other rules and another configuration while it runs.

use crate::RulerSettings;
use crate::amend::{self, Amends};
use crate::book::{GroupBook, key_of, resolve_metrics};
use crate::contributions;
use crate::data::Data;
use crate::evaluate::{self, labels_of, timestamp};
use crate::forward::Forwarder;
use crate::http;
use crate::integrations;
use crate::ledger::Row;
use crate::metrics::RulerMetrics;
use crate::recent::Recent;
use crate::seat::Seat;
use crate::store::{Change, Store, StoreError};
use crate::tell::{self, AttemptRows, Told};
use crate::templates::TemplateBook;
use axum::Router;
use prometheus::Registry;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tidewatch_alerting::config::Config;
use tidewatch_alerting::route::{Alert, Notifier};
use tidewatch_alerting::rules::group::{GroupState, SavedRule, VersionError};
use tidewatch_alerting::rules::{Group, Rule};
use tidewatch_alerting::state::{Phase, restore};
use tidewatch_notify::{
    Clock, Integrations, NotifyMetrics, Outbox, OutboxError, OutboxSettings, SettingsError, Worker, WorkerSettings,
};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Folder of the outbox within that of the state.
const OUTBOX: &str = "outbox";
/// Folder of the states.
const STATES: &str = "states";
/// Of the random waits between attempts.
const SEED: u64 = 0x7469_6465;

/// Why rules cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RulerError {
    /// The states.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// A state was written by a newer program.
    #[error("group {group}: {source}")]
    Version {
        /// Name of the group.
        group: String,
        /// What was found.
        source: VersionError,
    },
    /// An integration cannot work.
    #[error(transparent)]
    Integration(#[from] SettingsError),
    /// A file or address of the configuration.
    #[error("the configuration of alerts: {0}")]
    Configuration(String),
    /// A metric's name is taken.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// Another process evaluates the rules whose state lies there.
    #[error("another process evaluates the rules of {0}")]
    Taken(PathBuf),
    /// The file that says who evaluates them.
    #[error("cannot lock {file}: {source}")]
    Seat {
        /// The file.
        file: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

/// What all tasks share.
pub(crate) struct Shared {
    pub settings: RulerSettings,
    pub data: Arc<dyn Data>,
    pub clock: Arc<dyn Clock>,
    pub store: Store,
    pub outbox: Arc<Outbox>,
    pub integrations: Arc<Integrations>,
    pub metrics: RulerMetrics,
    pub amends: Amends,
    pub forward: Forwarder,
    pub recent: Arc<Recent>,
    /// Evaluations at the same time.
    pub turns: Semaphore,
    /// Wakes whoever tells people.
    pub poke: Notify,
    /// When this process began, milliseconds since the epoch.
    pub started_ms: i64,
    pub told: Mutex<Told>,
    /// It was said that what rules record cannot be kept.
    pub said_lost: AtomicBool,
    /// Alerts to explain.
    pub questions: contributions::Questions,
    groups: RwLock<Vec<GroupBook>>,
    notifier: Mutex<Notifier>,
    templates: RwLock<Arc<TemplateBook>>,
    /// Held for as long as the stores above are open, and let go after them.
    _seat: Seat,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    /// Looks at the group at `place`; `None` when there is none any more.
    pub fn with_group<T>(&self, place: usize, look: impl FnOnce(&mut GroupBook) -> T) -> Option<T> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner).get_mut(place).map(look)
    }

    /// Looks at all groups.
    pub fn with_groups<T>(&self, look: impl FnOnce(&[GroupBook]) -> T) -> T {
        look(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The notifier, for as long as the guard lives.
    pub fn notifier(&self) -> MutexGuard<'_, Notifier> {
        // A panic under the lock leaves a state that the next tick goes on from: refusing would page nobody.
        self.notifier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The templates.
    pub fn templates(&self) -> Arc<TemplateBook> {
        Arc::clone(&self.templates.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is evaluated and who is told.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Groups of rules.
    pub groups: Vec<Group>,
    /// Routes and receivers.
    pub config: Config,
    /// Templates of messages.
    pub templates: TemplateBook,
}

impl Definition {
    /// Rules without anybody to tell: alerts are evaluated, shown and written down.
    ///
    /// # Errors
    /// Never in fact: the configuration is fixed.
    pub fn untold(groups: Vec<Group>) -> Result<Self, String> {
        let config = Config::load("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
        Ok(Self { groups, config: config.map_err(|error| error.to_string())?, templates: TemplateBook::default() })
    }
}

/// Rules and routes, opened and not running.
#[derive(Debug)]
pub struct Ruler {
    pub(crate) shared: Arc<Shared>,
    worker: Worker,
    pub(crate) waiting: contributions::Waiting,
    attempts: tell::Attempts,
}

impl Ruler {
    /// Opens what the last process has left and lays the definition over it. Blocks.
    ///
    /// # Errors
    /// See [`RulerError`]. After [`RulerError::Taken`] nothing has been touched, and it may be tried again with the
    /// same registry.
    pub fn open(
        settings: RulerSettings,
        definition: Definition,
        outbox: OutboxSettings,
        data: Arc<dyn Data>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, RulerError> {
        let (by_name, remarks) = integrations::settings(&definition.config).map_err(RulerError::Configuration)?;
        remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
        let integrations = Arc::new(Integrations::new(&by_name)?);
        let seat = Seat::take(&settings.folder)?;
        let store = Store::open(&settings.folder.join(STATES))?;
        let outbox = Outbox::open(&settings.folder.join(OUTBOX), outbox, NotifyMetrics::register(registry)?)?;
        let outbox = Arc::new(outbox);
        let metrics = RulerMetrics::register(registry)?;
        let forward = Forwarder::new(&settings.forward, registry)?;
        let now_ms = clock.now_ms();
        let notifier = Notifier::new(definition.config, store.notifier_state()?, timestamp(now_ms));
        let (attempts, rows) = AttemptRows::new(metrics.attempts_dropped.clone());
        let worker_settings = WorkerSettings { seed: SEED, ..WorkerSettings::default() };
        let worker = Worker::new(
            Arc::clone(&outbox),
            Arc::clone(&integrations) as _,
            Arc::new(rows),
            Arc::clone(&clock),
            worker_settings,
        )?;
        let (waiting, questions) = contributions::Questions::new(metrics.explanations_dropped.clone());
        let lookback_ms = data.options().lookback_ms;
        let shared = Shared {
            amends: Amends::open(&store, registry, now_ms)?,
            recent: Arc::new(Recent::new(lookback_ms.saturating_mul(2))),
            turns: Semaphore::new(settings.concurrency_max.max(1)),
            poke: Notify::new(),
            started_ms: now_ms,
            told: Mutex::default(),
            said_lost: AtomicBool::new(false),
            questions,
            groups: RwLock::default(),
            notifier: Mutex::new(notifier),
            templates: RwLock::new(Arc::new(definition.templates)),
            settings,
            data,
            clock,
            store,
            outbox,
            integrations,
            metrics,
            forward,
            _seat: seat,
        };
        let states = shared.store.group_states()?;
        shared.lay_over(definition.groups, states)?;
        Ok(Self { shared: Arc::new(shared), worker, waiting, attempts })
    }

    /// Alertmanager's API, `/api/v1/rules`, `/api/v1/alerts`, explanations.
    pub fn routes(&self) -> Router {
        http::routes(Arc::clone(&self.shared))
    }

    /// The newest rows of the ledger, oldest first.
    pub fn ledger(&self) -> LedgerReader {
        LedgerReader(Arc::clone(&self.shared))
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts all tasks on the current runtime.
    pub fn start(self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(tell::run(Arc::clone(&self.shared), stopped.clone()));
        tasks.spawn(amend::run(Arc::clone(&self.shared), stopped.clone()));
        tasks.spawn(tell::write_attempts(Arc::clone(&self.shared), self.attempts));
        tasks.spawn(contributions::run(Arc::clone(&self.shared), self.waiting, stopped.clone()));
        self.shared.forward.start(&mut tasks, &self.shared.clock, &stopped);
        let worker = tokio::spawn(self.worker.run(stopped));
        let groups = GroupTasks::start(&self.shared);
        Running { shared: self.shared, stop, tasks, worker, groups }
    }
}

/// Reads the ledger.
#[derive(Debug, Clone)]
pub struct LedgerReader(Arc<Shared>);

impl LedgerReader {
    /// The newest rows, oldest first, at most `limit`. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn newest(&self, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.0.store.newest_rows(limit)
    }
}

/// The tasks of groups, which another definition replaces.
#[derive(Debug)]
struct GroupTasks {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl GroupTasks {
    fn start(shared: &Arc<Shared>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let count = shared.with_groups(<[GroupBook]>::len);
        for place in 0..count {
            tasks.spawn(evaluate::run(Arc::clone(shared), place, stopped.clone()));
        }
        Self { stop, tasks }
    }

    async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Rules and routes that run.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    worker: JoinHandle<Result<(), OutboxError>>,
    groups: GroupTasks,
}

impl Running {
    /// Goes on by another definition: alerts whose meaning has not changed go on, those of rules that are gone resolve.
    ///
    /// # Errors
    /// The new configuration cannot work: then everything stays as it is. Or the store's.
    pub async fn redefine(&mut self, definition: Definition) -> Result<(), RulerError> {
        let (by_name, remarks) = integrations::settings(&definition.config).map_err(RulerError::Configuration)?;
        self.shared.integrations.replace(&by_name)?;
        remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
        let idle = GroupTasks { stop: watch::channel(false).0, tasks: JoinSet::new() };
        std::mem::replace(&mut self.groups, idle).stop().await;
        let shared = Arc::clone(&self.shared);
        let laid = tokio::task::spawn_blocking(move || {
            let now = timestamp(shared.clock.now_ms());
            {
                let mut notifier = shared.notifier();
                *notifier = Notifier::new(definition.config, notifier.state.clone(), now);
            }
            *shared.templates.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(definition.templates);
            let states = shared.with_groups(|books| {
                books.iter().map(|book| (book.key.clone(), book.state.clone())).collect::<HashMap<_, _>>()
            });
            shared.lay_over(definition.groups, states)
        });
        laid.await.map_err(|error| RulerError::Configuration(error.to_string()))??;
        self.groups = GroupTasks::start(&self.shared);
        self.shared.poke.notify_one();
        Ok(())
    }

    /// Ends evaluations, then what is on its way to receivers.
    ///
    /// # Errors
    /// The outbox's. Nothing is lost: what was not delivered is sent after the next start.
    pub async fn stop(mut self) -> Result<(), RulerError> {
        self.groups.stop().await;
        let _ = self.stop.send(true);
        // What it has done is written down by a task that ends after it.
        let worker = self.worker.await;
        while self.tasks.join_next().await.is_some() {}
        worker.map_err(|error| RulerError::Configuration(error.to_string()))?.map_err(RulerError::from)
    }
}

impl Shared {
    /// Lays groups over the states that are known: each goes on where it was. What fired under rules that are gone
    /// is told to be over.
    fn lay_over(&self, groups: Vec<Group>, mut states: HashMap<String, GroupState>) -> Result<(), RulerError> {
        let now_ms = self.clock.now_ms();
        let mut books = Vec::with_capacity(groups.len());
        let mut gone: Vec<SavedRule> = Vec::new();
        let known: Vec<String> = states.keys().cloned().collect();
        for group in groups {
            let interval_ms = group.interval_ms.unwrap_or(self.settings.groups.interval_ms).max(1);
            let state = states.remove(&key_of(&group)).or_else(|| {
                // A file that was moved keeps its groups.
                let suffix = format!("\0{}", group.name);
                let moved = states.keys().find(|key| key.ends_with(&suffix))?.clone();
                states.remove(&moved)
            });
            let state = match state {
                Some(state) => {
                    let version = |source| RulerError::Version { group: group.name.to_string(), source };
                    let (state, dropped) = state.adopt(&group).map_err(version)?;
                    gone.extend(dropped);
                    self.resumed(&group, state, interval_ms, now_ms)
                }
                None => GroupState::new(&group),
            };
            books.push(GroupBook::new(Arc::new(group), state, interval_ms));
        }
        resolve_metrics(&mut books);
        gone.extend(states.into_values().flat_map(|state| state.rules));
        let over: Vec<Alert> = gone.iter().flat_map(|rule| self.over(rule, now_ms)).collect();
        let forwarded = self.forward.written(&over);
        let mut notifier = self.notifier();
        // A refused alert was refused when it began, too.
        let _ = notifier.receive(over, timestamp(now_ms));
        let kept: Vec<(String, &GroupState)> = books.iter().map(|book| (book.key.clone(), &book.state)).collect();
        let dropped_groups = known.into_iter().filter(|key| kept.iter().all(|(kept, _)| kept != key)).collect();
        self.store.write(&Change {
            groups: kept,
            dropped_groups,
            notifier: Some(&notifier.state),
            durable: true,
            ..Change::default()
        })?;
        drop(notifier);
        self.forward.push(&forwarded);
        *self.groups.write().unwrap_or_else(PoisonError::into_inner) = books;
        amend::adopt(self, now_ms)?;
        Ok(())
    }

    fn resumed(&self, group: &Group, mut state: GroupState, interval_ms: i64, now_ms: i64) -> GroupState {
        let Some(stopped_ms) = state.last_ms else { return state };
        for (rule, saved) in group.rules.iter().zip(&mut state.rules) {
            if let Rule::Alerting(rule) = rule {
                let options = self.settings.restore;
                saved.state = restore::resume(&saved.state, rule.for_ms, stopped_ms, now_ms, interval_ms, options);
                if self.forward.is_on() {
                    restore::send_again(&mut saved.state);
                }
            }
        }
        state
    }

    /// The firing alerts of a rule as resolved now.
    fn over(&self, rule: &SavedRule, now_ms: i64) -> Vec<Alert> {
        let firing = rule.state.active().filter(|(_, instance)| instance.life.phase == Phase::Firing);
        let alert = |labels| {
            let mut alert = Alert::firing(labels_of(labels), timestamp(now_ms));
            for (name, value) in &self.settings.groups.external_labels {
                alert.labels.0.entry(name.clone()).or_insert_with(|| value.clone());
            }
            alert
        };
        let over = |mut alert: Alert, since_ms: i64, annotations: &[(String, String)]| {
            alert.starts_at = timestamp(since_ms);
            alert.ends_at = Some(timestamp(now_ms));
            alert.annotations = annotations.iter().cloned().collect();
            alert
        };
        firing
            .map(|(_, instance)| {
                let since_ms = instance.life.fired_at_ms.unwrap_or(instance.life.active_at_ms);
                over(alert(&instance.labels), since_ms, &instance.annotations)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
