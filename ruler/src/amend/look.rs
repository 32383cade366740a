//! Runs a rule again where late events can have mattered, and judges what the record says about it.

use super::judge::{self, Finding, Firing, Judged, Looked, Stretch};
use super::late::Pending;
use super::metrics::Skipped;
use super::record;
use super::units::Unit;
use super::watch::Watch;
use crate::begin::Shared;
use crate::ledger::Row;
use tidewatch_alerting::backtest::{self, BacktestOptions};
use tidewatch_alerting::rules::schedule::instant_at;
use tidewatch_alerting::state::RuleState;
use tidewatch_promql::Storage;

/// What a look needs.
pub(crate) struct Around<'a> {
    pub shared: &'a Shared,
    pub unit: &'a Unit,
    pub watch: &'a Watch,
    /// The ledger's rows of rules, oldest first, from [`rows_from`] on.
    pub rows: &'a [Row],
    pub past: &'a dyn Storage,
    pub now_ms: i64,
}

/// What came out of a look.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub findings: Vec<Finding>,
    /// What fired, by the record.
    pub taken: Vec<Firing>,
    /// Some of it can be judged only later.
    pub is_open: bool,
}

/// How long before an alert fires something of it can be known, with room for other instants.
fn before_ms(unit: &Unit) -> i64 {
    unit.for_ms.saturating_add(unit.keep_ms).saturating_add(unit.tolerance_ms.saturating_mul(2))
}

/// From where on the ledger is needed, milliseconds since the epoch.
pub(crate) fn rows_from(unit: &Unit, pending: &Pending) -> i64 {
    pending.stretch.from_ms.saturating_sub(unit.tolerance_ms).saturating_sub(before_ms(unit))
}

/// Where an alert may have begun to fire because of the late events, or not: from when they can have been read to when
/// they can no more, or to when they were heard of.
fn zone(unit: &Unit, pending: &Pending, known_from_ms: i64) -> Option<Stretch> {
    let stretch = &pending.stretch;
    let from_ms = stretch.from_ms.saturating_sub(unit.tolerance_ms).max(known_from_ms);
    let read_ms =
        stretch.to_ms.saturating_add(unit.back_ms).saturating_add(unit.for_ms).saturating_add(unit.tolerance_ms);
    let to_ms = read_ms.min(pending.last_ms);
    (from_ms <= to_ms).then_some((from_ms, to_ms))
}

/// Looks at one rule. `instants` is what is left of the bound on evaluations. Blocks.
///
/// # Errors
/// The rule cannot be evaluated, or the past or the record not be read.
pub(crate) fn look(around: &Around<'_>, pending: &Pending, instants: &mut u64) -> Result<Found, String> {
    let Around { shared, unit, watch, .. } = *around;
    let settings = &shared.settings.amend;
    let horizon_ms = horizon(around)?;
    let known_from_ms = watch.since_ms.unwrap_or(i64::MAX).max(horizon_ms);
    let Some((from_ms, to_ms)) = zone(unit, pending, known_from_ms) else { return Ok(Found::default()) };
    let mut unwatched = watch.unwatched();
    unwatched.push((i64::MIN, horizon_ms));
    let said = shared.store.said(Some((&unit.group, &unit.rule))).map_err(|error| error.to_string())?;
    let mut found = Found { taken: taken(around), ..Found::default() };
    let last_ms = to_ms.saturating_add(unit.keep_ms).saturating_add(unit.tolerance_ms.saturating_mul(2));
    let mut block_ms = from_ms;
    while block_ms <= to_ms {
        let zone = (block_ms, to_ms.min(block_ms.saturating_add(settings.block_ms.max(1) - 1)));
        block_ms = zone.1.saturating_add(1);
        let own = found.taken.iter().filter(|one| (zone.0..=zone.1).contains(&one.fired_ms));
        let ended_ms = own.filter_map(|one| one.ended_ms).max().unwrap_or(i64::MIN);
        let bound_ms = zone.1.saturating_add(settings.block_ms).min(around.now_ms);
        let end_ms = ended_ms.saturating_add(unit.tolerance_ms.saturating_mul(2)).max(last_ms).min(bound_ms);
        let start_ms = zone.0.saturating_sub(before_ms(unit));
        let Some(again) = run(around, start_ms, end_ms, instants)? else {
            shared.amends.metrics.skip(Skipped::Instants);
            break;
        };
        let looked = Looked {
            taken: &found.taken,
            again: &again,
            said: &said,
            zone,
            start_ms,
            end_ms,
            unwatched: &unwatched,
            tolerance_ms: unit.tolerance_ms,
        };
        let Judged { findings, is_open } = judge::judge(&looked);
        // Blocks touch, alerts do not keep to them.
        let is_new = |one: &Finding| !found.findings.iter().any(|known| is_same(known, one));
        let new: Vec<Finding> = findings.into_iter().filter(is_new).collect();
        found.findings.extend(new);
        if is_open && end_ms < around.now_ms {
            shared.amends.metrics.skip(Skipped::Long);
        }
        found.is_open |= is_open && end_ms >= around.now_ms;
    }
    Ok(found)
}

