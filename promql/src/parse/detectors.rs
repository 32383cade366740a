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
//! | `silence_seconds(v [, zone [, hours [, holidays [, rhythm]]]])` | while a source is silent, for how long it was, in open time |
//! | `silence_expected(v [, zone [, hours [, holidays [, rhythm]]]])` | while it is, how many events usually had come by now; nothing where gaps alone tell ([`tidewatch_detect::silence`]) |
//!
//! The zone is a name such as `Europe/Berlin`, UTC without one; hours and holidays are as
//! [`tidewatch_detect::calendar`] reads them, `"Mo-Fr 09:00-17:00"` and `"2026-12-25, 2026-12-26"`. The rhythm is what
//! somebody declared, as [`Declared`] reads it, `"every 3h"` or `"40 per 1h"`; without one it is learned. Empty strings
//! are as if left out, and `"$zone"` is what label `zone` of each series says: with
//! `label_replace(x, "zone", "Europe/Berlin", "shop_id", "17|23")` one expression serves shops of several zones. What a
//! label says and cannot be read is a warning, and as if left out. `eval/detect.rs` says how samples become windows.

use tidewatch_detect::calendar::Calendar;
use tidewatch_detect::silence::Declared;
use tidewatch_detect::zone::{HOUR_MS, Zone};

use crate::duration;
use crate::position::Span;

use crate::labels::Labels;

use super::ast::{Expr, ExprKind};
use super::functions::{Func, Function};

/// What the name of a label has before it.
const LABEL: char = '$';

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

/// When events of a series are awaited, and how often.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    /// Opening hours and holidays, by the clock of a zone.
    pub calendar: Calendar,
    /// What somebody declared instead of what would be learned.
    pub declared: Option<Declared>,
}

/// Refuses zones, hours, holidays, rhythms and steps that are none.
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
    match awaited(args, None).1.into_iter().next() {
        Some(wrong) => Err(wrong),
        None => Ok(()),
    }
}

/// Whether windows of a detector may be so wide.
pub fn is_width(step_ms: i64) -> bool {
    step_ms > 0 && HOUR_MS % step_ms == 0
}

/// Whether zone, hours, holidays or rhythm of a call are those that labels of each series tell.
pub fn is_by_label(args: &[Expr]) -> bool {
    args.iter().skip(1).any(|arg| text(arg).is_some_and(|text| text.starts_with(LABEL)))
}

/// The zone, opening hours, holidays and rhythm of a call for the series with these labels; without labels, what all
/// series have. What cannot be read is as if left out, and is told with a sentence.
pub fn awaited(args: &[Expr], labels: Option<&Labels>) -> (Awaited, Vec<Wrong>) {
    let Awaited { mut calendar, mut declared } = Awaited::default();
    let mut wrong = Vec::new();
    for (at, arg) in args.iter().enumerate().skip(1) {
        let Some(text) = text(arg) else { continue };
        let text = match (text.strip_prefix(LABEL), labels) {
            (None, _) => text,
            (Some(name), Some(labels)) => labels.get(name),
            (Some(name), None) if is_label_name(name) => continue,
            (Some(name), None) => {
                wrong.push((arg.unwrapped().span, format!("expected the name of a label after `$`, got {name:?}")));
                continue;
            }
        };
        let read = match at {
            _ if text.trim().is_empty() => Ok(()),
            1 => Zone::named(text).map(|zone| calendar.zone = zone).map_err(|error| error.to_string()),
            2 => calendar.set_hours(text).map_err(|error| error.to_string()),
            3 => calendar.set_holidays(text).map_err(|error| error.to_string()),
            _ => text.parse::<Declared>().map(|rhythm| declared = Some(rhythm)).map_err(|error| error.to_string()),
        };
        wrong.extend(read.err().map(|message| (arg.unwrapped().span, message)));
    }
    (Awaited { calendar, declared }, wrong)
}

fn text(arg: &Expr) -> Option<&str> {
    match &arg.unwrapped().kind {
        ExprKind::String(text) => Some(&text.text),
        _ => None,
    }
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
