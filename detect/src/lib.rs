//! Detectors as pure functions: no clock, no input or output. The same counts give the same verdicts, bit for bit.
//!
//! ```text
//! stored windows ─▶ baseline ─▶ spike: opened, open, ended      what is far more than usual
//!  (start, count)       └─────▶ silence: silent since, expected   what is not there
//! label values before and now ─▶ explain                          what moved a number
//! values ─▶ trend, forecast, outlier                              where it goes
//! ```
//!
//! | to | read |
//! |---|---|
//! | know what is usual: rhythm of the week, level, overdispersion | [`baseline`] |
//! | tell viral spikes, with start, peak, end, lift and excess | [`spike`], and [`bursts`] for what a key does every week |
//! | tell silence of a source, with opening hours and holidays | [`silence`], [`calendar`], [`gaps`] |
//! | say which label values moved a sum, a ratio or a percentile | [`explain`] |
//! | draw lines through values | [`trend`], [`forecast`], [`outlier`] |
//! | compute tail probabilities | [`tail`] |
//!
//! # State
//!
//! A detector's state is derived: it is rebuilt by replaying the stored windows of its key ([`spike::Detector::replay`])
//! and need not be kept. Where it is kept (serde), it goes on bit for bit. States of parts of a key do not merge; their
//! windows do, and the state follows from those. A replay of the last weeks alone ends nearly, not exactly, where one
//! from the beginning does: level and spread forget by halves, everything else within 28 days.
//!
//! # Measured
//!
//! - On the five tweet volumes of the Numenta Anomaly Benchmark, with the defaults: 69.7 (standard), 60.0 (low FP), 74.3
//!   (low FN); 15 of 18 windows, 35 false alarms in 9 months. Other values of score and lift do the same within one
//!   point; `as_large_max` of 2 gives 58.8, of 6 gives 65.1. One window more or less is about five points. `tests/nab.rs`
//!   prints the table with baselines.
//! - No spike in 360 simulated quiet months of 5-minute windows: 2, 50 and 2000 per window, day and week, Poisson and
//!   overdispersion 0.1, from window to window and for an hour (`tests/quiet.rs`, `TIDEWATCH_SEEDS=40`). With a rate
//!   that wavers by as much as itself (overdispersion 1), 3 to 5 a month.
//! - A tenfold burst is open within two windows from 2 per window on (1.5: 92 %, 1: 60 %).
//! - About 1 µs per window and 3.3 KB per key (`benches/spikes.rs`).
//!
//! # What is not detected
//!
//! - growth slower than the level: threefold over a day is followed, not told;
//! - a spike in the first three known hours of a key, and fewer than ten events in a window;
//! - a burst as the key had four as large of in 28 days: it is usual for that key. The other way round, where counts
//!   jump a hundredfold every morning, the first four mornings at most are told as spikes, until the rhythm is known;
//! - a spike while another one is open: it is part of it;
//! - a fall that is not silence: for that there is [`outlier::change_point`];
//! - silence of a busy source before a week is known, unless opening hours or a rate are declared.

mod bits;

pub mod baseline;
pub mod bursts;
pub mod calendar;
pub mod explain;
pub mod forecast;
pub mod gaps;
pub mod outlier;
pub mod silence;
pub mod spike;
pub mod tail;
pub mod trend;
pub mod zone;
