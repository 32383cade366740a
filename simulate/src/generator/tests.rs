mod effects;

use super::*;
use crate::json as writer;
use crate::testing::{
    HOUR_MS, MINUTE_MS, START_MS, attribute, calm, elapsed_ms, eventful_week, is_counted, json, of_type, run, settings,
    steady, steady_week, week,
};
use crate::{HEALTH_TOPIC, TOPICS, Truth, scenarios};
use std::collections::{HashMap, HashSet};

fn bodies(events: &[SimulatedEvent]) -> Vec<&[u8]> {
    events.iter().map(|event| event.body.as_slice()).collect()
}

fn sorted(mut bodies: Vec<&[u8]>) -> Vec<&[u8]> {
    bodies.sort_unstable();
    bodies
}

fn body_list(events: Vec<&SimulatedEvent>) -> Vec<&[u8]> {
    events.into_iter().map(|event| event.body.as_slice()).collect()
}

/// The bodies of events with that label, and of those with another.
fn split(events: &[SimulatedEvent], truth: impl Fn(Truth) -> bool) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let (with, without): (Vec<_>, Vec<_>) = events.iter().partition(|event| truth(event.truth));
    (body_list(with), body_list(without))
}

/// Fewer events, for tests that look at every scenario.
fn few(scenario: &str, minutes: i64) -> Settings {
    Settings { events_per_second: 25.0, ..settings(scenario, minutes) }
}

#[test]
fn the_same_settings_give_the_same_events() {
    for scenario in scenarios() {
        let (first, second) = (run(few(scenario.name, 6)), run(few(scenario.name, 6)));
        assert!(first == second, "{}", scenario.name);
        assert!(first.len() > 5_000, "{}: {}", scenario.name, first.len());
    }
}

#[test]
fn another_seed_gives_other_events() {
    let first = run(settings("steady", 1));
    let second = run(Settings { seed: 8, ..settings("steady", 1) });
    let known: HashSet<_> = bodies(&first).into_iter().collect();
    assert!(second.iter().all(|event| !known.contains(event.body.as_slice())));
}

