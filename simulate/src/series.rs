//! What happens again and again on schedule: probes, samples, synchronisation, reports.

use crate::automation::report_day;
use crate::flow::{Flow, Lane, Scene};
use crate::health::{
    BACKUPS, DATABASES, HOSTS, QUERIES, QUEUES, RESOURCES, SERVICES, back_up, check_service, observe_query,
    sample_database, sample_queue, sample_resource,
};
use crate::inventory::synchronise_shop;
use crate::population::{Population, ShopIndex};
use crate::random::{Entity, Random, Stream};
use crate::shops::{SyncKind, refresh_token, sample_rate_limit, synchronise};
use crate::world::World;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// What is repeated, and about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    CheckService(usize),
    SampleResource(usize),
    SampleQueue(usize),
    SampleDatabase(usize),
    ObserveQuery(usize),
    BackUp(usize),
    SampleRateLimit(ShopIndex),
    FetchOrders(ShopIndex),
    FetchProducts(ShopIndex),
    SynchroniseStock(ShopIndex),
    RefreshToken(ShopIndex),
    ReportDay(usize),
}

/// Families of tasks that are slowed down together when few events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulse {
    Probe,
    Sync,
    /// So rare that they never are too many.
    Rare,
}

impl Task {
    /// All tasks, in an order that never changes for a given population.
    fn all(population: &Population) -> impl Iterator<Item = Self> {
        let shops = || (0..population.shops.len()).map(ShopIndex);
        (0..SERVICES.len())
            .map(Self::CheckService)
            .chain((0..HOSTS.len() * RESOURCES.len()).map(Self::SampleResource))
            .chain((0..QUEUES.len()).map(Self::SampleQueue))
            .chain((0..DATABASES.len()).map(Self::SampleDatabase))
            .chain((0..QUERIES.len()).map(Self::ObserveQuery))
            .chain((0..BACKUPS.len()).map(Self::BackUp))
            .chain(shops().map(Self::SampleRateLimit))
            .chain(shops().map(Self::FetchOrders))
            .chain(shops().map(Self::FetchProducts))
            .chain(shops().map(Self::SynchroniseStock))
            .chain(shops().map(Self::RefreshToken))
            .chain((0..population.creators.len()).map(Self::ReportDay))
    }

    /// Family, and time between two when events are plenty.
    fn rhythm(self) -> (Pulse, i64) {
        match self {
            Self::CheckService(_) => (Pulse::Probe, 10 * SECOND_US),
            Self::SampleResource(_) => (Pulse::Probe, 30 * SECOND_US),
            Self::SampleQueue(_) => (Pulse::Probe, 15 * SECOND_US),
            Self::SampleDatabase(_) => (Pulse::Probe, 30 * SECOND_US),
            Self::ObserveQuery(_) => (Pulse::Probe, MINUTE_US),
            Self::SampleRateLimit(_) => (Pulse::Probe, 5 * MINUTE_US),
            Self::FetchOrders(_) => (Pulse::Sync, 4 * MINUTE_US),
            Self::FetchProducts(_) => (Pulse::Sync, 14 * MINUTE_US),
            Self::SynchroniseStock(_) => (Pulse::Sync, 15 * MINUTE_US),
            Self::BackUp(number) => (Pulse::Rare, BACKUPS[number].1 * HOUR_US),
            Self::RefreshToken(_) => (Pulse::Rare, 20 * HOUR_US),
            Self::ReportDay(_) => (Pulse::Rare, DAY_US),
        }
    }

    fn perform(self, tick: &mut Tick<'_>, scene: &mut Scene<'_>) {
        match self {
            Self::CheckService(number) => check_service(tick, scene, number),
            Self::SampleResource(number) => sample_resource(tick, scene, number),
            Self::SampleQueue(number) => sample_queue(tick, scene, number),
            Self::SampleDatabase(number) => sample_database(tick, scene, number),
            Self::ObserveQuery(number) => observe_query(tick, scene, number),
            Self::BackUp(number) => back_up(tick, scene, number),
            Self::SampleRateLimit(shop) => sample_rate_limit(tick, scene, shop),
            Self::FetchOrders(shop) => synchronise(tick, scene, shop, SyncKind::Orders),
            Self::FetchProducts(shop) => synchronise(tick, scene, shop, SyncKind::Products),
            Self::SynchroniseStock(shop) => synchronise_shop(tick, scene, shop),
            Self::RefreshToken(shop) => refresh_token(tick, scene, shop),
            Self::ReportDay(creator) => report_day(tick, scene, creator),
        }
    }
}

/// Events per second of a family, when none of it is slowed down.
pub(crate) fn natural_rate(population: &Population, pulse: Pulse) -> f64 {
    let rates = Task::all(population).map(Task::rhythm).filter(|(family, _)| *family == pulse);
    rates.map(|(_, interval_us)| 1e6 / interval_us as f64).sum()
}

/// One occasion of a task.
#[derive(Debug)]
pub(crate) struct Tick<'a> {
    /// Different for every occasion.
    pub entity: Entity,
    pub random: &'a mut Random,
    pub lane: &'a mut Lane,
}

/// A task and its occasions.
#[derive(Debug)]
pub(crate) struct Series {
    task: Task,
    /// Among all tasks.
    number: usize,
    ticks: u32,
    interval_us: i64,
    random: Random,
    lane: Lane,
}

impl Series {
    /// All series, each with the time of its first occasion.
    pub fn all(world: &World) -> impl Iterator<Item = (i64, Self)> {
        Task::all(&world.population).enumerate().map(|(number, task)| Self::new(world, number, task))
    }

    fn new(world: &World, number: usize, task: Task) -> (i64, Self) {
        let (pulse, natural_us) = task.rhythm();
        let stretch = match pulse {
            Pulse::Probe => world.rates.probe_stretch,
            Pulse::Sync => world.rates.sync_stretch,
            Pulse::Rare => 1.0,
        };
        let interval_us = (natural_us as f64 * stretch).round() as i64;
        let entity = Entity::member(Stream::Probes, number, 0);
        let mut random = Random::of(world.seed, entity);
        // Reports come shortly after midnight, everything else at a moment of its own.
        let first_us = if matches!(task, Task::ReportDay(_)) {
            (world.start_us.div_euclid(DAY_US) + 1) * DAY_US + random.between(1, 120) * SECOND_US
        } else {
            world.start_us + random.between(1, interval_us)
        };
        (first_us, Self { task, number, ticks: 0, interval_us, random, lane: Lane::new(world.seed, entity) })
    }
}

impl Flow for Series {
    fn step(&mut self, scene: &mut Scene<'_>) -> Option<i64> {
        self.ticks += 1;
        let entity = Entity::member(Stream::Probes, self.number, self.ticks);
        let mut tick = Tick { entity, random: &mut self.random, lane: &mut self.lane };
        self.task.perform(&mut tick, scene);
        Some(scene.now_us + self.interval_us)
    }
}
