//! Backups and whether they can be restored.

use super::{kind, tell};
use crate::event::{EventKind, Truth};
use crate::flow::Scene;
use crate::series::Tick;

const FINISHED: EventKind = kind("health.backup.finished.v1", "/platform/backup");

/// Kind, hours between two, megabytes, minutes that it takes.
pub(crate) const BACKUPS: [(&str, i64, i64, i64); 3] =
    [("incremental", 6, 900, 4), ("full", 24, 42_000, 35), ("restore_test", 72, 42_000, 55)];

/// Makes the backup of that number.
pub(crate) fn back_up(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    let (backup_kind, _, megabytes, minutes) = BACKUPS[number];
    let status = tick.random.weighted(&[("healthy", 95), ("warning", 4), ("failed", 1)]);
    let size = tick.random.log_normal(megabytes as f64 * 1e6, 0.1) as i64;
    let duration_ms = tick.random.log_normal(minutes as f64 * 60_000.0, 0.2) as i64;
    let finished_us = scene.now_us;
    let backup_id = scene.world.ids.named("bak_", tick.entity, 0);
    tell(tick, scene, FINISHED, ("service", "backup"), Truth::Normal, |o| {
        o.named("backup_id", backup_id);
        o.text("kind", backup_kind);
        o.text("status", status);
        o.integer("bytes", if status == "failed" { 0 } else { size });
        o.integer("duration_ms", duration_ms);
        o.time("finished_at", finished_us);
    });
}
