//! Events of the domain raise the alerts of the built-in packs: from the event over HTTP to the webhook, and on to the
//! page that the message links to.

use super::{SOON, json};
use crate::support::{Sink, Tidewatch, get, post, wait_until, write_settings};
use std::time::{Duration, Instant};

/// What comes in, and what must be told of it: alert, severity, and what else it says.
struct Case {
    kind: &'static str,
    tenant: (&'static str, &'static str),
    data: &'static str,
    alert: &'static str,
    severity: &'static str,
    says: &'static str,
}

/// "At once" is the catalogue's word for all of these.
const CASES: [Case; 4] = [
    Case {
        kind: "orders.order.payment_changed.v1",
        tenant: ("creator", "c1"),
        data: r#"{"order_id":"o1","shop_id":"s1","payment_status":"failed","previous_payment_status":"pending","total_minor":4200,"currency":"USD"}"#,
        alert: "payment_failure",
        severity: "critical",
        says: "Payments of shop s1 fail: 1 in a minute",
    },
    Case {
        kind: "inventory.oversell.detected.v1",
        tenant: ("creator", "c2"),
        data: r#"{"order_id":"o1","product_id":"p1","requested":2,"available":1,"outcome":"occurred"}"#,
        alert: "oversell",
        severity: "critical",
        says: "1 sold without stock",
    },
    Case {
        kind: "security.suspicious.flagged.v1",
        tenant: ("platform", "platform"),
        data: r#"{"flag_id":"f1","kind":"login","risk":0.9,"state":"open"}"#,
        alert: "suspicious_activity",
        severity: "critical",
        says: "1 flags of high risk: login",
    },
    Case {
        kind: "security.security_incident.changed.v1",
        tenant: ("platform", "platform"),
        data: r#"{"incident_id":"i1","severity":"high","state":"open","kind":"breach"}"#,
        alert: "security_breach",
        severity: "critical",
        says: "1 security incidents are open: breach",
    },
];

fn event(number: usize, case: &Case) -> String {
    let (Case { kind, data, .. }, (tenant_kind, tenant)) = (case, case.tenant);
    let time = chrono::Utc::now().to_rfc3339();
    format!(
        r#"{{"specversion":"1.0","id":"e{number}","source":"/shop","type":"{kind}","time":"{time}","tenantkind":"{tenant_kind}","tenantid":"{tenant}","data":{data}}}"#
    )
}

#[test]
fn payments_oversells_and_security_are_told_at_once() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start());
    let routes = format!(
        "route: {{receiver: hook, group_by: [alertname, tenant], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: hook\n  webhook_configs: [{{url: 'http://{}/hook'}}]\n",
        sink.address
    );
    std::fs::write(folder.path().join("alertmanager.yml"), routes).unwrap();
    let settings = write_settings(
        folder.path(),
        "packs = [\"builtin:creatorflow\", \"builtin:platform\", \"builtin:prometheus\"]\n[storage]\nlocation = \"data\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[alerting]\npack_rules = true\nconfig = \"alertmanager.yml\"\n\
         [personal]\nsalt = \"pepper\"\n",
    );
    let mut process = Tidewatch::run(&settings);
    let address = process.address();
    let groups = json(&address, "/api/v1/rules?exclude_alerts=true")["data"]["groups"].as_array().unwrap().len();
    assert!(groups > 10, "the rules of both packs: {groups} groups");

    let sent = Instant::now();
    for (number, case) in CASES.iter().enumerate() {
        let headers = ["Content-Type: application/cloudevents+json"];
        let answer = post(&address, "/api/v1/events", &headers, event(number, case).as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    for case in &CASES {
        let of_case = || {
            let told = sink.taken();
            told.into_iter().find(|one| one.json()["groupLabels"]["alertname"] == case.alert)
        };
        wait_until(case.alert, SOON, || of_case().is_some());
        let told = of_case().unwrap();
        let (took, message) = (told.at - sent, told.json());
        eprintln!("{}: {took:?} from the event to the webhook", case.alert);
        assert!(took < Duration::from_secs(30), "{}: at once, but it took {took:?}", case.alert);
        let alert = &message["alerts"][0];
        assert_eq!(alert["labels"]["severity"], case.severity, "{message}");
        assert_eq!(alert["labels"]["tenant"], format!("{}:{}", case.tenant.0, case.tenant.1), "{message}");
        assert_eq!(alert["annotations"]["summary"], case.says, "{message}");
        // Whoever was woken by it finds a page behind its link.
        let link = alert["annotations"]["runbook_url"].as_str().unwrap();
        let path = link.splitn(4, '/').nth(3).unwrap();
        let page = get(&address, &format!("/{path}"), &[]).unwrap();
        assert_eq!(page.status, 200, "{link}: {}", page.text());
        assert!(page.text().contains("Firing now"), "{}", page.text());
    }
    process.stop();
}
