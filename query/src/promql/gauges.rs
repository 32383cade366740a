//! The gauges that PromQL sees of the views of packs.
//!
//! | column | metric | |
//! |---|---|---|
//! | `value` | `<view>` | |
//! | `p50`, `p95`, `p999`, … of a view without `value` | `<view>` | label `quantile`: 0.5, 0.95, 0.999 |
//! | any other number | `<view>_<column>` | `…_ms` and `…_us` become `…_seconds` |
//! | an instant | `<view>_<column>_timestamp_seconds` | |
//! | true or false | `<view>_<column>` | 1 or 0 |
//! | text | a label | |
//! | a whole number, true or false by which the view groups | a label | as a dimension of a rollup is |
//! | `window_start`, `window_end`, `completeness`, sketches | – | |
//!
//! A rollup's metric of the same name wins; then the view that has the name itself; then the first.

use super::metrics::{Kind, Metric, base_unit, sanitized};
use crate::table::COMPUTED;
use crate::views::View;
use crate::views::outline::{Outline, Time};
use arrow::datatypes::{DataType, Field};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tidewatch_engine::rollup::{MeasureKind, OTHER_SERIES, ValueType, WINDOW_START};
use tidewatch_promql::Matcher;

/// The column that is the metric itself.
const VALUE: &str = "value";
/// The label of percentiles.
pub(super) const QUANTILE: &str = "quantile";

/// What PromQL sees of one view.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewGauges {
    /// The view.
    pub view: String,
    /// How its rows lie in time.
    pub time: Time,
    /// Its columns.
    pub outline: std::sync::Arc<Outline>,
    /// Its metrics, one per column of numbers.
    pub gauges: Vec<Gauge>,
}

/// One column of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// The metric; its `rollup` is the view. Percentiles of one view share one name.
    pub metric: Metric,
    /// Value of the label `quantile`.
    pub quantile: Option<String>,
}

/// A column that nobody sees because something else has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// Name of the metric.
    pub name: String,
    /// View and column that would have it.
    pub column: String,
    /// What has it.
    pub by: String,
}

/// May a column of this view be this metric?
pub fn may_have(view: &str, metric: &str) -> bool {
    metric.strip_prefix(view).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The names of metrics that the matchers ask for: one, or `None` for a pattern. Without a matcher that says
/// something of the name, no view is meant: reading every view takes longer than anybody waits.
pub enum Named<'m> {
    /// No view.
    None,
    /// One metric.
    One(&'m str),
    /// What all matchers of the name fit.
    Fitting,
}

impl<'m> Named<'m> {
    /// By the matchers of a selector.
    pub fn of(matchers: &'m [Matcher]) -> Self {
        let mut of_name = matchers.iter().filter(|m| m.name == "__name__");
        match of_name.clone().find(|m| m.op == tidewatch_promql::MatchOp::Equal) {
            Some(matcher) => Self::One(&matcher.value),
            None if of_name.any(|m| !m.matches("")) => Self::Fitting,
            None => Self::None,
        }
    }
}

/// The gauges of planned views, and those that something else hides. `taken` are the metrics of rollups.
pub fn gauges<'v>(
    views: impl Iterator<Item = &'v View>,
    taken: &BTreeMap<String, Metric>,
) -> (Vec<ViewGauges>, Vec<Shadowed>) {
    let mut all: Vec<ViewGauges> = views.filter_map(|view| of(&view.name, view.outline()?)).collect();
    all.sort_by(|a, b| a.view.cmp(&b.view));
    // Who has a name: first of all the view that is called so.
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for is_own in [true, false] {
        for gauges in &all {
            for gauge in gauges.gauges.iter().filter(|g| (g.metric.name == gauges.view) == is_own) {
                owners.entry(gauge.metric.name.clone()).or_insert_with(|| source(gauge));
            }
        }
    }
    let mut shadowed = Vec::new();
    for view in &mut all {
        let is_whole = |g: &Gauge| g.quantile.is_some();
        view.gauges.retain(|gauge| {
            let name = &gauge.metric.name;
            let by = match (taken.get(name), owners.get(name)) {
                (Some(metric), _) => Some(format!("the rollup {}", metric.rollup)),
                (None, Some(owner)) if *owner != source(gauge) && !(is_whole(gauge) && *name == view.view) => {
                    Some(format!("column {owner}"))
                }
                _ => None,
            };
            let Some(by) = by else { return true };
            shadowed.push(Shadowed { name: name.clone(), column: source(gauge), by });
            false
        });
    }
    all.retain(|view| !view.gauges.is_empty());
    (all, shadowed)
}

