use super::query::{self, AlertsQuery, ApiError, GroupsQuery, SilencesQuery};
use super::*;
use crate::route::notifier::{Notifier, NotifierState};
use crate::test_support::{at, config};

const TEXT: &str = r#"
route: {receiver: a, group_by: [alertname], group_wait: 10s, routes: [{matchers: [team=x], receiver: b, mute_time_intervals: [always]}]}
receivers: [{name: a, labels: {owner: ops}}, {name: b}]
time_intervals: [{name: always, time_intervals: [{}]}]
inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=warning]}]
"#;

fn notifier() -> Notifier {
    let mut notifier = Notifier::new(config(TEXT), NotifierState::default(), at(0.0));
    let posted = r#"[{"labels":{"alertname":"A","severity":"critical"},"generatorURL":"http://g/"},
        {"labels":{"alertname":"B","severity":"warning","empty":""},"annotations":{"x":"y"}},
        {"labels":{"alertname":"C","team":"x"},"startsAt":"2026-03-04T11:59:00Z","endsAt":"0001-01-01T00:00:00Z"},
        {"labels":{"alertname":"D","host":"h"}}]"#;
    query::post_alerts(&mut notifier, serde_json::from_str(posted).unwrap(), at(0.0)).unwrap();
    notifier
}

fn names(notifier: &Notifier, query: &AlertsQuery) -> Vec<String> {
    let found = query::alerts(notifier, query, at(1.0)).unwrap();
    let mut names: Vec<String> = found.iter().map(|alert| alert.labels.value("alertname").to_string()).collect();
    names.sort();
    names
}

fn silence(notifier: &mut Notifier, matcher: &str) -> String {
    let body = format!(
        r#"{{"matchers":[{matcher}],"startsAt":"2026-03-04T12:00:00Z","endsAt":"2026-03-04T13:00:00Z","createdBy":"anna","comment":"c"}}"#
    );
    query::post_silence(notifier, serde_json::from_str(&body).unwrap(), at(0.0), 7).unwrap().silence_id
}

