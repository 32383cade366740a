use crate::testing::{
    HOUR_MS, MINUTE_MS, START_MS, by_field, elapsed_ms, eventful_week, int, is_counted, json, of_type, run, settings,
    steady, steady_week, text,
};
use crate::{SimulatedEvent, Truth};

#[test]
fn what_is_fetched_is_what_was_ordered() {
    let last_ms = steady().iter().map(|event| event.event_time_ms).max().unwrap();
    let created = of_type(steady(), "order.created").count() as i64;
    let fetched: i64 = of_type(steady(), "api_sync.completed").map(|event| int(&json(event), "created")).sum();
    assert!(last_ms > START_MS && fetched <= created && fetched * 10 > created * 6, "{fetched} of {created}");
    for sync in of_type(steady(), "api_sync.completed").map(json) {
        if text(&sync, "kind") == "orders" {
            assert_eq!(int(&sync, "records_seen"), int(&sync, "created") + int(&sync, "updated"));
        }
    }
}

#[test]
fn tokens_are_refreshed_before_they_expire() {
    for (shop, changes) in by_field(of_type(steady_week(), "oauth_token.changed"), "shop_id") {
        assert_eq!(text(&changes[0], "change"), "issued", "{shop}");
        for pair in changes.windows(2) {
            assert_ne!(text(&pair[1], "change"), "expired", "{shop}");
            assert!(pair[1]["time"].as_str() < pair[0]["data"]["token_expires_at"].as_str(), "{shop}");
        }
        assert!(changes.len() > 7, "{shop}");
    }
}

fn calls_of<'a>(events: &'a [SimulatedEvent], shop: &str) -> Vec<(&'a SimulatedEvent, serde_json::Value)> {
    let calls = of_type(events, "api_call.completed").map(|event| (event, json(event)));
    calls.filter(|(_, call)| call["data"]["shop_id"] == shop && call["data"]["provider"] == "tiktok_shop").collect()
}

#[test]
fn without_a_token_every_call_is_refused() {
    let events = run(settings("token_expiry", 10));
    let changes: Vec<_> = of_type(&events, "oauth_token.changed").filter(|e| e.truth == Truth::TokenExpiry).collect();
    let told: Vec<_> = changes.iter().map(|event| (elapsed_ms(event), json(event))).collect();
    let seen: Vec<_> = told.iter().map(|(at, event)| (*at, text(event, "change"))).collect();
    let (from, until) = (2 * MINUTE_MS, 7 * MINUTE_MS);
    assert_eq!(seen, [(from, "refresh_failed"), (from, "expired"), (until, "issued")]);
    let shop = text(&told[0].1, "shop_id").to_owned();
    let states = by_field(of_type(&events, "shop_connection.changed"), "shop_id");
    let states: Vec<_> = states[&shop].iter().map(|event| text(event, "state")).collect();
    assert_eq!(states, ["connected", "reauth_required", "connected"]);
    let mut refused = 0;
    for (event, call) in calls_of(&events, &shop) {
        let is_expired = (from..until).contains(&elapsed_ms(event));
        assert_eq!(event.truth == Truth::TokenExpiry, is_expired);
        assert!(!is_expired || text(&call, "outcome") == "auth_error", "{call}");
        refused += usize::from(is_expired);
    }
    assert!(refused > 100, "{refused}");
    let failed = of_type(&events, "api_sync.completed").filter(|event| event.truth == Truth::TokenExpiry).map(json);
    for sync in failed {
        assert_eq!((text(&sync, "outcome"), text(&sync, "shop_id")), ("failed", shop.as_str()));
    }
}

#[test]
fn a_week_has_one_expiry() {
    let changes = of_type(eventful_week(), "oauth_token.changed").filter(is_counted);
    let expired: Vec<_> = changes.filter(|event| text(&json(event), "change") == "expired").map(elapsed_ms).collect();
    assert_eq!(expired, [110 * HOUR_MS]);
}
