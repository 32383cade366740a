//! `GET /runbooks/{alertname}`: where the links in messages about a pack's alerts lead. What the rules of that name say
//! of themselves, what of them is active now, and where to look further. `GET /runbooks` lists the names.

use super::parameters;
use crate::begin::Shared;
use crate::book::GroupBook;
use crate::evaluate::timestamp;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use tidewatch_alerting::receiver::text::escape_html;
use tidewatch_alerting::rules::{AlertingRule, Rule};
use tidewatch_alerting::state::Incomplete;
use tidewatch_promql::duration;
use tidewatch_promql::number::plain;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
    pre{background:#8881;padding:.8rem;overflow-x:auto}th{text-align:left;padding-right:1.5rem;font-weight:600}\
    .firing{color:#b00020}:root{color-scheme:light dark}";
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// Most alerts that a page lists.
const ALERTS_MAX: usize = 200;

/// All names, with what they are about.
pub async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let names = shared.with_groups(|books| {
        let rules = books.iter().flat_map(alerting);
        rules.map(|(_, rule)| (rule.name.to_string(), about(&rule))).collect::<BTreeMap<_, _>>()
    });
    let mut body = String::from("<h1>Runbooks</h1>");
    match names.is_empty() {
        true => body.push_str("<p>No alerting rules are evaluated.</p>"),
        false => body.push_str("<ul>"),
    }
    for (name, about) in &names {
        let _ = write!(body, "<li><a href=\"/runbooks/{}\">{}</a>: {about}</li>", path_of(name), escape_html(name));
    }
    if !names.is_empty() {
        body.push_str("</ul>");
    }
    page("Runbooks", &body)
}

/// What is known of the alert `name`. `?tenant=…` and other labels leave out the alerts that have not got them.
pub async fn runbook(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let rules: Vec<(String, Arc<AlertingRule>)> = shared.with_groups(|books| {
        let named = books.iter().flat_map(alerting).filter(|(_, rule)| *rule.name == *name);
        named.map(|(group, rule)| (group.to_owned(), rule)).collect()
    });
    if rules.is_empty() {
        let body = format!("<h1>{0}</h1><p>No alerting rule has the name <code>{0}</code>.</p>", escape_html(&name));
        return (StatusCode::NOT_FOUND, page(&name, &format!("{body}{ELSEWHERE}"))).into_response();
    }
    let mut body = format!("<h1>{}</h1>", escape_html(&name));
    write_active(&mut body, &shared, &name, &parameters(query.as_deref()));
    for (group, rule) in &rules {
        write_rule(&mut body, group, rule);
    }
    body.push_str(ELSEWHERE);
    page(&name, &body)
}

const ELSEWHERE: &str = "<p><a href=\"/runbooks\">All runbooks</a> · <a href=\"/\">Tidewatch</a></p>";

fn alerting(book: &GroupBook) -> impl Iterator<Item = (&str, Arc<AlertingRule>)> {
    book.group.rules.iter().filter_map(|rule| match rule {
        Rule::Alerting(rule) => Some((&*book.group.name, Arc::clone(rule))),
        Rule::Recording(_) => None,
    })
}

/// What a rule says of itself in one line of HTML.
fn about(rule: &AlertingRule) -> String {
    let text = ["description", "summary"].iter().find_map(|wanted| {
        rule.annotations.iter().find(|(name, _)| name == wanted).map(|(_, template)| template.text())
    });
    escape_html(text.unwrap_or(rule.query.text()))
}

/// What is pending or fires now, with a link to every decision about it.
fn write_active(body: &mut String, shared: &Shared, name: &str, wanted: &[(String, String)]) {
    let now = timestamp(shared.clock.now_ms());
    let notifier = shared.notifier();
    let fits = |value: &dyn Fn(&str) -> String| wanted.iter().all(|(label, text)| value(label) == *text);
    let mut active = notifier.state.store.iter().filter(|alert| {
        alert.name() == name && !alert.resolved_at(now) && fits(&|label| alert.labels.value(label).to_owned())
    });
    let mut listed = 0;
    for alert in active.by_ref().take(ALERTS_MAX) {
        if listed == 0 {
            body.push_str("<h2 class=\"firing\">Firing now</h2><ul>");
        }
        listed += 1;
        let summary = alert.annotations.value("summary");
        let others = alert.labels.0.iter().filter(|(label, _)| *label != "alertname");
        let labels: Vec<String> = others.map(|(label, value)| format!("{label}={value}")).collect();
        let _ = write!(
            body,
            "<li>{} since {} (<a href=\"/api/v1/alerts/{}/explain?format=text\">why, and who was told</a>)<br><small>{}</small></li>",
            escape_html(if summary.is_empty() { name } else { summary }),
            alert.starts_at.format("%Y-%m-%d %H:%M:%S UTC"),
            alert.fingerprint(),
            escape_html(&labels.join(", ")),
        );
    }
    let more = active.count();
    match listed {
        0 => body.push_str("<p>Nothing fires now.</p>"),
        _ => body.push_str("</ul>"),
    }
    if more > 0 {
        let _ = write!(body, "<p>… and {more} more.</p>");
    }
}

fn write_rule(body: &mut String, group: &str, rule: &AlertingRule) {
    let label = |wanted: &str| rule.labels.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.text());
    let title = label("signal").or_else(|| label("severity")).unwrap_or(group);
    let _ = write!(body, "<h2>{}</h2>", escape_html(title));
    for (name, text) in &rule.annotations {
        if name == "description" {
            let _ = write!(body, "<p>{}</p>", escape_html(text.text()));
        }
    }
    let _ = write!(body, "<p>It fires when this holds{}:</p>", after(rule.for_ms));
    let _ = write!(body, "<pre>{}</pre>", escape_html(rule.query.text()));
    body.push_str("<table>");
    let mut row = |name: &str, value: &str| {
        let _ = write!(body, "<tr><th>{}</th><td>{}</td></tr>", escape_html(name), escape_html(value));
    };
    if let Some(level) = &rule.level {
        let threshold = level.thresholds.fallback();
        row("fires", &format!("{} {}", level.crossing.as_str(), plain(threshold.fire)));
        if let Some(resolve) = threshold.resolve {
            row("is over", &format!("at {} again", plain(resolve)));
        }
        if !level.thresholds.is_empty() {
            row("other thresholds", &format!("{}, by labels", level.thresholds.len()));
        }
    }
    if rule.keep_firing_for_ms > 0 {
        row("fires on for", &duration::format(rule.keep_firing_for_ms));
    }
    row(
        "windows that are not complete",
        match rule.on_incomplete {
            Incomplete::Wait => "nothing begins or ends before they are",
            Incomplete::Hold => "may let it begin, and never end",
            Incomplete::Unknown => "may let it begin; its end is unknown until they are",
        },
    );
    row("group", group);
    for (name, text) in &rule.labels {
        row(name, text.text());
    }
    for (name, text) in &rule.annotations {
        if name != "description" && name != "runbook_url" {
            row(name, text.text());
        }
    }
    body.push_str("</table>");
    if let Some(link) = rule.runbook.as_deref().filter(|link| link.starts_with("http")) {
        let _ = write!(body, "<p><a href=\"{0}\">{0}</a></p>", escape_html(link));
    }
}

fn after(for_ms: i64) -> String {
    if for_ms > 0 { format!(" for {}", duration::format(for_ms)) } else { String::new() }
}

/// A name as a part of a path.
fn path_of(name: &str) -> String {
    // The encoding of forms, in which a blank is a plus, which is none in a path.
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
        escape_html(title)
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, html).into_response()
}

#[cfg(test)]
mod tests;
