//! The life of an order: which step follows which, and after how long.
//!
//! People and machines take seconds and minutes; warehouses, roads and suppliers take parts of a day,
//! which may be a short one (`World::day_us`).

use super::Order;
use crate::random::Random;
use crate::world::World;

/// Steps of a life. Each is one moment, in which one or more events happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The shop platform announces the order by a webhook.
    Announce,
    Create,
    Pay,
    FailPayment,
    Confirm,
    StartProcessing,
    Process,
    FailProcessing,
    /// Something is in the way.
    Stop,
    /// Look whether it still is.
    Recheck,
    MakeReady,
    AskRates,
    BuyLabel,
    PickUp,
    Move,
    /// The carrier is on its last way.
    SetOut,
    Deliver,
    ReturnToSender,
    Lose,
    Claim,
    RefundPart,
    Complete,
    Return,
    Dispute,
    Cancel,
    Refund,
}

/// Events of an average life, over all topics, for turning a rate of events into a rate of orders.
pub(crate) const EVENTS_PER_ORDER: f64 = 24.9;

/// Time between the step before and this one, in microseconds.
pub(super) fn gap_us(step: Step, order: &mut Order, world: &World) -> i64 {
    let promised_days = order.parcel.as_ref().map_or(3.0, |parcel| parcel.quote.days as f64);
    let random = &mut order.random;
    let seconds = |random: &mut Random, median_s, sigma| (random.log_normal(median_s, sigma) * 1e6) as i64;
    let days = |random: &mut Random, median, sigma| world.days_us(random.log_normal(median, sigma));
    let gap_us = match step {
        Step::Announce => 0,
        Step::Create => seconds(random, 0.7, 0.4),
        Step::Pay | Step::FailPayment => seconds(random, 2.5, 0.8),
        Step::Confirm => seconds(random, 1.5, 0.5),
        Step::StartProcessing => seconds(random, 2.0, 0.6),
        Step::Process | Step::FailProcessing => seconds(random, 12.0, 0.6),
        Step::Stop => seconds(random, 0.2, 0.4),
        // Stock comes when it comes; other things wait for a person.
        Step::Recheck if order.is_short => days(random, 0.4, 0.5),
        Step::Recheck => seconds(random, 40.0, 0.7),
        Step::MakeReady => days(random, 0.12, 0.6),
        Step::AskRates => seconds(random, 1.6, 0.5),
        Step::BuyLabel => seconds(random, 6.5, 0.4),
        Step::PickUp => days(random, 0.3, 0.5),
        // Two moves and the last way take somewhat less than was promised.
        Step::Move | Step::SetOut => days(random, 0.27 * promised_days, 0.35),
        Step::Deliver => days(random, 0.2, 0.4),
        Step::Lose => days(random, 2.0, 0.3),
        Step::ReturnToSender => days(random, 1.5, 0.4),
        Step::Claim | Step::Complete | Step::Return | Step::Dispute => days(random, 0.7, 0.5),
        Step::RefundPart | Step::Refund => seconds(random, 5.0, 0.6),
        Step::Cancel => seconds(random, 8.0, 0.7),
    };
    gap_us.max(1000)
}

/// What usually comes next, or now and then something else.
pub(super) fn usually(usual: Step, share: f64, other: Step, random: &mut Random) -> Step {
    if random.chance(share) { other } else { usual }
}
