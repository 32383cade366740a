use crate::testing::{by_field, int, json, of_type, steady, steady_week, text};
use std::collections::{HashMap, HashSet};

#[test]
fn attempts_of_a_run_follow_failures() {
    let runs = by_field(of_type(steady(), "automation_run.finished"), "logical_run_id");
    let (mut ids, mut recovered) = (HashSet::new(), 0);
    for (logical, attempts) in &runs {
        for (index, run) in attempts.iter().enumerate() {
            assert_eq!(int(run, "attempt"), index as i64 + 1, "{logical}");
            assert!(ids.insert(text(run, "run_id").to_owned()), "{run}");
            assert_eq!(text(run, "run_id") == *logical, index == 0, "{run}");
            assert_eq!(run["data"].get("error_code").is_some(), text(run, "outcome") == "failed", "{run}");
            assert!(index + 1 == attempts.len() || text(run, "outcome") == "failed", "{run}");
        }
        recovered += usize::from(attempts.len() > 1);
    }
    assert!(recovered > 50, "{recovered}");
}

#[test]
fn only_rules_that_are_on_do_anything() {
    let mut is_active: HashMap<(String, String), bool> = HashMap::new();
    let mut events: Vec<_> =
        steady_week().iter().filter(|event| event.topic == crate::AUTOMATION_TOPIC).map(json).collect();
    events.sort_by_key(|event| event["time"].as_str().unwrap().to_owned());
    let mut runs = 0;
    for event in &events {
        let rule = || (event["tenantid"].as_str().unwrap().to_owned(), text(event, "rule_id").to_owned());
        match event["type"].as_str().unwrap() {
            "automation.automation_rule.changed.v1" => {
                is_active.insert(rule(), event["data"]["is_active"] == true);
            }
            // A run that failed is repeated even if the rule was switched off meanwhile.
            "automation.automation_run.finished.v1" if int(event, "attempt") == 1 => {
                assert_eq!(is_active.get(&rule()), Some(&true), "{event}");
                runs += 1;
            }
            _ => {}
        }
    }
    assert!(runs > 1000 && is_active.values().any(|on| !on));
}

#[test]
fn reports_say_what_the_runs_of_the_day_say() {
    let mut items: HashMap<(String, String, String), i64> = HashMap::new();
    for run in of_type(steady_week(), "automation_run.finished").map(json) {
        if text(&run, "outcome") == "success" {
            let day = run["time"].as_str().unwrap()[..10].to_owned();
            let key = (run["tenantid"].as_str().unwrap().to_owned(), text(&run, "automation_type").to_owned(), day);
            *items.entry(key).or_default() += int(&run, "items");
        }
    }
    let (mut reported, mut counted) = (0, 0);
    for report in of_type(steady_week(), "automation_metric.reported").map(json) {
        let tenant = report["tenantid"].as_str().unwrap().to_owned();
        let key = (tenant, text(&report, "automation_type").to_owned(), text(&report, "metric_date").to_owned());
        reported += int(&report, "orders_processed");
        counted += items.get(&key).copied().unwrap_or(0);
    }
    // A report comes some seconds after midnight and has the runs of these seconds.
    assert!(reported > 2000 && (reported - counted).abs() * 50 < reported, "{reported} reported, {counted} counted");
}

#[test]
fn actions_are_opened_and_then_closed_once() {
    let opened = by_field(of_type(steady(), "action.opened"), "action_id");
    let closed = by_field(of_type(steady(), "action.closed"), "action_id");
    assert!(closed.len() > 500);
    for (id, closed) in &closed {
        assert_eq!((opened[id].len(), closed.len()), (1, 1), "{id}");
        let (opened, closed) = (&opened[id][0], &closed[0]);
        assert_eq!(opened["data"]["entity_ref"], closed["data"]["entity_ref"]);
        assert!(opened["time"].as_str() <= closed["time"].as_str());
        assert_eq!(text(closed, "closed_by") == "human", int(closed, "human_ms") > 0);
    }
}
