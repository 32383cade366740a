use crate::testing::{HOUR_MS, elapsed_ms, eventful_week, int, is_counted, json, of_type, run, settings, steady, text};
use crate::{HEALTH_TOPIC, Truth};
use std::collections::{BTreeMap, HashSet};

#[test]
fn the_status_is_what_the_thresholds_say() {
    for check in of_type(eventful_week(), "health_check.completed").filter(is_counted).map(json) {
        let value = int(&check, "current_value");
        let expected = if value >= int(&check, "threshold_critical") {
            "critical"
        } else if value >= int(&check, "threshold_warning") {
            "warning"
        } else {
            "nominal"
        };
        assert_eq!(text(&check, "status"), expected, "{check}");
    }
}

#[test]
fn events_of_machines_belong_to_the_platform_and_have_the_service_as_key() {
    for event in steady().iter().filter(|event| event.topic == HEALTH_TOPIC) {
        let json = json(event);
        assert_eq!((json["tenantkind"].as_str(), json["tenantid"].as_str()), (Some("platform"), Some("platform")));
        assert!(json["subject"].as_str().unwrap().ends_with(&format!("/{}", event.key)));
    }
}

#[test]
fn a_carrier_in_its_outage_is_seen_by_checks() {
    let mut critical = 0;
    for event in of_type(eventful_week(), "health_check.completed").filter(is_counted) {
        let check = json(event);
        let is_out =
            text(&check, "service_name") == "carrier-usps" && (64 * HOUR_MS..67 * HOUR_MS).contains(&elapsed_ms(event));
        assert_eq!(event.truth == Truth::CarrierOutage, is_out);
        critical += i64::from(is_out && text(&check, "status") == "critical");
    }
    assert!(critical > 5, "{critical}");
}

/// The queue of webhooks, computed from the webhooks alone.
#[test]
fn the_queue_is_as_long_as_the_webhooks_that_wait() {
    let events = run(settings("webhook_backlog", 9));
    // +1 when one comes, −1 when it is done with, by time.
    let mut steps: BTreeMap<i64, i64> = BTreeMap::new();
    for event in of_type(&events, "webhook.received") {
        *steps.entry(event.event_time_ms).or_default() += 1;
    }
    for event in of_type(&events, "webhook.processed") {
        if text(&json(event), "processing_status") != "retrying" {
            *steps.entry(event.event_time_ms).or_default() -= 1;
        }
    }
    let (mut longest, mut samples) = (0, 0);
    for event in of_type(&events, "queue.sampled") {
        let sample = json(event);
        if text(&sample, "queue") != "webhooks" {
            continue;
        }
        let sum_until = |until_ms: i64| steps.range(..until_ms).map(|(_, step)| step).sum::<i64>();
        // What happens in the very millisecond may be seen or not.
        let bounds = [sum_until(event.event_time_ms), sum_until(event.event_time_ms + 1)];
        let depth = int(&sample, "depth");
        assert!(bounds.contains(&depth) || depth < 20, "{depth} waiting, {bounds:?} counted");
        longest = longest.max(depth);
        samples += 1;
    }
    assert!(samples > 20 && longest > 1000, "{samples} samples, at most {longest}");
}

#[test]
fn everything_is_sampled() {
    let mut seen = HashSet::new();
    for event in eventful_week().iter().filter(|event| event.topic == HEALTH_TOPIC) {
        seen.insert(event.event_type);
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}
