//! Alertmanager's default templates parse and run here.

use tidewatch_alerting::template::notification::{AlertData, Notification, NotificationFunctions};
use tidewatch_alerting::template::{Bounds, Templates};

use super::components::data;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn notification() -> Notification {
    let alert = |is_firing, instance: &str| AlertData {
        is_firing,
        labels: pairs(&[("alertname", "Slow"), ("instance", instance), ("severity", "critical")]),
        annotations: pairs(&[("summary", "it is slow")]),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms: 0,
        generator_url: "http://p/graph?a=1&b=2".to_string(),
        fingerprint: "0011".to_string(),
    };
    Notification {
        receiver: "team & co".to_string(),
        group_labels: pairs(&[("alertname", "Slow")]),
        alerts: vec![alert(true, "a:1"), alert(false, "b:2")],
        external_url: "http://am".to_string(),
    }
}

const FUNCTIONS: NotificationFunctions = NotificationFunctions { now_ms: 1_700_000_090_000 };

fn templates() -> Option<Templates> {
    let folder = data("alertmanager/template")?;
    let mut templates = Templates::new();
    for name in ["default.tmpl", "email.tmpl"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        templates.add(name, &text, &FUNCTIONS).unwrap();
    }
    Some(templates)
}

#[test]
fn the_default_templates_print_what_alertmanager_prints() {
    let Some(templates) = templates() else { return };
    let print = |name: &str| {
        let template = templates.named(name).unwrap_or_else(|| panic!("{name} is not defined"));
        templates.run(template, &notification().value(), &[], &FUNCTIONS, Bounds::default()).unwrap()
    };
    assert_eq!(print("slack.default.title"), "[FIRING:1] Slow (critical)");
    assert_eq!(print("slack.default.titlelink"), "http://am/#/alerts?receiver=team+%26+co");
    assert_eq!(print("slack.default.color"), "danger");
    assert_eq!(print("jira.default.priority"), "High");
    let list = "Labels:\n - alertname = Slow\n - instance = a:1\n - severity = critical\nAnnotations:\n - summary = it is slow\nSource: http://p/graph?a=1&b=2\n";
    let text = print("opsgenie.default.description");
    assert!(text.starts_with(&format!("it is slow\nAlerts Firing:\n{list}")), "{text}");
    let html = templates.named("email.default.html").unwrap();
    let html = templates.run_html(html, &notification().value(), &FUNCTIONS, Bounds::default()).unwrap();
    assert!(
        html.contains("[1] Firing") && html.contains("2 alerts for") && html.contains("graph?a=1&amp;b=2"),
        "{html}"
    );
}

#[test]
fn every_default_template_runs() {
    let Some(templates) = templates() else { return };
    let folder = data("alertmanager/template").unwrap();
    let text = std::fs::read_to_string(folder.join("default.tmpl")).unwrap();
    let names: Vec<&str> = text.split("define \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() > 60, "{names:?}");
    for name in names.iter().filter(|name| !name.starts_with("__text_alert_list") && !name.ends_with("instances")) {
        let template = templates.named(name).unwrap_or_else(|| panic!("{name} is not defined"));
        let outcome = templates.run(template, &notification().value(), &[], &FUNCTIONS, Bounds::default());
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
