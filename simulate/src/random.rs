//! Randomness that is a function of the seed alone.
//!
//! Every simulated thing draws from a generator of its own, made from (seed, stream, number). So a
//! scenario that adds or changes some things leaves all the others as they were, and the events of two
//! scenarios with one seed can be compared one by one.
//!
//! Logarithms and exponentials come from `libm`: the standard library's may differ in the last bit from
//! platform to platform, and then the same seed would not give the same bytes everywhere.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;
use std::f64::consts::TAU;

/// Families of simulated things. The number is part of every id, so it must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stream {
    Population = 1,
    Orders = 2,
    OrderStarts = 3,
    ViralOrders = 4,
    ViralStarts = 5,
    ApiCalls = 6,
    ApiStarts = 7,
    Webhooks = 8,
    WebhookStarts = 9,
    BadInput = 10,
    BadStarts = 11,
    Copies = 12,
    Products = 13,
    Restocks = 14,
    StockSyncs = 15,
    Adjustments = 16,
    AdjustmentStarts = 17,
    Quotes = 18,
    Shipments = 19,
    Claims = 20,
    AutomationRuns = 21,
    Actions = 22,
    RuleChanges = 23,
    RuleChangeStarts = 24,
    Rules = 25,
    Features = 26,
    OrderWebhooks = 27,
    Connections = 28,
    Tokens = 29,
    Probes = 31,
    Dependencies = 33,
    Failovers = 34,
    Reports = 35,
    Oversells = 37,
    Openings = 38,
}

/// Identity of one simulated thing: its family and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entity {
    pub stream: Stream,
    pub number: u64,
}

impl Entity {
    /// Something that belongs to this entity and to no other. Exact for fewer than 2^40 entities in a
    /// stream, of which none belongs to another itself.
    pub fn child(self, stream: Stream) -> Self {
        Self { stream, number: (self.stream as u64) << 40 | (self.number & 0xff_ffff_ffff) }
    }

    /// The entity of the same number in another stream.
    pub fn stream_of(self, stream: Stream) -> Self {
        Self { stream, ..self }
    }

    /// The `member`-th of the things of a stream that have members, such as the events of a product.
    /// Exact for fewer than 2^24 members and groups.
    pub fn member(stream: Stream, group: usize, member: u32) -> Self {
        Self { stream, number: (group as u64 & 0xff_ffff) << 24 | u64::from(member & 0xff_ffff) }
    }

    /// A number that no other (entity, step) has, for fewer than 2^48 entities in a stream.
    pub fn code(self, step: u8) -> u64 {
        (self.stream as u64) << 56 | (self.number & 0xffff_ffff_ffff) << 8 | u64::from(step)
    }
}

/// A bijection of 64-bit numbers that scatters neighbours (the finaliser of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let a = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

/// The draws of one simulated thing.
#[derive(Debug, Clone)]
pub(crate) struct Random(Pcg64Mcg);

impl Random {
    pub fn of(seed: u64, entity: Entity) -> Self {
        let low = mix(seed.wrapping_add(mix(entity.code(0))));
        let high = mix(low ^ 0x9e37_79b9_7f4a_7c15);
        Self(Pcg64Mcg::new(u128::from(high) << 64 | u128::from(low)))
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..bound`; 0 for a bound of 0. The bias of about bound / 2^64 does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform between both bounds, inclusive.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(0) as u64) as i64
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One of the values of `table`, by the weight beside it.
    pub fn weighted<T: Copy>(&mut self, table: &[(T, u32)]) -> T {
        let total: u32 = table.iter().map(|(_, weight)| weight).sum();
        let mut left = self.below(u64::from(total)) as u32;
        for (value, weight) in table {
            if left < *weight {
                return *value;
            }
            left -= weight;
        }
        table[table.len() - 1].0
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Log-normal by its median; `sigma` is the standard deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let normal = radius * libm::cos(TAU * self.unit());
        median * libm::exp(sigma * normal)
    }
}

/// Choice among many things of unequal weight, in the logarithm of their number.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    /// Running sums, scaled so that the last is 1.
    cumulative: Vec<f64>,
}

impl Weights {
    /// The i-th of `count` things weighs 1 / (i + 1): a few are large and most are small.
    pub fn heavy_tailed(count: usize) -> Self {
        let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
        let running = (1..=count).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64 / total;
            Some(*sum)
        });
        Self { cumulative: running.collect() }
    }

    pub fn pick(&self, random: &mut Random) -> usize {
        let unit = random.unit();
        self.cumulative.partition_point(|sum| *sum <= unit).min(self.cumulative.len() - 1)
    }

    /// Share of the whole that the thing at `index` has.
    pub fn share(&self, index: usize) -> f64 {
        let before = if index == 0 { 0.0 } else { self.cumulative[index - 1] };
        self.cumulative[index] - before
    }
}
