use super::*;
use crate::testing::{calm, json, of_type, run, steady};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

fn calls(scenario: &str) -> Vec<Value> {
    let made;
    let events = match scenario {
        "steady" => steady(),
        // The outage is from minute 5 to minute 10.
        _ => {
            made = run(calm(scenario, 12));
            &made
        }
    };
    of_type(events, "api_call.completed").map(json).collect()
}

fn outcome_of(status_code: i64) -> &'static str {
    match status_code {
        0 => "network_error",
        200..=299 => "success",
        401 | 403 => "auth_error",
        429 => "rate_limited",
        400..=499 => "client_error",
        504 => "timeout",
        500..=599 => "server_error",
        _ => panic!("status code {status_code}"),
    }
}

#[test]
fn the_outcome_matches_the_status_code() {
    let mut seen = HashSet::new();
    for call in calls("carrier_outage") {
        let data = &call["data"];
        assert_eq!(data["outcome"], outcome_of(data["status_code"].as_i64().unwrap()));
        assert_eq!(data.get("error_code").is_none(), data["outcome"] == "success");
        seen.insert(data["outcome"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn on_an_ordinary_day_few_calls_fail() {
    let calls = calls("steady");
    let failed = calls.iter().filter(|call| call["data"]["outcome"] != "success").count();
    let share = failed as f64 / calls.len() as f64;
    assert!((0.015..0.021).contains(&share), "{share}");
}

#[test]
fn attempts_of_a_call_follow_failures() {
    let mut logical: HashMap<String, Vec<Value>> = HashMap::new();
    for call in calls("carrier_outage") {
        let id = call["data"]["logical_call_id"].as_str().unwrap().to_owned();
        logical.entry(id).or_default().push(call);
    }
    let mut recovered = 0;
    for attempts in logical.values() {
        assert!(attempts.len() <= usize::from(ATTEMPTS_MAX));
        for (index, call) in attempts.iter().enumerate() {
            assert_eq!(call["data"]["attempt"], index + 1);
            assert!(index == 0 || attempts[index - 1]["data"]["outcome"] != "success");
        }
        recovered += usize::from(attempts.len() > 1 && attempts[attempts.len() - 1]["data"]["outcome"] == "success");
    }
    assert!(recovered > 100, "{recovered}");
}

#[test]
fn shared_credentials_belong_to_the_platform() {
    for call in calls("steady") {
        let is_shared = matches!(call["data"]["provider"].as_str().unwrap(), "stripe" | "n8n" | "supabase" | "openai");
        assert_eq!(call["tenantkind"] == "platform", is_shared);
        assert_eq!(call["data"].get("shop_id").is_none(), is_shared);
    }
}

#[test]
fn latencies_differ_between_apis() {
    let mut latencies: HashMap<String, Vec<i64>> = HashMap::new();
    for call in calls("steady") {
        let data = &call["data"];
        if data["outcome"] == "success" {
            let api = format!("{}.{}", data["provider"].as_str().unwrap(), data["api"].as_str().unwrap());
            latencies.entry(api).or_default().push(data["duration_ms"].as_i64().unwrap());
        }
    }
    assert_eq!(latencies.len(), PROFILES.len());
    let mut median = |api: &str| {
        let values = latencies.get_mut(api).unwrap();
        values.sort_unstable();
        values[values.len() / 2]
    };
    for profile in PROFILES {
        let found = median(&format!("{}.{}", profile.provider, profile.api)) as f64;
        assert!((found / profile.median_ms - 1.0).abs() < 0.2, "{profile:?}: {found}");
    }
}
