//! Scores on the Numenta Anomaly Benchmark's tweet volumes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test")]

#[path = "../benches/support/mod.rs"]
mod support;

use support::nab::{self, PROFILES, Series};
use support::baselines;
use tidewatch_detect::spike::{Detector, Settings, State};

#[test]
fn table() {}
