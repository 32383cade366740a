//! What tests and benches of the detectors share.

pub mod baselines;
pub mod counts;
pub mod nab;
