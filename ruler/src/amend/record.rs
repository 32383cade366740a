//! The record: when alerts fired, by the ledger's rows.

use super::judge::{Firing, Labels};
use crate::ledger::{Row, STAGE_RULE};
use std::collections::BTreeMap;
use tidewatch_alerting::state::{Phase, RuleState};

#[derive(Debug, Default)]
struct Course {
    pending_ms: Option<i64>,
    open: Option<(i64, i64)>,
    firings: Vec<(i64, i64, Option<i64>)>,
}

impl Course {
    fn take(&mut self, row: &Row) {
        let was_firing = row.from.as_deref() == Some("firing");
        match row.to.as_deref() {
            Some("pending") => self.pending_ms = Some(row.time_ms),
            Some("firing") if self.open.is_none() => {
                self.open = Some((self.pending_ms.take().unwrap_or(row.time_ms), row.time_ms));
            }
            Some("firing") => {}
            // Without a beginning in these rows it began before them.
            _ => {
                let begun = self.open.take().or(was_firing.then_some((i64::MIN, i64::MIN)));
                self.firings.extend(begun.map(|(active_ms, fired_ms)| (active_ms, fired_ms, Some(row.time_ms))));
                self.pending_ms = None;
            }
        }
    }
}

/// When the alerts of a rule fired, by rows of the ledger in the order of their time, up to now, and by the states as
/// they are now. Rows of other stages are left out.
pub fn firings<'r>(rows: impl IntoIterator<Item = &'r Row>, now: &[&RuleState]) -> Vec<Firing> {
    let mut courses: BTreeMap<Labels, Course> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.stage == STAGE_RULE) {
        courses.entry(row.labels.clone()).or_default().take(row);
    }
    for instance in now.iter().flat_map(|state| state.instances.values()) {
        let life = instance.life;
        if life.phase != Phase::Firing {
            continue;
        }
        let labels: Labels = instance.labels.iter().map(|l| (l.name.to_string(), l.value.to_string())).collect();
        let course = courses.entry(labels).or_default();
        let fired_ms = life.fired_at_ms.unwrap_or(life.active_at_ms);
        course.open.get_or_insert((life.active_at_ms, fired_ms));
    }
    let all = courses.into_iter().flat_map(|(labels, course)| {
        let open = course.open.map(|(active_ms, fired_ms)| (active_ms, fired_ms, None));
        course.firings.into_iter().chain(open).map(move |(active_ms, fired_ms, ended_ms)| Firing {
            labels: labels.clone(),
            active_ms,
            fired_ms,
            ended_ms,
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests;
