//! A simulated thing that tells of itself in one event after the other.

use crate::event::SimulatedEvent;
use crate::population::ShopIndex;
use crate::random::Random;
use crate::world::World;
use std::fmt;

/// An order, a call with its retries, a webhook with its attempts.
pub(crate) trait Flow: fmt::Debug + Send {
    /// When the next event happens, by a clock that is right. It never goes back.
    fn time_us(&self) -> i64;

    /// The shop concerned; none for what belongs to the platform.
    fn shop(&self) -> Option<ShopIndex>;

    /// The next event.
    fn emit(&mut self, world: &World) -> SimulatedEvent;

    /// Goes on to the event after the one emitted last; `false` if that was the last of all.
    fn advance(&mut self) -> bool;

    /// The flow's own randomness.
    fn random(&mut self) -> &mut Random;
}
