//! One simulated life: steps drawn by a seed, and what must be true after them.

use crate::clock::{Chance, FakeClock};
use crate::events::{Events, Offsets, TABLES, catalog};
use crate::member::{At, FLUSH_US, Member};
use crate::store::{FailingStore, Op, Trouble};
use crate::tables::{Holding, Rows, assert_same};
use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::life_cycle::LifeLimits;
use tidewatch_engine::live::Piece;
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use tidewatch_ingest::committer::Answer;
use tidewatch_ingest::late::LATE_EVENTS;
use tidewatch_ingest::maintenance::{Maintenance, MaintenanceMetrics, MaintenanceSettings};
use tidewatch_ingest::source::SourceEvent;
use tidewatch_ingest::worker::View;
use xxhash_rust::xxh3::xxh3_64;

/// Steps of a life: so many, and up to so many more.
const STEPS: usize = 25;
const STEPS_MORE: usize = 50;
/// Workers at the same time. They may all believe to own the same partitions.
const MEMBERS_MAX: usize = 3;
/// Users of the store that maintain its tables; workers have greater numbers.
const KEEPERS: usize = 2;
/// Older than any file: by the wall clock, as vacuum takes it, all of them are.
const NO_VACUUM: Duration = Duration::from_secs(100 * 366 * 86_400);

/// What has happened, a line each. The same seed has the same story.
#[derive(Debug, Clone, Default)]
pub struct Story(Arc<Mutex<Vec<String>>>);