fn source(gauge: &Gauge) -> String {
    format!("{}.{}", gauge.metric.rollup, gauge.metric.measure)
}

/// `None` for a view without numbers, or whose windows may be of any width.
fn of(view: &str, outline: &std::sync::Arc<Outline>) -> Option<ViewGauges> {
    if outline.time == Time::Unknown {
        return None;
    }
    let fields: Vec<&Field> = outline.schema.fields().iter().map(|f| f.as_ref()).collect();
    let seen = |name: &str| name != WINDOW_START && name != OTHER_SERIES && !COMPUTED.contains(&name);
    let fields: Vec<&Field> = fields.into_iter().filter(|f| seen(f.name())).collect();
    let (labels, numbers): (Vec<&Field>, Vec<&Field>) = fields.into_iter().partition(|f| is_label(f, outline));
    let labels: Vec<(String, String)> = labels.iter().map(|f| (label_name(f.name()), f.name().clone())).collect();
    let has_value = numbers.iter().any(|f| f.name() == VALUE);
    let gauge = |field: &&Field| {
        let value = value_type(field.data_type())?;
        let column = field.name().as_str();
        let quantile = if has_value { None } else { quantile(column) };
        let is_instant = value == ValueType::Timestamp;
        let (name, scale) = match column {
            VALUE => (Cow::Borrowed(view), 1.0),
            _ if quantile.is_some() => (Cow::Borrowed(view), 1.0),
            _ if is_instant => {
                let stem = column.strip_suffix("_timestamp_seconds").unwrap_or(column);
                (Cow::Owned(format!("{view}_{stem}_timestamp_seconds")), 1.0)
            }
            _ => {
                let (stem, scale) = base_unit(column);
                (Cow::Owned(format!("{view}_{stem}")), scale)
            }
        };
        let name = sanitized(&name);
        let mut labels = labels.clone();
        labels.extend(quantile.is_some().then(|| (QUANTILE.to_owned(), QUANTILE.to_owned())));
        let of_time = match outline.time {
            Time::Windows { width_us } => format!("of windows of {} s", width_us as f64 / 1e6),
            _ => "as of now".to_owned(),
        };
        Some(Gauge {
            metric: Metric {
                unit: if name.ends_with("_seconds") || name.ends_with("_seconds_total") { "seconds" } else { "" },
                name,
                kind: Kind::Gauge,
                help: match quantile {
                    Some(_) => format!("Percentiles of the view {view}, {of_time}."),
                    None => format!("{column} of the view {view}, {of_time}."),
                },
                rollup: view.to_owned(),
                measure: column.to_owned(),
                state: MeasureKind::Last { value },
                scale,
                labels,
            },
            quantile,
        })
    };
    let gauges: Vec<Gauge> = numbers.iter().filter_map(gauge).collect();
    let (view, outline) = (view.to_owned(), std::sync::Arc::clone(outline));
    Some(ViewGauges { view, time: outline.time, outline, gauges })
}

fn is_label(field: &Field, outline: &Outline) -> bool {
    let kept_apart = || outline.keys.contains(field.name());
    match field.data_type() {
        DataType::Boolean => kept_apart(),
        whole if whole.is_integer() => kept_apart(),
        other => is_text(other),
    }
}

pub(super) fn is_text(column: &DataType) -> bool {
    match column {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn value_type(column: &DataType) -> Option<ValueType> {
    match column {
        DataType::Boolean => Some(ValueType::Boolean),
        DataType::Timestamp(..) => Some(ValueType::Timestamp),
        number if number.is_numeric() => Some(ValueType::Float64),
        _ => None,
    }
}

/// A percentile has the label `quantile`, so a column of this name is another; `window` is what the view says.
fn label_name(column: &str) -> String {
    match column {
        QUANTILE | "le" => format!("exported_{column}"),
        name => sanitized(name),
    }
}

/// `p95` is the quantile 0.95.
fn quantile(column: &str) -> Option<String> {
    let digits = column.strip_prefix('p').filter(|d| d.len() >= 2 && d.bytes().all(|b| b.is_ascii_digit()))?;
    let shown = format!("0.{digits}");
    Some(shown.trim_end_matches('0').trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests;
