//! The life of an order: which step follows which, and after how long.
//!
//! The simulated warehouse and roads are fast, so that a run of minutes shows whole lives: an order is
//! delivered some four minutes after it was placed.

use crate::random::Random;

/// Steps of a life; each is one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Pay,
    FailPayment,
    Confirm,
    StartProcessing,
    Process,
    FailProcessing,
    RaiseException,
    HoldAsException,
    ResumeProcessing,
    MakeReady,
    Ship,
    Deliver,
    Complete,
    Return,
    Cancel,
    Refund,
}

/// Events of an average life, for turning a rate of events into a rate of orders.
pub(crate) const EVENTS_PER_ORDER: f64 = 8.95;

impl Step {
    /// The step after this one; none at the end of the life.
    pub fn next(self, is_paid: bool, random: &mut Random) -> Option<Self> {
        let likely = |random: &mut Random, share, usual, other| if random.chance(share) { other } else { usual };
        match self {
            Self::Create => Some(likely(random, 0.02, Self::Pay, Self::FailPayment)),
            Self::Pay => Some(likely(random, 0.015, Self::Confirm, Self::Cancel)),
            Self::FailPayment => Some(Self::Cancel),
            Self::Confirm => Some(Self::StartProcessing),
            Self::StartProcessing => Some(likely(random, 0.03, Self::Process, Self::FailProcessing)),
            Self::FailProcessing => Some(Self::RaiseException),
            Self::RaiseException => Some(Self::HoldAsException),
            Self::HoldAsException => Some(Self::ResumeProcessing),
            Self::ResumeProcessing => Some(Self::Process),
            Self::Process => Some(Self::MakeReady),
            Self::MakeReady => Some(Self::Ship),
            Self::Ship => Some(Self::Deliver),
            Self::Deliver => Some(likely(random, 0.03, Self::Complete, Self::Return)),
            Self::Cancel => is_paid.then_some(Self::Refund),
            Self::Return => Some(Self::Refund),
            Self::Complete | Self::Refund => None,
        }
    }

    /// Time between the step before and this one, in microseconds.
    pub fn gap_us(self, random: &mut Random) -> i64 {
        let (median_s, sigma) = match self {
            Self::Create => (0.0, 0.0),
            Self::Pay | Self::FailPayment => (2.5, 0.8),
            Self::Confirm => (1.5, 0.5),
            Self::StartProcessing => (2.0, 0.6),
            Self::Process | Self::FailProcessing => (12.0, 0.6),
            Self::RaiseException => (0.2, 0.4),
            Self::HoldAsException => (0.1, 0.4),
            Self::ResumeProcessing => (40.0, 0.7),
            Self::MakeReady => (15.0, 0.5),
            Self::Ship => (50.0, 0.5),
            Self::Deliver => (120.0, 0.4),
            Self::Complete | Self::Return => (40.0, 0.4),
            Self::Cancel => (8.0, 0.7),
            Self::Refund => (5.0, 0.6),
        };
        (random.log_normal(median_s, sigma) * 1e6) as i64
    }

    pub fn event_type(self) -> &'static str {
        match self {
            Self::Create => "orders.order.created.v1",
            Self::Pay | Self::FailPayment | Self::Refund => "orders.order.payment_changed.v1",
            Self::Process | Self::FailProcessing => "orders.order.processed.v1",
            Self::RaiseException => "orders.order.exception_raised.v1",
            _ => "orders.order.status_changed.v1",
        }
    }

    /// Order status and fulfillment stage after a step that changes the status.
    pub fn status_and_stage(self) -> Option<(&'static str, Option<&'static str>)> {
        match self {
            Self::Confirm => Some(("confirmed", Some("validated"))),
            Self::StartProcessing => Some(("processing", Some("allocated"))),
            Self::HoldAsException => Some(("exception", None)),
            Self::ResumeProcessing => Some(("processing", None)),
            Self::MakeReady => Some(("ready_to_ship", Some("ready_to_ship"))),
            Self::Ship => Some(("shipped", Some("handed_over"))),
            Self::Deliver => Some(("delivered", Some("delivered"))),
            Self::Complete => Some(("completed", None)),
            Self::Return => Some(("returned", Some("returned"))),
            Self::Cancel => Some(("cancelled", None)),
            _ => None,
        }
    }
}
