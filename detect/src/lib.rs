//! Detectors as pure functions.
mod bits;

pub mod baseline;
pub mod bursts;
pub mod calendar;
pub mod explain;
pub mod gaps;
pub mod silence;
pub mod spike;
pub mod tail;
pub mod zone;
