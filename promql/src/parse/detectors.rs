//! The functions that are ours: detectors of spikes and of silence over counts per step.
//!
//! Prometheus has none of these; [`super::Grammar::prometheus_only`] refuses them. `v` is a range vector of counts per
//! step, usually a subquery whose step is as wide as what it counts:
//! `spike_lift(increase(orders_total[5m])[29d:5m], "Europe/Berlin")`.
//!
//! | function | gives, of each series |
//! |---|---|
//! | `spike_lift(v [, zone])` | while a spike is open, counted ÷ expected from its start to now |
//! | `spike_excess(v [, zone])` | while a spike is open, counted − expected from its start to now |
//! | `spike_started(v [, zone])` | while a spike is open, when it started, in seconds since 1970 |
//! | `spike_expected(v [, zone])` | what is expected of the newest step, spike or not, as soon as something is: the line beside the counts |
//! | `silence_seconds(v [, zone [, hours [, holidays]]])` | while a source is silent, for how long it was, in open time |
//! | `silence_expected(v [, zone [, hours [, holidays]]])` | while it is, how many events usually had come by now; nothing where gaps alone tell ([`tidewatch_detect::silence`]) |
//!
//! The zone is a name such as `Europe/Berlin`, UTC without one; hours and holidays are as
//! [`tidewatch_detect::calendar`] reads them, `"Mo-Fr 09:00-17:00"` and `"2026-12-25, 2026-12-26"`. Empty strings are
//! as if left out. `eval/detect.rs` says how samples become windows.

use tidewatch_detect::calendar::Calendar;
use tidewatch_detect::zone::{HOUR_MS, Zone};

use crate::duration;
use crate::position::Span;

use super::ast::{Expr, ExprKind};
use super::functions::{Func, Function};

impl Func {
    /// Whether the function is ours alone.
    pub fn is_own(self) -> bool {
        matches!(
            self,
            Func::SpikeExcess
                | Func::SpikeExpected
                | Func::SpikeLift
                | Func::SpikeStarted
                | Func::SilenceExpected
                | Func::SilenceSeconds
        )
    }
}

/// What a call cannot be, and where it says so.
pub type Wrong = (Span, String);

/// Refuses zones, hours, holidays and steps that are none.
///
/// # Errors
/// The first argument that is wrong, with a sentence.
pub fn check(function: &Function, args: &[Expr]) -> Result<(), Wrong> {
    if !function.id.is_own() {
        return Ok(());
    }
    if let Some(range) = args.first().map(Expr::unwrapped)
        && let ExprKind::Subquery(subquery) = &range.kind
        && let Some(step_ms) = subquery.step_ms.filter(|step_ms| !is_width(*step_ms))
    {
        let (name, step) = (function.name, duration::format(step_ms));
        let message = format!("expected a step that divides an hour in call to {name:?}, got {step}: take 1m or 5m");
        return Err((range.span, message));
    }
    calendar(args).map(drop)
}

/// Whether windows of a detector may be so wide.
pub fn is_width(step_ms: i64) -> bool {
    step_ms > 0 && HOUR_MS % step_ms == 0
}

/// The zone, opening hours and holidays of a call.
///
/// # Errors
/// The first string that cannot be read, with a sentence.
pub fn calendar(args: &[Expr]) -> Result<Calendar, Wrong> {
    let mut calendar = Calendar::default();
    for (at, arg) in args.iter().enumerate().skip(1) {
        let arg = arg.unwrapped();
        let ExprKind::String(text) = &arg.kind else { continue };
        let read = match at {
            _ if text.text.trim().is_empty() => Ok(()),
            1 => Zone::named(&text.text).map(|zone| calendar.zone = zone).map_err(|error| error.to_string()),
            2 => calendar.set_hours(&text.text).map_err(|error| error.to_string()),
            _ => calendar.set_holidays(&text.text).map_err(|error| error.to_string()),
        };
        read.map_err(|message| (arg.span, message))?;
    }
    Ok(calendar)
}
