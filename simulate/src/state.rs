//! What changes while the platform runs: stock, connections, rules, and what is waiting.

use crate::automation::{Features, Rules};
use crate::flow::Lane;
use crate::inventory::Level;
use crate::random::{Entity, Random, Stream};
use crate::shipping::Carrier;
use crate::world::World;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(crate) struct State {
    /// By product.
    pub levels: Vec<Level>,
    /// By shop.
    pub shops: Vec<ShopState>,
    /// By creator.
    pub creators: Vec<CreatorState>,
    /// Carriers that others stand in for.
    pub switched_off: Vec<Carrier>,
    /// Webhooks received and not yet done with: when they came, and which.
    pub waiting_webhooks: BTreeSet<(i64, u64)>,
}

/// What has happened in a shop since it was last synchronised.
#[derive(Debug)]
pub(crate) struct ShopState {
    pub orders_created: i64,
    pub orders_updated: i64,
    /// When the newest of it happened.
    pub newest_change_us: Option<i64>,
    /// Events told of the connection so far.
    pub connection_sequence: u32,
    pub token_version: u32,
    pub token_expires_us: i64,
    /// Of what is told of connection and token.
    pub lane: Lane,
}

#[derive(Debug)]
pub(crate) struct CreatorState {
    pub rules: Rules,
    pub features: Features,
    /// Of what is told of them.
    pub lane: Lane,
}

impl State {
    pub fn new(world: &World) -> Self {
        let population = &world.population;
        let creators = (0..population.creators.len()).map(|creator| {
            let mut random = Random::of(world.seed, Entity::member(Stream::Rules, creator, 0));
            let lane = Lane::new(world.seed, Entity::member(Stream::Rules, creator, 0));
            CreatorState { rules: Rules::new(&mut random), features: Features::new(&mut random), lane }
        });
        Self {
            creators: creators.collect(),
            levels: (0..population.products.len()).map(|product| Level::new(world, product)).collect(),
            shops: (0..population.shops.len()).map(|shop| ShopState::new(world, shop)).collect(),
            switched_off: Vec::new(),
            waiting_webhooks: BTreeSet::new(),
        }
    }
}

impl ShopState {
    fn new(world: &World, shop: usize) -> Self {
        Self {
            orders_created: 0,
            orders_updated: 0,
            newest_change_us: None,
            connection_sequence: 0,
            token_version: 0,
            token_expires_us: world.start_us,
            lane: Lane::new(world.seed, Entity::member(Stream::Connections, shop, 0)),
        }
    }
}