fn is_same(one: &Finding, other: &Finding) -> bool {
    one.labels == other.labels && one.fired_ms == other.fired_ms
}

/// Before this the ledger may have forgotten.
fn horizon(around: &Around<'_>) -> Result<i64, String> {
    let Around { shared, now_ms, .. } = *around;
    let kept_ms = now_ms.saturating_sub(shared.settings.ledger_retention_ms);
    // Near its bound it forgets by number.
    if shared.store.ledger_rows() < shared.settings.ledger_rows_max / 10 * 9 {
        return Ok(kept_ms);
    }
    let begins_ms = shared.store.ledger_begins().map_err(|error| error.to_string())?;
    Ok(begins_ms.unwrap_or(now_ms).max(kept_ms))
}

/// What fired, by the record.
fn taken(around: &Around<'_>) -> Vec<Firing> {
    let unit = around.unit;
    let named = |row: &&Row| row.group.as_deref() == Some(&unit.group) && row.rule.as_deref() == Some(&unit.rule);
    around.shared.with_groups(|books| {
        let books = books.iter().filter(|book| *book.group.name == *unit.group);
        let saved = books.flat_map(|book| &book.state.rules);
        let states: Vec<&RuleState> =
            saved.filter(|saved| saved.is_alerting && *saved.name == *unit.rule).map(|saved| &saved.state).collect();
        record::firings(around.rows.iter().filter(named), &states)
    })
}

/// What fires on each grid of instants; `None` at the bound.
fn run(
    around: &Around<'_>,
    start_ms: i64,
    end_ms: i64,
    instants: &mut u64,
) -> Result<Option<Vec<Vec<Firing>>>, String> {
    let unit = around.unit;
    let window_ms = unit.window_ms;
    let start_ms = start_ms.saturating_sub(unit.warm_ms);
    let group = unit.groups.iter().find(|group| *group.name == *unit.group);
    let coarse_ms = group.map_or(start_ms, |group| instant_at(group, unit.interval_ms, start_ms));
    let mut grids = vec![(coarse_ms, unit.interval_ms.max(1))];
    // News of data wake a group, so it may have looked whenever a window closed.
    if (1..unit.interval_ms).contains(&window_ms) {
        grids.push((start_ms.div_euclid(window_ms).saturating_mul(window_ms), window_ms));
    }
    let rules: usize = unit.groups.iter().map(|group| group.rules.len()).sum();
    let of_grid = |(start_ms, step_ms): &(i64, i64)| end_ms.saturating_sub(*start_ms).max(0).div_euclid(*step_ms) + 1;
    let steps = grids.iter().map(of_grid).fold(0_i64, i64::saturating_add);
    let cost = u64::try_from(steps).unwrap_or(0).saturating_mul(rules as u64);
    if cost > *instants {
        return Ok(None);
    }
    *instants -= cost;
    grids.into_iter().map(|grid| run_grid(around, grid, end_ms)).collect::<Result<Vec<_>, _>>().map(Some)
}

fn run_grid(around: &Around<'_>, (start_ms, step_ms): (i64, i64), end_ms: i64) -> Result<Vec<Firing>, String> {
    let unit = around.unit;
    let options = BacktestOptions {
        messages_max: 0,
        settings: around.shared.settings.groups.clone(),
        queries: around.shared.data.options(),
        ..BacktestOptions::new(start_ms, end_ms, step_ms)
    };
    let backtest = backtest::run(&unit.groups, around.past, &options);
    if let Some((name, error)) = backtest.failed_recordings.first() {
        return Err(format!("{name}: {error}"));
    }
    let mut firings = Vec::new();
    let own = backtest.rules.into_iter().enumerate().filter(|(at, _)| unit.own.contains(at));
    for (_, report) in own {
        if let Some(error) = report.error {
            return Err(error);
        }
        if report.intervals_dropped > 0 {
            return Err(format!("more than {} alerts", options.intervals_max));
        }
        firings.extend(report.intervals.into_iter().filter_map(|interval| {
            Some(Firing {
                labels: interval.labels.iter().map(|l| (l.name.to_string(), l.value.to_string())).collect(),
                active_ms: interval.active_at_ms,
                fired_ms: interval.fired_at_ms?,
                ended_ms: interval.ended_at_ms,
            })
        }));
    }
    Ok(firings)
}
