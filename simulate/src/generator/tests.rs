use super::*;
use crate::json as writer;
use crate::testing::{MINUTE_MS, START_MS, elapsed_ms, json, run, settings};
use crate::{BadInput, OVERSIZED_BYTES, TOPICS, scenarios};
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

#[test]
fn the_same_settings_give_the_same_events() {
    for scenario in scenarios() {
        let (first, second) = (run(settings(scenario.name, 4)), run(settings(scenario.name, 4)));
        assert!(first == second, "{}", scenario.name);
        assert!(first.len() > 20_000, "{}: {}", scenario.name, first.len());
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
    assert_eq!((events.len(), digest), (21_265, 1_726_569_941_906_332_303), "the events of seed 7 have changed");
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
        let settings =
            Settings { start_ms: START_MS + hour * 60 * MINUTE_MS, daily_rhythm: true, ..settings("steady", 2) };
        run(settings).len()
    };
    assert!(rate(1) > 3 * rate(9));
}

#[test]
fn ids_are_unique() {
    let events = run(settings("viral_spike", 8));
    let mut seen = HashSet::new();
    for event in &events {
        let id = json(event)["id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 26);
        assert!(seen.insert(id));
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
        assert!(text("source").starts_with("/creatorflow/"));
        assert!(text("subject").contains('/'));
        assert!(matches!(text("tenantkind"), "creator" | "platform"));
        assert!(event.key.starts_with(&format!("{}:", text("tenantid"))));
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
    ("previous_status", ORDER_STATUS),
    ("payment_status", PAYMENT_STATUS),
    ("previous_payment_status", PAYMENT_STATUS),
    ("fulfillment_stage", STAGE),
    ("previous_stage", STAGE),
    ("exception_source", &["order", "inventory", "shipping", "tiktok", "payment"]),
    ("processing_status", &["received", "processing", "processed", "failed", "retrying", "dead_letter"]),
    ("direction", &["outbound", "internal"]),
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
    let mut seen = HashSet::new();
    for event in run(settings("demo", 10)).iter().filter(|event| !matches!(event.truth, Truth::Bad(_))) {
        let data = &json(event)["data"];
        for (field, values) in ENUMS {
            if let Some(value) = data.get(*field) {
                assert!(values.contains(&value.as_str().unwrap()), "{field}: {value}");
                seen.insert((*field, value.as_str().unwrap().to_owned()));
            }
        }
        if let Some(outcome) = data.get("outcome").and_then(|o| o.as_str()) {
            let outcomes = if event.topic == crate::ORDERS_TOPIC { &["success", "failed"] } else { API_OUTCOMES };
            assert!(outcomes.contains(&outcome), "{outcome}");
        }
    }
    for value in ["VIRAL", "HIGH", "MED", "AUTO"] {
        assert!(seen.contains(&("impact_level", value.to_owned())), "{value} never occurs");
    }
}

#[test]
fn a_spike_is_ten_times_the_usual_rate() {
    let placed_in = |scenario| {
        let mut placed = HashMap::new();
        for event in run(settings(scenario, 10)) {
            if event.event_type == "orders.order.created.v1" && elapsed_ms(&event) >= 5 * MINUTE_MS {
                let creator = event.key.split(':').next().unwrap().to_owned();
                *placed.entry(creator).or_insert(0u32) += 1;
            }
        }
        placed
    };
    let (mut usual, mut spiked) = (placed_in("steady"), placed_in("viral_spike"));
    let [before, during] = [&mut usual, &mut spiked].map(|placed| placed.remove("crt_0005").unwrap());
    let ratio = f64::from(during) / f64::from(before);
    assert!((8.5..11.5).contains(&ratio), "{before} orders, {during} in the spike");
    assert_eq!(usual, spiked, "the other creators sell as always");
}

#[test]
fn viral_orders_say_so() {
    let events = run(settings("viral_spike", 8));
    for event in events.iter().filter(|event| event.event_type == "orders.order.created.v1") {
        let data = &json(event)["data"];
        let is_viral = event.key.starts_with("crt_0005:") && elapsed_ms(event) >= 5 * MINUTE_MS;
        assert_eq!(data["impact_level"] == "VIRAL", is_viral);
        assert_eq!(event.truth == Truth::ViralSpike, is_viral);
        assert_eq!(data["viral_score"].as_i64().unwrap() >= 60, is_viral);
    }
}

#[test]
fn an_outage_fails_six_calls_of_ten_and_slows_the_others_eightfold() {
    let mut latencies: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
    let (mut calls, mut failures) = (0, 0);
    for event in run(settings("carrier_outage", 12)).iter().filter(|e| e.event_type.ends_with("api_call.completed.v1"))
    {
        let data = &json(event)["data"];
        let is_out = (5 * MINUTE_MS..10 * MINUTE_MS).contains(&elapsed_ms(event)) && data["provider"] == "usps";
        assert_eq!(event.truth == Truth::CarrierOutage, is_out);
        if is_out {
            calls += 1;
            failures += u32::from(matches!(data["outcome"].as_str().unwrap(), "server_error" | "timeout"));
        }
        if data["provider"] == "usps" && data["api"] == "rates" && data["outcome"] == "success" {
            latencies[usize::from(is_out)].push(data["duration_ms"].as_i64().unwrap());
        }
    }
    let share = f64::from(failures) / f64::from(calls);
    assert!((0.57..0.64).contains(&share), "{failures} of {calls}");
    let [usual, slow] = latencies.map(|mut l| {
        l.sort_unstable();
        l[l.len() / 2]
    });
    let ratio = slow as f64 / usual as f64;
    assert!((6.5..9.5).contains(&ratio), "median {usual} ms, {slow} ms in the outage");
}

#[test]
fn copies_come_on_top_and_are_equal() {
    let (steady, storm) = (run(settings("steady", 8)), run(settings("duplicate_storm", 8)));
    let (copies, originals) = split(&storm, |truth| truth == Truth::Duplicate);
    assert_eq!(originals, bodies(&steady));
    let known: HashSet<_> = originals.iter().copied().collect();
    assert!(copies.iter().all(|copy| known.contains(copy)));
    let resent = copies.iter().collect::<HashSet<_>>().len();
    let in_storm = steady.iter().filter(|event| (2 * MINUTE_MS..7 * MINUTE_MS).contains(&elapsed_ms(event))).count();
    let share = resent as f64 / in_storm as f64;
    assert!((0.28..0.32).contains(&share), "{share}");
}

#[test]
fn a_late_shop_sends_the_same_events_later() {
    let (steady, late) = (run(settings("steady", 10)), run(settings("late_shop", 10)));
    assert_eq!(sorted(bodies(&late)), sorted(bodies(&steady)));
    let held: Vec<_> = late.iter().filter(|event| event.truth == Truth::Late).collect();
    assert!(held.len() > 500);
    assert!(held.iter().all(|event| event.arrival_ms - event.event_time_ms >= 5 * MINUTE_MS));
    assert!(held.iter().any(|event| event.arrival_ms - event.event_time_ms >= 15 * MINUTE_MS));
    assert!(held.iter().all(|event| event.key.starts_with("crt_0003:")));
}

#[test]
fn a_skewed_clock_changes_times_and_nothing_else() {
    let (steady, skewed) = (run(settings("steady", 8)), run(settings("clock_skew", 8)));
    assert_eq!(steady.len(), skewed.len());
    let mut errors = HashMap::new();
    for (right, wrong) in steady.iter().zip(&skewed) {
        let error_ms = wrong.event_time_ms - right.event_time_ms;
        assert_eq!(wrong.arrival_ms, right.arrival_ms);
        assert_eq!(wrong.truth == Truth::Skewed, error_ms != 0);
        assert_eq!(wrong.body == right.body, error_ms == 0);
        *errors.entry(error_ms).or_insert(0) += 1;
    }
    assert!(errors[&(2 * MINUTE_MS)] > 500 && errors[&(-2 * MINUTE_MS)] > 100 && errors.len() == 3, "{errors:?}");
}

#[test]
fn bad_input_comes_on_top() {
    let (steady, with_bad) = (run(settings("steady", 30)), run(settings("bad_input", 30)));
    let (bad, good) = split(&with_bad, |truth| matches!(truth, Truth::Bad(_)));
    assert_eq!(good, bodies(&steady));
    let share = bad.len() as f64 / good.len() as f64;
    assert!((0.009..0.012).contains(&share), "{share}");
}

#[test]
fn bad_input_is_bad_in_the_way_it_says() {
    let mut seen = HashSet::new();
    for event in run(settings("bad_input", 30)) {
        let Truth::Bad(kind) = event.truth else { continue };
        seen.insert(kind);
        let parsed = serde_json::from_slice::<serde_json::Value>(&event.body);
        let Ok(json) = parsed else {
            assert_eq!(kind, BadInput::BrokenJson);
            continue;
        };
        let data = &json["data"];
        let amount = if event.topic == crate::ORDERS_TOPIC { &data["total_minor"] } else { &data["duration_ms"] };
        assert_eq!(amount.is_string(), kind == BadInput::WrongType);
        assert_eq!(json.get("tenantid").is_none(), kind == BadInput::MissingTenant);
        assert_eq!(json.get("tenantkind").is_none(), kind == BadInput::MissingTenant);
        assert_eq!(json["time"].as_str().unwrap().starts_with("2099"), kind == BadInput::FutureTimestamp);
        assert_eq!(event.event_time_ms > START_MS + 60 * MINUTE_MS, kind == BadInput::FutureTimestamp);
        assert_eq!(data["outcome"] == "teapot", kind == BadInput::UnknownEnum);
        assert_eq!(event.body.len() >= OVERSIZED_BYTES, kind == BadInput::RecordTooLarge);
        assert!(event.body.len() < 900_000);
    }
    assert_eq!(seen, HashSet::from(BadInput::ALL));
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
fn a_small_population_has_every_scenario() {
    for scenario in scenarios() {
        let events = run(Settings { creators: 1, ..settings(scenario.name, 4) });
        assert!(events.len() > 20_000, "{}", scenario.name);
    }
}

#[test]
fn a_run_of_no_length_is_empty() {
    assert_eq!(run(settings("demo", 0)), []);
}
