//! What scenarios do to the steady stream, and what they leave as it was.

use super::*;
use crate::{BadInput, OVERSIZED_BYTES};

#[test]
fn a_spike_is_ten_times_the_usual_rate() {
    let placed_in = |scenario| {
        let mut placed = HashMap::new();
        // Enough orders of one creator for a ratio.
        for event in run(Settings { events_per_second: 300.0, ..settings(scenario, 10) }) {
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

/// Creators that an effect does not touch tell the same as without it.
#[test]
fn trouble_of_one_creator_is_no_trouble_of_another() {
    let of_others = |events: &[SimulatedEvent], touched: &str| -> Vec<Vec<u8>> {
        let others = events.iter().filter(|e| e.key.starts_with("crt_") && !e.key.starts_with(touched));
        others.map(|event| event.body.clone()).collect()
    };
    let ordinary = run(few("steady", 10));
    for (scenario, touched) in [("viral_spike", "crt_0005"), ("stock_out", "crt_0001"), ("token_expiry", "crt_0002")] {
        let events = run(few(scenario, 10));
        assert!(events != ordinary, "{scenario}");
        assert!(of_others(&events, touched) == of_others(&ordinary, touched), "{scenario}");
    }
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
    for event in of_type(&run(calm("carrier_outage", 12)), "api_call.completed") {
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
fn an_offline_shop_comes_back_after_a_day() {
    let settings = |scenario| Settings { duration_ms: Some(30 * HOUR_MS), events_per_second: 1.0, ..week(scenario) };
    let (ordinary, offline) = (run(settings("steady")), run(settings("shop_offline")));
    assert_eq!(sorted(bodies(&offline)), sorted(bodies(&ordinary)));
    let held: Vec<_> = offline.iter().filter(|event| event.truth == Truth::Late).collect();
    assert!(held.len() > 1000, "{}", held.len());
    for event in &held {
        assert!(event.key.starts_with("crt_0003:"));
        assert!((2 * HOUR_MS..26 * HOUR_MS).contains(&elapsed_ms(event)));
        let arrived_ms = event.arrival_ms - START_MS;
        assert!((26 * HOUR_MS..26 * HOUR_MS + 10_000).contains(&arrived_ms), "{arrived_ms}");
    }
    assert!(held.iter().any(|event| event.arrival_ms - event.event_time_ms > 23 * HOUR_MS));
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
    let (steady, with_bad) = (steady(), run(calm("bad_input", 20)));
    let (bad, good) = split(&with_bad, |truth| matches!(truth, Truth::Bad(_)));
    assert_eq!(good, bodies(steady));
    let share = bad.len() as f64 / good.len() as f64;
    assert!((0.009..0.012).contains(&share), "{share}");
}

#[test]
fn bad_input_is_bad_in_the_way_it_says() {
    let mut seen = HashSet::new();
    for event in run(calm("bad_input", 20)) {
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
fn a_small_population_has_every_scenario() {
    for scenario in scenarios() {
        let events = run(Settings { creators: 1, ..few(scenario.name, 6) });
        assert!(events.len() > 5_000, "{}: {}", scenario.name, events.len());
    }
}

#[test]
fn every_topic_and_every_trouble_occurs_in_a_week() {
    let topics: HashSet<_> = eventful_week().iter().map(|event| event.topic).collect();
    assert_eq!(topics, HashSet::from(TOPICS));
    let truths: HashSet<_> = eventful_week().iter().map(|event| event.truth.as_str()).collect();
    for truth in [
        Truth::Normal,
        Truth::ViralSpike,
        Truth::CarrierOutage,
        Truth::WebhookBacklog,
        Truth::StockOut,
        Truth::TokenExpiry,
        Truth::Duplicate,
        Truth::Late,
        Truth::Skewed,
    ] {
        assert!(truths.contains(truth.as_str()), "{}", truth.as_str());
    }
}
