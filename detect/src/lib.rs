//! Detectors as pure functions.
mod bits;

pub mod baseline;
pub mod bursts;
pub mod spike;
pub mod tail;
pub mod zone;
