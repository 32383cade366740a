//! Checks of services.

use super::{kind, tell};
use crate::event::{EventKind, Truth};
use crate::flow::Scene;
use crate::rhythm::activity;
use crate::series::Tick;
use crate::world::Outage;

const COMPLETED: EventKind = kind("health.health_check.completed.v1", "/platform/health-prober");

const TIMEOUT_MS: i64 = 10_000;

/// A service and what is looked at.
#[derive(Debug)]
pub(crate) struct Service {
    pub name: &'static str,
    component: &'static str,
    metric_type: &'static str,
    median_ms: f64,
    measured: Measured,
    warning: i64,
    critical: i64,
}

/// Where the number comes from that is compared with the thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    ResponseTime,
    /// Rises and falls with business; the number at the busiest time.
    Load(i64),
    WebhooksWaiting,
}

const fn service(name: &'static str, component: &'static str, median_ms: f64) -> Service {
    Service {
        name,
        component,
        metric_type: "response_time_ms",
        median_ms,
        measured: Measured::ResponseTime,
        warning: 1500,
        critical: 5000,
    }
}

pub(crate) static SERVICES: &[Service] = &[
    Service {
        metric_type: "active_connections",
        measured: Measured::Load(64),
        warning: 85,
        critical: 100,
        ..service("supabase-database", "database", 16.0)
    },
    service("supabase-api", "supabase", 45.0),
    service("edge-functions", "edge_function", 120.0),
    service("n8n", "n8n", 80.0),
    service("carrier-usps", "carrier", 240.0),
    service("carrier-ups", "carrier", 210.0),
    service("carrier-fedex", "carrier", 260.0),
    service("carrier-dhl", "carrier", 300.0),
    service("tiktok-shop", "tiktok", 170.0),
    service("web", "web", 60.0),
    Service {
        metric_type: "queue_depth",
        measured: Measured::WebhooksWaiting,
        warning: 60,
        critical: 300,
        ..service("webhook-queue", "queue", 8.0)
    },
    Service {
        metric_type: "queue_depth",
        measured: Measured::Load(40),
        warning: 200,
        critical: 500,
        ..service("order-queue", "queue", 8.0)
    },
    service("openai", "llm", 600.0),
    service("mcp-gateway", "mcp", 140.0),
];

/// Checks the service of that number.
pub(crate) fn check_service(tick: &mut Tick<'_>, scene: &mut Scene<'_>, number: usize) {
    let about = &SERVICES[number];
    let carrier = about.name.strip_prefix("carrier-");
    let outage = carrier.and_then(|provider| scene.world.outage(provider, scene.now_us));
    let is_waiting = scene.world.webhooks_wait_until_us(scene.now_us).is_some();
    let response_ms = response_ms(tick, about, outage);
    let value = match about.measured {
        Measured::ResponseTime => response_ms,
        Measured::Load(peak) => (peak as f64 * activity(scene.now_us) / 1.8 * (0.85 + 0.3 * tick.random.unit())) as i64,
        Measured::WebhooksWaiting => scene.state.waiting_webhooks.len() as i64,
    };
    let (status, escalation) = match value {
        value if value >= about.critical => ("critical", "critical"),
        value if value >= about.warning => ("warning", "notify"),
        _ => ("nominal", "none"),
    };
    let truth = match about.measured {
        Measured::ResponseTime if outage.is_some() => Truth::CarrierOutage,
        Measured::WebhooksWaiting if is_waiting => Truth::WebhookBacklog,
        _ => Truth::Normal,
    };
    tell(tick, scene, COMPLETED, ("service", about.name), truth, |o| {
        o.text("service_name", about.name);
        o.text("component", about.component);
        o.text("metric_type", about.metric_type);
        o.text("status", status);
        o.integer("response_time_ms", response_ms);
        o.integer("current_value", value);
        o.integer("threshold_warning", about.warning);
        o.integer("threshold_critical", about.critical);
        o.text("escalation_level", escalation);
        o.text("region", "eu-west-1");
    });
}

fn response_ms(tick: &mut Tick<'_>, about: &Service, outage: Option<Outage>) -> i64 {
    let usual = tick.random.log_normal(about.median_ms, 0.35);
    let is_hung = tick.random.unit();
    match outage {
        Some(outage) if is_hung < outage.error_share => TIMEOUT_MS,
        Some(outage) => ((usual * outage.latency_factor) as i64).min(TIMEOUT_MS),
        None if is_hung < 0.0004 => TIMEOUT_MS,
        None => usual as i64 + 1,
    }
}
