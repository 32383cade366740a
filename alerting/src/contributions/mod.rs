//! What moved an alert: its value beside what it was before, and the label values that the change comes from.
//!
//! ```text
//! expression ─▶ its value ─▶ for one alert ─▶ value before: a week, a day, a moment
//!               value        restrict         └▶ parts now and before ─▶ label that explains best ─▶ shares
//!                                                shape                   parts
//! ```
//!
//! Queries are asked of a [`Source`]: at most two for the value now where the condition has an `or`, one for each
//! baseline that is tried, and one or two (a ratio) for the parts at each of two instants. The parts are read once
//! without the aggregation around them, so that every further label is tried on the same series.

mod attach;
mod links;
pub mod parts;
pub mod restrict;
pub mod shape;
pub mod value;

use serde::{Deserialize, Serialize};
use tidewatch_promql::parse::ast::Expr;
use tidewatch_promql::{Grammar, Labels, Options, Query, Sample, VectorSample, duration};

use crate::route::alert::{AlertDetail, Contribution};
use crate::rules::AlertingRule;
use crate::rules::group::Source;

pub use attach::attach;
pub use links::links;
use parts::Operands;
use restrict::{Known, restrict};
use shape::Shape;

/// Series of one operand that are taken apart; of more there is no explanation.
pub const SERIES_MAX: usize = 50_000;

const DAY_MS: i64 = 86_400_000;
const WEEK_MS: i64 = 7 * DAY_MS;

/// What is asked: one alert of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The rule.
    pub rule: &'a AlertingRule,
    /// The alert's labels, as the rule's state has them.
    pub labels: &'a Labels,
    /// The alert's value.
    pub value: f64,
    /// The instant that the rule looked at, milliseconds since the epoch.
    pub time_ms: i64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The value before.
    pub baseline: Option<f64>,
    /// When that was, such as `a week before`.
    pub compared_with: Option<String>,
    /// Which label values the change comes from.
    pub contributions: Vec<Contribution>,
}

impl Found {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        *self == Found::default()
    }

    /// Puts it into what is known about an alert.
    pub fn fill(self, detail: &mut AlertDetail) {
        detail.baseline = self.baseline;
        detail.compared_with = self.compared_with;
        detail.contributions = self.contributions;
    }
}

/// A value that an alert may come from, restricted to the alert.
#[derive(Debug)]
struct Valued {
    expr: Expr,
    query: Query,
    known: Known,
}

/// Explains an alert: its baseline, if there is any, and what it is made of, where its expression can be taken apart.
///
/// # Errors
/// A query's; or that there is too much to take apart. Nothing depends on an explanation: whoever asked goes on
/// without.
pub fn explain(asked: &Asked<'_>, options: &Options, source: &dyn Source) -> Result<Found, String> {
    let Some(valued) = choose(asked, source)? else { return Ok(Found::default()) };
    let instants = instants(&valued.expr, asked, options.lookback_ms);
    let mut found = Found::default();
    let mut before_ms = None;
    for (back_ms, words) in instants {
        let time_ms = asked.time_ms.saturating_sub(back_ms);
        if let Some(value) = value_at(&valued, time_ms, source)? {
            (found.baseline, found.compared_with, before_ms) = (Some(value), Some(words), Some(time_ms));
            break;
        }
    }
    let Some(shape) = Shape::of(&valued.expr) else { return Ok(found) };
    if before_ms.is_none() && !matches!(shape, Shape::Sum(_)) {
        return Ok(found);
    }
    let now = operands(&shape, asked.time_ms, source)?;
    let before = before_ms.map(|time_ms| operands(&shape, time_ms, source)).transpose()?;
    found.contributions = parts::contributions(&shape, &now, before.as_ref());
    Ok(found)
}

/// The expressions that may give the alert's value, restricted to the alert.
fn valued(asked: &Asked<'_>) -> Vec<Valued> {
    let condition = asked.rule.level.as_ref().map_or(&asked.rule.query, |level| &level.query);
    let known = Known::of_alert(asked.labels, asked.rule.labels.iter().map(|(name, _)| name.as_str()));
    let restricted = value::values(condition.expr()).into_iter().filter_map(|mut expr| {
        restrict(&mut expr, &known);
        let query = query(&expr)?;
        Some(Valued { expr, query, known: known.clone() })
    });
    restricted.collect()
}

/// Of several the one whose value is nearest to the alert's.
fn choose(asked: &Asked<'_>, source: &dyn Source) -> Result<Option<Valued>, String> {
    let mut all = valued(asked);
    if all.len() <= 1 {
        return Ok(all.pop());
    }
    let mut nearest: Option<(f64, Valued)> = None;
    for valued in all {
        let Some(value) = value_at(&valued, asked.time_ms, source)? else { continue };
        let distance = (value - asked.value).abs();
        if nearest.as_ref().is_none_or(|(known, _)| distance < *known) {
            nearest = Some((distance, valued));
        }
    }
    Ok(nearest.map(|(_, valued)| valued))
}

/// How far back is looked for something to compare with, in milliseconds, and in words.
fn instants(expr: &Expr, asked: &Asked<'_>, lookback_ms: i64) -> Vec<(i64, String)> {
    let range_ms = value::range_ms(expr).max(asked.rule.for_ms);
    let just_ms = if range_ms > 0 { range_ms } else { lookback_ms };
    let far = [(WEEK_MS, "a week before"), (DAY_MS, "a day before")];
    // What looks back over a week is not compared with itself.
    let far = far.into_iter().filter(|(back_ms, _)| *back_ms >= just_ms);
    let far = far.map(|(back_ms, words)| (back_ms, words.to_string()));
    far.chain([(just_ms, format!("{} before", duration::format(just_ms)))]).collect()
}

/// The alert's value at an instant; `None` where there is none, or it is not clear which.
fn value_at(valued: &Valued, time_ms: i64, source: &dyn Source) -> Result<Option<f64>, String> {
    let samples = source.ask(&valued.query, time_ms)?.samples;
    let mut fitting = samples.iter().filter(|sample| valued.known.admits(&sample.labels));
    let (Some(sample), None) = (fitting.next(), fitting.next()) else { return Ok(None) };
    Ok(match sample.value {
        Sample::Float(value) => Some(value).filter(|value| value.is_finite()),
        Sample::Histogram(_) => None,
    })
}

fn operands(shape: &Shape, time_ms: i64, source: &dyn Source) -> Result<Operands, String> {
    let ask = |expr: &Expr| -> Result<Vec<VectorSample>, String> {
        let query = query(expr).ok_or("a part of the expression does not stand alone")?;
        let samples = source.ask(&query, time_ms)?.samples;
        if samples.len() > SERIES_MAX {
            return Err(format!("{} series, at most {SERIES_MAX} are taken apart", samples.len()));
        }
        Ok(samples)
    };
    shape.operands().into_iter().map(ask).collect()
}

/// The expression as a query of its own. What a rule may say was decided when it was loaded.
fn query(expr: &Expr) -> Option<Query> {
    Query::parse(&expr.to_string(), Grammar { experimental: true, ..Grammar::default() }).ok()
}

#[cfg(test)]
mod tests;
