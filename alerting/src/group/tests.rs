use super::*;
use crate::test_support::{alert, at, config};

fn tree(route: &str) -> RouteTree {
    RouteTree::new(&config(&format!("route: {{receiver: a, {route}}}\nreceivers: [{{name: a}}]\n")))
}

const TIMERS: &str = "group_by: [alertname], group_wait: 10s, group_interval: 60s";

fn names(flushes: &[Flush]) -> Vec<(String, usize)> {
    flushes.iter().map(|flush| (flush.key.clone(), flush.alerts.len())).collect()
}

#[test]
fn a_new_group_waits_for_company_then_keeps_its_rhythm() {
    let (tree, mut groups) = (tree(TIMERS), Groups::default());
    groups.on_alert(&tree, &alert([("alertname", "A"), ("i", "1")], 0.0), at(0.0));
    groups.on_alert(&tree, &alert([("alertname", "A"), ("i", "2")], 5.0), at(5.0));
    groups.on_alert(&tree, &alert([("alertname", "B")], 5.0), at(5.0));
    assert_eq!(groups.next_due(), Some(at(10.0)));
    assert!(groups.due(&tree, at(9.999)).is_empty());
    assert_eq!(names(&groups.due(&tree, at(10.0))), [(r#"{}:{alertname="A"}"#.to_string(), 2)]);
    assert_eq!(names(&groups.due(&tree, at(15.0))).len(), 1);
    // One that comes after the first flush waits for the next.
    groups.on_alert(&tree, &alert([("alertname", "A"), ("i", "3")], 0.0), at(20.0));
    assert!(groups.due(&tree, at(69.0)).is_empty());
    assert_eq!(groups.due(&tree, at(70.0))[0].alerts.len(), 3);
}

#[test]
fn a_clock_that_is_set_back_holds_no_group_up() {
    let (tree, mut groups) = (tree(TIMERS), Groups::default());
    groups.on_alert(&tree, &alert([("alertname", "A")], 7200.0), at(7200.0));
    groups.bound_waits(&tree, at(7200.0));
    assert_eq!(groups.next_due(), Some(at(7210.0)), "it waits as it did");
    groups.bound_waits(&tree, at(0.0));
    assert_eq!(groups.next_due(), Some(at(60.0)));
}

#[test]
fn an_old_alert_is_flushed_at_once() {
    let (tree, mut groups) = (tree(TIMERS), Groups::default());
    groups.on_alert(&tree, &alert([("alertname", "A")], -60.0), at(0.0));
    assert_eq!(groups.due(&tree, at(0.0)).len(), 1);
}

#[test]
fn resolved_alerts_leave_once_dealt_with() {
    let (tree, mut groups) = (tree(TIMERS), Groups::default());
    let mut one = alert([("alertname", "A"), ("i", "1")], 0.0);
    let two = alert([("alertname", "A"), ("i", "2")], 0.0);
    groups.on_alert(&tree, &one, at(0.0));
    groups.on_alert(&tree, &two, at(0.0));
    let first = groups.due(&tree, at(10.0)).remove(0);
    assert!(first.alerts.iter().all(|alert| alert.ends_at.is_none()), "ends that lie ahead are cleared");
    groups.settle(&first);
    one.ends_at = Some(at(30.0));
    one.updated_at = at(30.0);
    groups.on_alert(&tree, &one, at(30.0));
    let second = groups.due(&tree, at(70.0)).remove(0);
    assert_eq!(second.alerts.iter().filter(|alert| alert.resolved_at(at(70.0))).count(), 1);
    // It fires again while the flush is on its way: it must stay.
    let mut again = one.clone();
    (again.ends_at, again.updated_at) = (Some(at(1e6)), at(71.0));
    let mut raced = groups.clone();
    raced.on_alert(&tree, &again, at(71.0));
    raced.settle(&second);
    assert_eq!(raced.iter().next().unwrap().1.alerts.len(), 2);
    groups.settle(&second);
    assert_eq!(groups.iter().next().unwrap().1.alerts.len(), 1);
}

#[test]
fn empty_groups_are_deleted_at_once_or_later() {
    for keep_empty_ms in [0, 30_000] {
        let (tree, mut groups) = (tree(TIMERS), Groups { keep_empty_ms, ..Groups::default() });
        let mut one = alert([("alertname", "A")], 0.0);
        one.ends_at = Some(at(5.0));
        groups.on_alert(&tree, &one, at(0.0));
        let flush = groups.due(&tree, at(10.0)).remove(0);
        groups.settle(&flush);
        assert_eq!(groups.iter().count(), usize::from(keep_empty_ms > 0));
        groups.due(&tree, at(41.0));
        assert_eq!(groups.iter().count(), 0);
    }
}

#[test]
fn a_restart_continues_the_timers() {
    let (tree, mut groups) = (tree(TIMERS), Groups::default());
    groups.on_alert(&tree, &alert([("alertname", "A")], 0.0), at(0.0));
    groups.due(&tree, at(10.0));
    let written = serde_json::to_string(&groups).unwrap();
    let mut read: Groups = serde_json::from_str(&written).unwrap();
    assert_eq!(read.next_due(), Some(at(70.0)));
    // Another tree with the same keys: the same timers, and a shorter interval counts from now.
    let alerts: Vec<Alert> = read.iter().flat_map(|(_, group)| group.alerts.values().cloned()).collect();
    read.reroute(&tree, alerts.iter(), at(20.0));
    assert_eq!(read.next_due(), Some(at(70.0)));
    let quicker = self::tree("group_by: [alertname], group_wait: 10s, group_interval: 5s");
    read.reroute(&quicker, alerts.iter(), at(20.0));
    assert_eq!(read.next_due(), Some(at(25.0)));
    let other = self::tree("group_by: [i], group_wait: 10s");
    read.reroute(&other, alerts.iter(), at(20.5));
    assert_eq!(read.next_due(), Some(at(20.5)), "an old alert in a new group is flushed at once");
}

#[test]
fn at_the_bound_alerts_join_one_group() {
    let (tree, mut groups) = (tree("group_by: [i], group_wait: 10s"), Groups { groups_max: 2, ..Groups::default() });
    for i in ["1", "2", "3", "4", "5"] {
        groups.on_alert(&tree, &alert([("i", i)], 0.0), at(0.0));
    }
    assert_eq!((groups.iter().count(), groups.folded), (3, 3));
    let flushed: usize = groups.due(&tree, at(10.0)).iter().map(|flush| flush.alerts.len()).sum();
    assert_eq!(flushed, 5, "none is lost");
}

#[test]
fn messages_about_one_alert_are_merged() {
    let mut store = AlertStore::default();
    let posted = |starts: f64, ends: Option<f64>| Alert {
        ends_at: ends.map(at),
        ..Alert::firing(Labels::from([("a", "b")]), at(starts))
    };
    let timeout = Some(TimeDelta::seconds(60));
    let first = store.receive(posted(0.0, None), timeout, at(0.0)).unwrap();
    assert!(first.timeout && first.ends_at == Some(at(60.0)));
    // A later start does not restart it.
    let second = store.receive(posted(30.0, None), timeout, at(30.0)).unwrap();
    assert_eq!((second.starts_at, second.ends_at), (at(0.0), Some(at(90.0))));
    let resolved = store.receive(posted(0.0, Some(40.0)), timeout, at(40.0)).unwrap();
    assert!(resolved.resolved_at(at(40.0)) && !resolved.resolved_at(at(39.0)));
    // A new firing after the end is a new one.
    let again = store.receive(posted(50.0, None), timeout, at(50.0)).unwrap();
    assert_eq!(again.starts_at, at(50.0));
    assert!(store.receive(Alert::firing(Labels::default(), at(0.0)), None, at(0.0)).is_err());
    assert!(store.receive(posted(9.0, Some(8.0)), None, at(9.0)).is_err());
    assert_eq!(store.forget_resolved(at(110.0 + 1800.0)), 1);
    store.alerts_max = 0;
    assert!(store.receive(posted(0.0, None), None, at(0.0)).unwrap_err().contains("too many"));
    assert_eq!(store.refused, 1);
}