impl Story {
    fn tell(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A process that maintains tables: idle, or in the middle of its work while a write of it is slow.
struct Keeper {
    files: FailingStore,
    idle: Option<Maintenance>,
    work: Option<BoxFuture<'static, (Maintenance, String)>>,
}

/// See the module page.
pub struct World {
    chance: Chance,
    story: Story,
    clock: Arc<FakeClock>,
    files: FailingStore,
    events: Arc<Events>,
    members: Vec<Member>,
    /// Users of the store so far.
    born: usize,
    keepers: [Keeper; KEEPERS],
    /// In how many of a hundred steps something goes wrong.
    storms: usize,
}

impl World {
    pub fn new(seed: u64, story: Story) -> Self {
        let (mut chance, clock) = (Chance::new(seed), Arc::new(FakeClock::new()));
        let (files, events) = (FailingStore::new(Arc::clone(&clock)), Arc::new(Events::draw(&mut chance)));
        let keepers = [1, 2].map(|who| Keeper { files: files.of(who), idle: None, work: None });
        let storms = chance.pick(&[0, 15, 50]);
        Self { chance, story, clock, files, events, members: Vec::new(), born: KEEPERS, keepers, storms }
    }

    /// Lives to the end of all events.
    pub async fn live(mut self) {
        for _ in 0..STEPS + self.chance.below(STEPS_MORE) {
            self.step().await;
        }
        self.end().await;
    }

    async fn step(&mut self) {
        self.settle_writes(false).await;
        self.brew();
        match self.chance.below(100) {
            _ if self.members.is_empty() => self.start(None).await,
            0..40 => self.deliver().await,
            40..65 => self.commit().await,
            65..70 => self.wait().await,
            70..75 => self.start(None).await,
            75..79 => self.kill().await,
            79..84 => self.rebalance().await,
            84..93 => self.maintain().await,
            93..96 => self.look().await,
            96..98 => self.vacuum().await,
            _ => self.check().await,
        }
        self.files.disarm();
    }

    /// Arms what goes wrong in this step.
    fn brew(&mut self) {
        while self.chance.below(100) < self.storms {
            let table = if self.chance.one_in(8) { LATE_EVENTS } else { self.chance.pick(&TABLES) };
            let op =
                self.chance.pick(&[Op::Log, Op::Log, Op::Log, Op::Data, Op::Checkpoint, Op::Get, Op::List, Op::Delete]);
            let trouble = match op {
                Op::Log | Op::Data | Op::Checkpoint => {
                    self.chance.pick(&[Trouble::Before, Trouble::After, Trouble::Again, Trouble::Late])
                }
                Op::Get | Op::List | Op::Delete => self.chance.pick(&[Trouble::Before, Trouble::After]),
            };
            self.tell(format!("  {trouble:?} {op:?} {table}"));
            self.files.arm(table, op, trouble);
        }
    }

    /// A commit to some table becomes slow, perhaps.
    fn slow_down(&mut self) {
        if self.chance.one_in(4) {
            let table = self.chance.pick(&TABLES);
            self.tell(format!("  Slow Log {table}"));
            self.files.arm(table, Op::Log, Trouble::Slow);
        }
    }

    /// Writes that are under way happen or are lost: all of them, or some.
    async fn settle_writes(&mut self, all: bool) {
        for (id, write) in self.files.pending() {
            let fate = self.chance.below(if all { 3 } else { 6 });
            if fate == 0 {
                self.files.lose(id);
                self.tell(format!("{write} is lost"));
            } else if fate < 3 {
                let has_landed = self.files.land(id).await;
                self.tell(format!("{write} {}", if has_landed { "lands" } else { "comes too late" }));
            }
        }
    }

    /// A worker starts, with some partitions or with these.
    async fn start(&mut self, partitions: Option<Vec<usize>>) {
        if self.members.len() == MEMBERS_MAX {
            return;
        }
        self.born += 1;
        let who = self.born;
        let all: Vec<usize> = (0..self.events.partitions.len()).collect();
        let partitions = partitions.unwrap_or_else(|| self.chance.some(&all));
        match Member::start(who, &self.files, Arc::clone(&self.events), Arc::clone(&self.clock)).await {
            Ok(member) => {
                self.tell(format!("{who} starts with {partitions:?}"));
                self.members.push(member);
                self.assign(self.members.len() - 1, &partitions).await;
            }
            Err(_) => self.tell(format!("{who} cannot start")),
        }
    }

    async fn assign(&mut self, index: usize, partitions: &[usize]) {
        let names = self.names_of(partitions);
        let member = &mut self.members[index];
        member.owns.extend(partitions);
        member.tell(SourceEvent::Assigned(names)).await;
    }

    /// Some worker gets records.
    async fn deliver(&mut self) {
        let index = self.chance.below(self.members.len());
        let owned: Vec<usize> = self.members[index].owns.iter().copied().collect();
        let count = 1 + self.chance.below(15);
        if owned.is_empty() || self.members[index].at != At::Poll {
            return self.commit_of(index).await;
        }
        let partition = self.chance.pick(&owned);
        self.tell(format!("{} gets {count} of {partition}", self.members[index].who));
        self.members[index].give(partition, count).await;
    }

    /// A flush of some worker becomes due, and its committer goes on.
    async fn commit(&mut self) {
        let index = self.chance.below(self.members.len());
        if !self.members[index].asks() && self.members[index].at == At::Poll {
            self.clock.advance(FLUSH_US);
            self.members[index].give(0, 0).await;
        }
        self.slow_down();
        // In between the steps of others may come first.
        if self.chance.below(4) > 0 {
            self.commit_of(index).await;
        }
    }

    async fn commit_of(&mut self, index: usize) {
        let member = &mut self.members[index];
        if !member.asks() {
            return;
        }
        let answer = member.commit().await;
        let said = match &answer {
            None => "waits for a slow write".to_owned(),
            Some(Answer::Committed) => "has committed".to_owned(),
            Some(Answer::MustReplay) => "must replay".to_owned(),
            Some(Answer::Positions(positions)) => {
                let starts: Vec<String> = positions.starts().iter().map(|(p, at)| format!("{p}: {at}")).collect();
                format!("stands at {starts:?}")
            }
            Some(Answer::Refused(reason)) => panic!("{} is refused: {reason}", member.who),
        };
        self.story.tell(format!("{} {said}", member.who));
        if let Some(answer) = answer {
            member.hand(answer).await;
        }
        assert_ne!(member.at, At::End, "{} has stopped", member.who);
    }

    /// Time passes: seconds, minutes or hours. No write is under way for long.
    async fn wait(&mut self) {
        let by_us = match self.chance.below(10) {
            0..5 => self.chance.below(15) as i64 * SECOND_US,
            5..9 => self.chance.below(40) as i64 * MINUTE_US,
            _ => self.chance.below(10) as i64 * HOUR_US,
        };
        if by_us >= MINUTE_US {
            self.settle_writes(true).await;
        }
        self.tell(format!("{} s pass", by_us / SECOND_US));
        self.clock.advance(by_us);
    }

    async fn kill(&mut self) {
        let member = self.members.swap_remove(self.chance.below(self.members.len()));
        self.tell(format!("{} dies", member.who));
        member.kill();
        if self.chance.one_in(2) {
            self.check().await;
        }
    }

    /// Partitions come, go, or are gone already.
    async fn rebalance(&mut self) {
        let index = self.chance.below(self.members.len());
        if self.members[index].at != At::Poll {
            return self.commit_of(index).await;
        }
        let (who, owned) = (self.members[index].who, self.members[index].owns.clone());
        let (mine, others): (Vec<usize>, Vec<usize>) =
            (0..self.events.partitions.len()).partition(|partition| owned.contains(partition));
        let kind = self.chance.below(3);
        if mine.is_empty() || (kind == 0 && !others.is_empty()) {
            let partitions = self.chance.some(&others);
            self.tell(format!("{who} is given {partitions:?}"));
            return self.assign(index, &partitions).await;
        }
        let partitions = self.chance.some(&mine);
        let names = self.names_of(&partitions);
        self.tell(format!("{who} {} {partitions:?}", if kind == 1 { "gives back" } else { "has lost" }));
        let member = &mut self.members[index];
        member.owns.retain(|partition| !partitions.contains(partition));
        let event = if kind == 1 { SourceEvent::Revoked(names) } else { SourceEvent::Lost(names) };
        member.tell(event).await;
    }

    /// One of those that maintain the tables begins or goes on.
    async fn maintain(&mut self) {
        let index = self.chance.below(KEEPERS);
        let (dies, table) = (self.chance.one_in(10), self.chance.pick(&TABLES));
        let table = (!self.chance.one_in(3)).then_some(table);
        if dies {
            self.tell(format!("keeper {index} dies"));
            (self.keepers[index].idle, self.keepers[index].work) = (None, None);
        }
        self.slow_down();
        self.keep(index, table).await;
    }

    /// Maintains a table, or all of them, until it is done or a write is slow.
    async fn keep(&mut self, index: usize, table: Option<&'static str>) {
        let keeper = &mut self.keepers[index];
        let work = match keeper.work.take() {
            Some(work) => work,
            None => {
                let idle = keeper.idle.take();
                let maintenance = idle.unwrap_or_else(|| maintenance(&keeper.files, &self.clock, NO_VACUUM));
                maintain(maintenance, table).boxed()
            }
        };
        let work = keeper.work.insert(work);
        let done = poll_fn(|context| match work.poll_unpin(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if keeper.files.waits_for() > 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let done = done.await;
        let said = match done {
            None => "waits for a slow write".to_owned(),
            Some((maintenance, done)) => {
                (keeper.idle, keeper.work) = (Some(maintenance), None);
                done
            }
        };
        self.tell(format!("keeper {index} {said}"));
    }

    /// Deletes what no table needs, at a moment when nobody is about to need it: its grace is time of the wall.
    async fn vacuum(&mut self) {
        self.files.disarm();
        self.settle_writes(true).await;
        for index in 0..self.members.len() {
            if self.members[index].asks() {
                self.commit_of(index).await;
            }
        }
        for index in 0..KEEPERS {
            if self.keepers[index].work.is_some() {
                self.keep(index, None).await;
            }
        }
        assert!(self.files.pending().is_empty());
        self.tell("vacuum".to_owned());
        // What was removed in this very millisecond is not old enough.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let (_, done) = maintain(maintenance(&self.files, &self.clock, Duration::ZERO), None).await;
        assert!(done.starts_with("finished"), "{done}");
    }

    /// What is committed and what some worker has in memory are together every event up to where it stands, once.
    async fn look(&mut self) {
        let index = self.chance.below(self.members.len());
        if self.members[index].at != At::Poll {
            return self.commit_of(index).await;
        }
        let view = self.members[index].view(&self.clock).await;
        let who = self.members[index].who;
        self.tell(format!("{who} shows {:?}", view.progress.positions));
        self.files.disarm();
        for table in TABLES {
            self.compare(table, Some(&view)).await;
        }
    }

    /// Every table holds what it says that it has counted.
    async fn check(&mut self) {
        self.files.disarm();
        for table in TABLES {
            if let Some((at, rows)) = self.compare(table, None).await {
                let at: Vec<i64> = at.into_values().collect();
                self.tell(format!("{table} is right at {at:?}: {:x}", xxh3_64(format!("{rows:?}").as_bytes())));
            }
        }
    }

    /// Compares a table, with what a worker adds to it, with the events up to there; `None` when there is no table yet
    /// or the worker stands elsewhere.
    async fn compare(&self, name: &str, view: Option<&View>) -> Option<(Offsets, Rows)> {
        let mut table = self.files.tables().table(name).await.unwrap()?;
        let reads = |p: &TopicPartition| !["takings", "buyers"].contains(&name) || &*p.topic == "sales";
        let partitions: Vec<TopicPartition> = self.events.names().into_iter().filter(reads).collect();
        let mut at = table.positions(&partitions).await.unwrap();
        let mut holding = Holding::of(&mut table).await;
        for piece in view.into_iter().flat_map(|view| &view.pieces) {
            if !piece.is_missing_from(name, &at) {
                continue;
            }
            let ranges = piece.ranges(name).clone();
            if ranges.iter().any(|(partition, range)| at.get(partition) != Some(&range.from)) {
                return None;
            }
            piece.batch(name).iter().for_each(|rows| holding.add(rows, 0, false));
            at.extend(ranges.into_iter().map(|(partition, range)| (partition, range.to)));
        }
        let expected = self.events.expected(name, &holding.widths, &at);
        let rows = holding.rows();
        assert_same(&format!("{name} at {at:?}"), &rows, &expected);
        Some((at, rows))
    }

    /// Everybody dies; one worker counts what is left, and the tables are tidied up.
    async fn end(&mut self) {
        self.tell("the end".to_owned());
        while !self.members.is_empty() {
            self.kill().await;
        }
        self.keepers.iter_mut().for_each(|keeper| (keeper.idle, keeper.work) = (None, None));
        self.settle_writes(true).await;
        let all: Vec<usize> = (0..self.events.partitions.len()).collect();
        self.start(Some(all.clone())).await;
        for partition in all {
            self.commit_of(0).await;
            self.members[0].give(partition, usize::MAX).await;
        }
        while self.members[0].asks() {
            self.commit_of(0).await;
        }
        self.members[0].stop().await;
        let mut last = self.members.remove(0);
        while last.at != At::End {
            let answer = last.commit().await.unwrap();
            last.hand(answer).await;
        }
        last.join().unwrap();
        self.check_all().await;
        self.clock.advance(3 * DAY_US);
        self.keep(0, None).await;
        self.vacuum().await;
        self.check_all().await;
        self.check_files().await;
    }

    /// Every table has counted every event.
    async fn check_all(&mut self) {
        self.check().await;
        let ends = self.events.ends();
        for name in TABLES {
            let (at, _) = self.compare(name, None).await.unwrap();
            assert!(
                at.iter().all(|(partition, end)| ends[partition] == *end),
                "{name} stands at {at:?}, not at {ends:?}"
            );
        }
    }

    /// The files that are there are those that the tables list.
    async fn check_files(&self) {
        let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (table, path) in self.files.objects().await {
            if !path.starts_with("_delta_log/") {
                there.entry(table).or_default().insert(path);
            }
        }
        let tables = self.files.tables();
        for name in tables.table_names().await.unwrap() {
            let table = tables.table(&name).await.unwrap().unwrap();
            let listed: BTreeSet<String> = table.files(None).unwrap().into_iter().map(|f| f.path).collect();
            assert_eq!(there.remove(&name).unwrap_or_default(), listed, "{name}");
        }
        assert!(there.is_empty(), "files of no table: {there:?}");
    }

    fn names_of(&self, partitions: &[usize]) -> Vec<TopicPartition> {
        partitions.iter().map(|&p| self.events.partitions[p].name.clone()).collect()
    }

    fn tell(&self, line: String) {
        self.story.tell(line);
    }
}

/// Maintenance that finds something to do early, so that a short life has all of it.
fn maintenance(files: &FailingStore, clock: &Arc<FakeClock>, file_grace: Duration) -> Maintenance {
    let limits = LifeLimits { fresh_files: 3, merge_files: 2, ..LifeLimits::default() };
    let settings = MaintenanceSettings { limits, checkpoint_commits: 5, file_grace, ..MaintenanceSettings::default() };
    let metrics = MaintenanceMetrics::register(&prometheus::Registry::new()).unwrap();
    Maintenance::new(files.tables(), Some(&catalog()), settings, metrics, Arc::clone(clock) as _)
}

/// Maintains a table, or all of them; gives the maintenance back, and what it has done.
async fn maintain(mut maintenance: Maintenance, table: Option<&'static str>) -> (Maintenance, String) {
    let mut done = Vec::new();
    let mut note = |one: &tidewatch_ingest::maintenance::Done| {
        if one.kind != "vacuum" {
            done.push(format!("{} {} {}: {}", one.table, one.kind, one.tier, one.files));
        }
    };
    let has_finished = match table {
        Some(table) => maintenance.maintain(table, &mut note).await.is_ok(),
        None => maintenance.pass(&mut note).await == tidewatch_ingest::maintenance::PassEnd::Finished,
    };
    (maintenance, format!("{} after {done:?}", if has_finished { "finished" } else { "failed" }))
}
