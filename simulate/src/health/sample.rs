//! Samples of resources, queues, databases and queries.

use super::{kind, tell};
use crate::event::{EventKind, Truth};
use crate::flow::Scene;
use crate::rhythm::activity;
use crate::series::Tick;

const RESOURCE: EventKind = kind("health.resource.sampled.v1", "/platform/host-agent");
const QUEUE: EventKind = kind("health.queue.sampled.v1", "/platform/queue-agent");
const DATABASE: EventKind = kind("health.db.sampled.v1", "/platform/database-agent");
const QUERY: EventKind = kind("health.query.observed.v1", "/platform/database-agent");

pub(crate) const HOSTS: [&str; 3] = ["app-1", "app-2", "db-1"];

/// Name, unit, capacity, and use in per cent of it at the busiest time.
pub(crate) const RESOURCES: [(&str, &str, i64, i64); 5] = [
    ("cpu", "millicores", 8000, 62),
    ("memory", "MiB", 32_768, 71),
    ("storage", "GiB", 500, 0),
    ("network", "Mbit/s", 1000, 35),
    ("connections", "connections", 500, 42),
];

/// Name, and depth at the busiest time; the depth of the first is what really waits.
pub(crate) const QUEUES: [(&str, i64); 6] = [
    ("webhooks", 0),
    ("orders", 40),
    ("labels", 18),
    ("inventory_sync", 25),
    ("notifications", 60),
    ("automation", 22),
];

pub(crate) const DATABASES: [&str; 2] = ["supabase-main", "supabase-analytics"];

/// Fingerprint, mean milliseconds, calls in a sample.
pub(crate) const QUERIES: [(&str, f64, i64); 6] = [
    ("q_orders_by_status", 12.0, 420),
    ("q_stock_for_shop", 7.0, 900),
    ("q_shipments_open", 31.0, 260),
    ("q_daily_revenue", 1350.0, 24),
    ("q_creator_dashboard", 240.0, 80),
    ("q_audit_export", 2600.0, 4),
];

/// Samples the resource of that number, counted host by host.
pub(crate) fn sample_resource(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    let host = HOSTS[number / RESOURCES.len()];
    let (resource, unit, capacity, peak) = RESOURCES[number % RESOURCES.len()];
    let used = if resource == "storage" {
        // Grows by a gigabyte in three hours.
        180 + 20 * (number / RESOURCES.len()) as i64 + (scene.now_us - scene.world.start_us) / (3 * 3_600_000_000)
    } else {
        let busy = activity(scene.now_us) / 1.8 * (0.8 + 0.4 * tick.random.unit());
        capacity * peak / 100 * (busy * 1000.0) as i64 / 1000
    };
    tell(tick, scene, RESOURCE, ("host", host), Truth::Normal, |o| {
        o.text("host", host);
        o.text("resource", resource);
        o.integer("used", used.min(capacity));
        o.integer("capacity", capacity);
        o.text("unit", unit);
    });
}

/// Samples the queue of that number.
pub(crate) fn sample_queue(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    const WORKERS: i64 = 8;
    let (queue, peak) = QUEUES[number];
    let drawn = (peak as f64 * activity(scene.now_us) / 1.8 * tick.random.unit()) as i64;
    let (depth, oldest_ms, truth) = if peak == 0 {
        let waiting = &scene.state.waiting_webhooks;
        let oldest_ms = waiting.first().map_or(0, |(received_us, _)| (scene.now_us - received_us) / 1000);
        let is_waiting = scene.world.webhooks_wait_until_us(scene.now_us).is_some();
        (waiting.len() as i64, oldest_ms, if is_waiting { Truth::WebhookBacklog } else { Truth::Normal })
    } else {
        (drawn, drawn * 45, Truth::Normal)
    };
    let rate = 1000 + drawn * 120;
    let stalled = truth == Truth::WebhookBacklog;
    tell(tick, scene, QUEUE, ("queue", queue), truth, |o| {
        o.text("queue", queue);
        o.integer("depth", depth);
        o.integer("oldest_age_ms", oldest_ms);
        o.decimal("in_rate", rate, 3);
        o.decimal("out_rate", if stalled { 0 } else { rate }, 3);
        o.integer("workers_busy", if stalled { 0 } else { (1 + depth / 8).min(WORKERS) });
        o.integer("workers_total", WORKERS);
    });
}

/// Samples the database of that number.
pub(crate) fn sample_database(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    let db = DATABASES[number];
    let active = (64.0 * activity(scene.now_us) / 1.8 * (0.85 + 0.3 * tick.random.unit())) as i64;
    let (hit_ratio, deadlocks) = (tick.random.between(9710, 9985), i64::from(tick.random.chance(0.01)));
    tell(tick, scene, DATABASE, ("db", db), Truth::Normal, |o| {
        o.text("db", db);
        o.integer("active_connections", active);
        o.integer("max_connections", 100);
        o.decimal("cache_hit_ratio", hit_ratio, 4);
        o.integer("deadlocks", deadlocks);
    });
}

/// Reports the query of that number.
pub(crate) fn observe_query(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    let (fingerprint, median_ms, usual) = QUERIES[number];
    let calls = 1 + (usual as f64 * activity(scene.now_us)) as i64;
    let mean_us = (tick.random.log_normal(median_ms, 0.15) * 1000.0) as i64;
    tell(tick, scene, QUERY, ("query", fingerprint), Truth::Normal, |o| {
        o.text("fingerprint", fingerprint);
        o.text("db", DATABASES[0]);
        o.integer("calls", calls);
        o.integer("total_ms", calls * mean_us / 1000);
        o.decimal("mean_ms", mean_us, 3);
    });
}