/// The bytes of a seed must stay what they are: people keep files and golden results made from them.
#[test]
fn the_bytes_of_a_seed_do_not_change() {
    let events = run(settings("demo", 2));
    let mut digest: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in events.iter().flat_map(|event| event.body.iter().chain(event.key.as_bytes())) {
        digest = (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    assert_eq!((events.len(), digest), (20_317, 2_802_310_017_483_421_018), "the events of seed 7 have changed");
}

#[test]
fn events_come_by_arrival_and_out_of_order_by_seconds() {
    let events = run(settings("steady", 5));
    assert!(events.is_sorted_by_key(|event| event.arrival_ms));
    let mut latest_ms = i64::MIN;
    let mut behind: Vec<_> = events
        .iter()
        .map(|event| {
            latest_ms = latest_ms.max(event.event_time_ms);
            latest_ms - event.event_time_ms
        })
        .collect();
    behind.sort_unstable();
    assert!(behind[behind.len() / 2] > 50, "median {}", behind[behind.len() / 2]);
    let most = behind[behind.len() - 1];
    assert!((3000..10_000).contains(&most), "most {most}");
    assert!(events.iter().all(|event| event.arrival_ms >= event.event_time_ms));
}

#[test]
fn the_rate_is_reached() {
    let events = run(settings("steady", 20));
    let settled = events.iter().filter(|e| (10 * MINUTE_MS..20 * MINUTE_MS).contains(&elapsed_ms(e))).count();
    let per_second = settled as f64 / 600.0;
    assert!((per_second - 200.0).abs() < 4.0, "{per_second}");
}

#[test]
fn the_day_has_a_rhythm() {
    let rate = |hour: i64| {
        let settings = Settings { start_ms: START_MS + hour * HOUR_MS, daily_rhythm: true, ..settings("steady", 2) };
        of_type(&run(settings), "api_call.completed").count()
    };
    assert!(rate(1) > 3 * rate(9));
}

#[test]
fn a_week_has_the_events_asked_for() {
    let asked = 0.2 * 7.0 * 86_400.0;
    let share = steady_week().len() as f64 / asked;
    assert!((0.85..1.05).contains(&share), "{} of {asked}", steady_week().len());
}

#[test]
fn slow_probes_leave_room_for_orders() {
    let orders = |events: &[SimulatedEvent]| of_type(events, "order.created").count() as f64 / events.len() as f64;
    let (many, few) = (orders(steady()), orders(steady_week()));
    assert!(few > 0.5 * many, "{few} of the events are orders, not {many}");
}

#[test]
fn ids_are_unique() {
    for events in [&run(settings("viral_spike", 8))[..], steady_week()] {
        let mut seen = HashSet::new();
        for event in events {
            let id = attribute(event, "id").unwrap();
            assert_eq!(id.len(), 26);
            assert!(seen.insert(id), "{event:?}");
        }
    }
}

/// Numbered events of a subject arrive in their order, whatever topic they are in.
#[test]
fn sequences_count_the_events_of_a_subject() {
    for events in [steady(), steady_week(), eventful_week()] {
        let mut last: HashMap<(&str, &str, &str), u64> = HashMap::new();
        for event in events.iter().filter(is_counted) {
            let Some(sequence) = attribute(event, "sequence") else { continue };
            let subject = (attribute(event, "tenantid").unwrap(), attribute(event, "subject").unwrap(), event.topic);
            let last = last.entry(subject).or_default();
            assert_eq!(sequence.parse::<u64>().unwrap(), *last + 1, "{}", json(event));
            *last += 1;
        }
    }
}

#[test]
fn a_run_that_starts_later_has_other_ids() {
    let ids = |events: &[SimulatedEvent]| -> HashSet<String> {
        events.iter().filter_map(|e| json(e)["data"]["order_id"].as_str().map(str::to_owned)).collect()
    };
    let first = run(settings("steady", 1));
    let second = run(Settings { start_ms: START_MS + 60_000, ..settings("steady", 1) });
    assert!(ids(&first).is_disjoint(&ids(&second)));
}

#[test]
fn every_good_event_has_the_envelope() {
    for event in run(settings("demo", 5)).iter().filter(|event| !matches!(event.truth, Truth::Bad(_))) {
        let json = json(event);
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["datacontenttype"], "application/json");
        assert_eq!(json["type"], event.event_type);
        assert_eq!(json["partitionkey"], event.key);
        let text = |name: &str| {
            json[name].as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{name}: {json}"))
        };
        assert!(text("source").starts_with("/creatorflow/") || text("source").starts_with("/platform/"));
        assert!(text("subject").contains('/'));
        assert!(matches!(text("tenantkind"), "creator" | "platform"));
        let has_tenant = event.key.starts_with(&format!("{}:", text("tenantid")));
        assert_eq!(has_tenant, event.topic != HEALTH_TOPIC, "{}", event.key);
        let mut expected = Vec::new();
        writer::object(&mut expected, 0, |o| o.time("time", event.event_time_ms * 1000));
        assert_eq!(format!("{{\"time\":\"{}\"}}", text("time")).as_bytes(), expected);
        assert!(json["data"].is_object());
        assert!(TOPICS.contains(&event.topic));
        assert!(!event.body.contains(&b'\n'));
    }
}

/// Values of enumerations as the catalogue has them.
const ENUMS: &[(&str, &[&str])] = &[
    ("priority_level", &["high", "urgent", "standard", "automated"]),
    ("impact_level", &["VIRAL", "HIGH", "MED", "AUTO"]),
    ("order_status", ORDER_STATUS),
    ("payment_status", PAYMENT_STATUS),
    ("previous_payment_status", PAYMENT_STATUS),
    ("fulfillment_stage", STAGE),
    ("previous_stage", STAGE),
    ("exception_source", &["order", "inventory", "shipping", "tiktok", "payment"]),
    ("processing_status", &["received", "processing", "processed", "failed", "retrying", "dead_letter"]),
    ("direction", &["outbound", "internal"]),
    ("carrier", CARRIERS),
    ("chosen_carrier", CARRIERS),
    ("sync_status", &["synced", "syncing", "pending", "drifted", "failed"]),
    ("state", &["connected", "degraded", "reauth_required", "disconnected"]),
    ("closed_by", &["human", "automation", "expired"]),
    ("resolved_by", &["auto", "human"]),
    ("criticality", &["hard", "soft"]),
    ("escalation_level", &["none", "notify", "alert", "critical"]),
    ("resource", &["cpu", "memory", "storage", "network", "connections"]),
    ("component", &["database", "supabase", "edge_function", "n8n", "carrier", "tiktok", "web", "queue", "llm", "mcp"]),
    (
        "automation_type",
        &["order_processing", "stock_adjustment", "label_generation", "customer_notification", "reconciliation"],
    ),
    ("system", &["orders", "inventory", "shipping", "tiktok", "payment", "crm", "content"]),
];
const CARRIERS: &[&str] = &["USPS", "UPS", "FEDEX", "DHL"];
/// Fields whose values depend on the type.
const BY_TYPE: &[(&str, &str, &[&str])] = &[
    ("order.status_changed", "previous_status", ORDER_STATUS),
    ("order.processed", "outcome", &["success", "failed"]),
    ("api_call.completed", "outcome", API_OUTCOMES),
    ("label.completed", "outcome", &["created", "failed"]),
    ("oversell.detected", "outcome", &["prevented", "occurred"]),
    ("automation_run.finished", "outcome", &["success", "failed", "skipped"]),
    ("shipment.status_changed", "status", SHIPMENT_STATUS),
    ("health_check.completed", "status", &["nominal", "warning", "critical"]),
    ("backup.finished", "status", &["healthy", "warning", "failed"]),
    ("backup.finished", "kind", &["full", "incremental", "restore_test"]),
    ("claim.filed", "kind", &["lost", "damaged", "late"]),
    ("api_sync.completed", "kind", &["orders", "products"]),
    ("oauth_token.changed", "change", &["issued", "refreshed", "refresh_failed", "expired", "revoked"]),
    ("automation_rule.changed", "change", &["created", "edited", "enabled", "disabled", "deleted"]),
    ("failover.switched", "mode", &["automatic", "manual"]),
    ("stock.changed", "reason", STOCK_REASON),
];
const SHIPMENT_STATUS: &[&str] = &[
    "label_created",
    "label_failed",
    "picked_up",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "delivery_exception",
    "returned_to_sender",
    "lost",
];
const STOCK_REASON: &[&str] = &[
    "sale",
    "reservation",
    "release",
    "return",
    "restock",
    "adjustment_auto",
    "adjustment_manual",
    "sync_correction",
    "damage",
];
const ORDER_STATUS: &[&str] = &[
    "pending",
    "confirmed",
    "processing",
    "on_hold",
    "exception",
    "ready_to_ship",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "returned",
];
const PAYMENT_STATUS: &[&str] =
    &["pending", "authorized", "paid", "failed", "partially_refunded", "refunded", "disputed"];
const STAGE: &[&str] = &[
    "received",
    "validated",
    "allocated",
    "picked",
    "packed",
    "labeled",
    "ready_to_ship",
    "handed_over",
    "in_transit",
    "delivered",
    "returned",
];
const API_OUTCOMES: &[&str] =
    &["success", "client_error", "server_error", "timeout", "network_error", "rate_limited", "auth_error"];

#[test]
fn enumerations_have_the_values_of_the_catalogue() {
    let demo = run(few("demo", 10));
    let mut seen = HashSet::new();
    for event in demo.iter().chain(eventful_week()).filter(|event| !matches!(event.truth, Truth::Bad(_))) {
        let data = &json(event)["data"];
        for (field, values) in ENUMS {
            if let Some(value) = data.get(*field) {
                assert!(values.contains(&value.as_str().unwrap()), "{field}: {value}");
                seen.insert((*field, value.as_str().unwrap().to_owned()));
            }
        }
        for (kind, field, values) in BY_TYPE.iter().filter(|(kind, ..)| event.event_type.contains(kind)) {
            let value = data[*field].as_str().unwrap();
            assert!(values.contains(&value), "{kind}.{field}: {value}");
            seen.insert((*field, value.to_owned()));
        }
    }
    for value in ["VIRAL", "HIGH", "MED", "AUTO"] {
        assert!(seen.contains(&("impact_level", value.to_owned())), "{value} never occurs");
    }
    for value in STOCK_REASON {
        assert!(seen.contains(&("reason", (*value).to_owned())), "{value} never occurs");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let good = settings("steady", 1);
    let error = |settings| Generator::new(settings).unwrap_err();
    assert_eq!(error(Settings { events_per_second: 0.0, ..good.clone() }), SettingsError::Rate(0.0));
    assert!(matches!(error(Settings { events_per_second: f64::NAN, ..good.clone() }), SettingsError::Rate(_)));
    assert_eq!(error(Settings { creators: 0, ..good.clone() }), SettingsError::Creators(0));
    assert_eq!(error(Settings { duration_ms: Some(-1), ..good.clone() }), SettingsError::Duration(-1));
    assert_eq!(error(Settings { start_ms: i64::MAX, ..good }), SettingsError::Start(i64::MAX));
}

#[test]
fn a_run_of_no_length_is_empty() {
    assert_eq!(run(settings("demo", 0)), []);
}