#[test]
fn alerts_are_filtered_as_alertmanager_does() {
    let mut notifier = notifier();
    let id = silence(&mut notifier, r#"{"name":"host","value":"h","isRegex":false}"#);
    let query = AlertsQuery::default;
    let filter = |text: &str| AlertsQuery { filter: vec![text.to_string()], ..query() };
    for (query, expected) in [
        (query(), "ABCD"),
        (AlertsQuery { silenced: false, ..query() }, "ABC"),
        (AlertsQuery { inhibited: false, ..query() }, "ACD"),
        (AlertsQuery { active: false, ..query() }, "BD"),
        (filter("alertname=~\"A|B\""), "AB"),
        (filter("host=\"\""), "ABC"),
        (filter("host!=\"\""), "D"),
        (filter("empty=\"\""), "ABCD"),
        (AlertsQuery { receiver: Some("b|c".to_string()), ..query() }, "C"),
        (AlertsQuery { receiver_matchers: vec!["owner=ops".to_string()], ..query() }, "ABD"),
    ] {
        assert_eq!(names(&notifier, &query).join(""), expected, "{query:?}");
    }
    for bad in [filter("{a=b}"), filter("a"), AlertsQuery { receiver: Some("(".to_string()), ..query() }] {
        assert!(matches!(query::alerts(&notifier, &bad, at(1.0)), Err(ApiError::BadRequest(_))));
    }
    let shown = query::alerts(&notifier, &filter("alertname=D"), at(1.0)).unwrap();
    assert_eq!((shown[0].status.state, &shown[0].status.silenced_by[0]), (AlertState::Suppressed, &id));
    assert_eq!(shown[0].ends_at, at(300.0), "resolved after the time-out, if nobody speaks of it again");
    let later = query::alerts(&notifier, &query(), at(301.0)).unwrap();
    assert!(later.is_empty(), "what has ended is not listed");
}

#[test]
fn an_alert_that_flaps_says_so_and_others_say_nothing_of_it() {
    let text = format!("{TEXT}tidewatch: {{flapping: {{changes: 4, within: 10m, stable_for: 5m}}}}\n");
    let mut notifier = Notifier::new(config(&text), NotifierState::default(), at(0.0));
    let post = |notifier: &mut Notifier, name: &str, now: f64, is_firing: bool| {
        let labels = Labels::from([("alertname", name)]);
        let ends_at = (!is_firing).then(|| at(now));
        let posted = PostableAlert { labels, starts_at: Some(at(now - 1.0)), ends_at, ..PostableAlert::default() };
        query::post_alerts(notifier, vec![posted], at(now)).unwrap();
    };
    let shown = |notifier: &Notifier, now: f64| {
        let found = query::alerts(notifier, &AlertsQuery::default(), at(now)).unwrap();
        let status = |alert: &GettableAlert| (alert.labels.value("alertname").to_string(), alert.status.clone());
        found.iter().map(status).collect::<BTreeMap<String, AlertStatus>>()
    };
    post(&mut notifier, "Calm", 0.0, true);
    for (now, is_firing) in [(0.0, true), (30.0, false), (60.0, true), (90.0, false)] {
        assert!(!shown(&notifier, now).values().any(|status| status.flapping), "not before it has changed four times");
        post(&mut notifier, "F", now, is_firing);
    }
    post(&mut notifier, "F", 120.0, true);
    let found = shown(&notifier, 121.0);
    assert_eq!((found["F"].flapping, found["F"].state), (true, AlertState::Active));
    let json = |status: &AlertStatus| serde_json::to_value(status).unwrap().as_object().unwrap().clone();
    assert_eq!(json(&found["F"])["flapping"], true);
    let fields = json(&found["Calm"]);
    let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(fields.len(), 4, "those of Alertmanager: {fields:?}");
    post(&mut notifier, "F", 400.0, true);
    assert!(shown(&notifier, 419.0)["F"].flapping && !shown(&notifier, 420.0)["F"].flapping, "stable for 5 minutes");
}

#[test]
fn groups_say_who_hears_and_what_is_muted() {
    let notifier = notifier();
    let groups = query::groups(&notifier, &GroupsQuery::default(), at(1.0)).unwrap();
    let listed: Vec<(&str, &str)> =
        groups.iter().map(|group| (group.labels.value("alertname"), group.receiver.name.as_str())).collect();
    assert_eq!(listed, [("A", "a"), ("B", "a"), ("C", "b"), ("D", "a")]);
    assert_eq!(groups[2].alerts[0].status.muted_by, ["always"]);
    let audible = query::groups(&notifier, &GroupsQuery { muted: false, ..GroupsQuery::default() }, at(1.0)).unwrap();
    assert_eq!(audible.len(), 3);
}

#[test]
fn silences_are_listed_changed_and_deleted() {
    let mut notifier = notifier();
    let id = silence(&mut notifier, r#"{"name":"a","value":"b|c","isRegex":true,"isEqual":false}"#);
    let listed = |notifier: &Notifier, filter: &[&str], now| {
        let filter = filter.iter().map(ToString::to_string).collect();
        query::silences(notifier, &SilencesQuery { filter, ..SilencesQuery::default() }, at(now)).unwrap()
    };
    assert_eq!(listed(&notifier, &["a!~\"b|c\""], 1.0)[0].id, id);
    assert!(listed(&notifier, &["a=~\"b|c\""], 1.0).is_empty());
    let text = serde_json::to_string(&query::silence(&notifier, &id, at(1.0)).unwrap()).unwrap();
    assert!(text.contains(r#""isRegex":true,"isEqual":false"#) && text.contains(r#""state":"active""#), "{text}");
    query::delete_silence(&mut notifier, &id, at(2.0)).unwrap();
    assert_eq!(query::silence(&notifier, &id, at(2.0)).unwrap().status.state, SilenceState::Expired);
    assert!(matches!(query::delete_silence(&mut notifier, "none", at(2.0)), Err(ApiError::NotFound(_))));
    assert!(matches!(query::silence(&notifier, "none", at(2.0)), Err(ApiError::NotFound(_))));
    let past = PostableSilence {
        id: None,
        matchers: Vec::new(),
        starts_at: at(0.0),
        ends_at: at(1.0),
        created_by: String::new(),
        comment: String::new(),
        annotations: None,
    };
    for (posted, word) in [
        (past.clone(), "past"),
        (PostableSilence { ends_at: at(0.0), ..past.clone() }, "before end"),
        (PostableSilence { ends_at: at(99.0), ..past }, "at least one matcher"),
    ] {
        let refused = query::post_silence(&mut notifier, posted, at(5.0), 1).unwrap_err();
        assert!(matches!(&refused, ApiError::BadRequest(reason) if reason.contains(word)), "{refused}");
    }
}

#[test]
fn bad_alerts_are_refused_and_good_ones_taken() {
    let mut notifier = notifier();
    let posted = r#"[{"labels":{}},{"labels":{"alertname":"E"}},{"labels":{"a":"b"},"startsAt":"2026-03-04T12:00:00Z","endsAt":"2026-03-04T11:00:00Z"}]"#;
    let refused = query::post_alerts(&mut notifier, serde_json::from_str(posted).unwrap(), at(0.0)).unwrap_err();
    assert_eq!(refused.to_string().lines().count(), 2);
    assert!(names(&notifier, &AlertsQuery::default()).contains(&"E".to_string()));
}

#[test]
fn the_status_shows_no_secret() {
    let text = TEXT.replace("{name: b}", "{name: b, webhook_configs: [{url: 'http://hush/'}]}");
    let notifier = Notifier::new(config(&text), NotifierState::default(), at(0.0));
    let status = query::service_status(&notifier, VersionInfo::default(), at(0.0));
    let original = status.config.original.clone();
    assert!(original.contains("<secret>") && !original.contains("hush"), "{original}");
    crate::config::Config::load(&original).unwrap_or_else(|error| panic!("{error}\n{original}"));
    let found = query::receivers(&notifier, &["owner=ops".to_string()]).unwrap();
    assert_eq!((found.len(), found[0].name.as_str()), (1, "a"));
}
