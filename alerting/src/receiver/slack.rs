//! Slack: one message per group that lives from firing through resolved to amended.
//!
//! With a token the first notification posts a message and the later ones of the series change it
//! (`chat.update`, by the `ts` that the first reply gave); with a webhook each notification is a message of its own.
//! Limits are those of Slack's reference: 50 blocks, 3000 characters in a text of a section, 150 in a header, 10
//! elements in a context, 25 in actions, 75 in a button's text, 3000 in its address, 100, 300 and 30 in the title, text and
//! answers of the question that it asks, 40,000 in the message's text.

use serde_json::{Map, Value, json};

use super::text::{cut, escape_slack, headline, numbers, runbook};
use super::{HttpMessage, Message, Templates};
use crate::config::integrations::SlackConfirm;
use crate::config::{Secret, SlackConfig};
use crate::route::alert::Alert;

/// Blocks in a message.
pub const BLOCKS_MAX: usize = 50;
/// Characters in the text of a section.
pub const SECTION_MAX: usize = 3000;
/// Characters in a header.
pub const HEADER_MAX: usize = 150;
/// Characters in a message's own text.
pub const TEXT_MAX: usize = 40_000;
/// Characters in a button's text.
const BUTTON_MAX: usize = 75;
/// Characters in an address.
const ADDRESS_MAX: usize = 3000;
/// Characters in the title of a question before a button acts.
const QUESTION_MAX: usize = 100;
/// Characters in its text.
const EXPLANATION_MAX: usize = 300;
/// Characters in its answers.
const ANSWER_MAX: usize = 30;

/// A message that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Channel's id, from the reply to its posting.
    pub channel: String,
    /// Timestamp that identifies it, from the same reply.
    pub ts: String,
}

/// How the message gets to Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By an incoming webhook.
    Webhook,
    /// `chat.postMessage`.
    Post,
    /// `chat.update`.
    Update(Posted),
}

/// The message. `posted` is the message of this series, if there is one and Slack's reply to it is known.
pub fn build(
    message: &Message<'_>,
    config: &SlackConfig,
    posted: Option<&Posted>,
    templates: &dyn Templates,
) -> HttpMessage {
    let way = match posted {
        _ if !config.has_token() && !config.update_message.0 => Way::Webhook,
        Some(posted) => Way::Update(posted.clone()),
        None => Way::Post,
    };
    let mut remarks = Vec::new();
    let body = body(message, config, &way, templates, &mut remarks);
    let url = match &way {
        Way::Webhook => config.api_url.clone(),
        Way::Post => Some(Secret::new(config.app_url.clone().unwrap_or_default())),
        Way::Update(_) => {
            let address = config.app_url.clone().unwrap_or_default();
            Some(Secret::new(address.replace("chat.postMessage", "chat.update")))
        }
    };
    let mut headers = vec![("Content-Type".to_string(), Secret::new("application/json; charset=utf-8"))];
    if let Some(token) = config.app_token.as_ref().filter(|token| !token.is_empty()) {
        headers.push(("Authorization".to_string(), Secret::new(format!("Bearer {}", token.reveal()))));
    }
    HttpMessage {
        method: "POST".to_string(),
        url,
        headers,
        body: body.to_string().into_bytes(),
        idempotency_key: message.idempotency_key(),
        remarks,
    }
}

fn body(
    message: &Message<'_>,
    config: &SlackConfig,
    way: &Way,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Value {
    let title = message.rendered(templates, config.title.as_ref(), remarks, || message.subject());
    let fallback = || format!("{title} | {}", message.listing_url());
    let plain =
        message.rendered(templates, config.message_text.as_ref().or(config.fallback.as_ref()), remarks, fallback);
    let mut body = Map::new();
    body.insert("text".to_string(), json!(cut(&plain, TEXT_MAX)));
    let color = message.rendered(templates, config.color.as_ref(), remarks, || {
        if message.status() == "firing" { "#a30200" } else { "#2eb886" }.to_string()
    });
    // A colour is only to be had around blocks, in an attachment.
    let blocks = blocks(message, config, &title, templates, remarks);
    body.insert(
        "attachments".to_string(),
        json!([{ "color": color, "fallback": cut(&plain, TEXT_MAX), "blocks": blocks }]),
    );
    match way {
        Way::Update(posted) => {
            body.insert("channel".to_string(), json!(posted.channel));
            body.insert("ts".to_string(), json!(posted.ts));
        }
        Way::Post | Way::Webhook => {
            let named = [
                ("channel", &config.channel),
                ("username", &config.username),
                ("icon_emoji", &config.icon_emoji),
                ("icon_url", &config.icon_url),
            ];
            for (key, text) in named.into_iter().filter(|(_, text)| text.as_ref().is_some_and(|text| !text.is_empty()))
            {
                let rendered = message.rendered(templates, text.as_ref(), remarks, String::new);
                if !rendered.is_empty() {
                    body.insert(key.to_string(), json!(rendered));
                }
            }
            if config.link_names.0 {
                body.insert("link_names".to_string(), json!(true));
            }
        }
    }
    Value::Object(body)
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": cut(text, SECTION_MAX) } })
}

fn blocks(
    message: &Message<'_>,
    config: &SlackConfig,
    title: &str,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Vec<Value> {
    let mark = if message.status() == "firing" { "🔴" } else { "✅" };
    let header = cut(&format!("{mark} {title}"), HEADER_MAX);
    let mut blocks = vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header, "emoji": true } })];
    for text in [&config.pretext, &config.text] {
        let rendered = message.rendered(templates, text.as_ref(), remarks, String::new);
        if !rendered.trim().is_empty() {
            blocks.push(section(&rendered));
        }
    }
    let mut tail = Vec::new();
    let buttons = buttons(message, config, templates, remarks);
    if !buttons.is_empty() {
        tail.push(json!({ "type": "actions", "elements": buttons }));
    }
    let flapping = message.notification.told.flapping.len();
    let mut context = format!("{} · {}", message.notification.reason, super::text::instant(message.now()));
    if flapping > 0 {
        context.push_str(&format!(" · {flapping} flapping: quiet until stable"));
    }
    if let Some(level) = message.notification.escalation_level {
        context.push_str(&format!(" · escalation level {level}"));
    }
    tail.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": cut(&context, SECTION_MAX) }] }));
    // One block less, for "and … more".
    let room = BLOCKS_MAX - blocks.len() - tail.len() - 1;
    let alerts: Vec<&Alert> = message.firing().chain(message.resolved()).collect();
    blocks.extend(alerts.iter().take(room).map(|alert| section(&alert_text(message, alert))));
    if alerts.len() > room {
        let more = alerts.len() - room;
        remarks.push(format!("{more} alerts beyond the limit of {BLOCKS_MAX} blocks are only counted"));
        blocks.push(section(&format!("… and {more} more: <{}|all alerts>", message.listing_url())));
    }
    blocks.extend(tail);
    blocks
}

fn alert_text(message: &Message<'_>, alert: &Alert) -> String {
    let over = alert.resolved_at(message.now());
    let mut text = format!("*{}* {}", if over { "Resolved" } else { "Firing" }, escape_slack(headline(alert)));
    let numbers = numbers(alert);
    if !numbers.is_empty() {
        text.push_str(&format!("\n{}", escape_slack(&numbers)));
    }
    let shared = message.common_labels();
    let own: Vec<String> = alert
        .labels
        .0
        .iter()
        .filter(|(name, _)| !shared.0.contains_key(*name))
        .map(|(name, value)| format!("`{name}={value}`"))
        .collect();
    if !own.is_empty() {
        text.push_str(&format!("\n{}", escape_slack(&own.join(" "))));
    }
    let from = alert.starts_at.timestamp();
    text.push_str(&format!(
        "\nsince <!date^{from}^{{date_short_pretty}} {{time_secs}}|{}>",
        super::text::instant(alert.starts_at)
    ));
    if let Some(end) = alert.ends_at.filter(|_| over) {
        text.push_str(&format!(" until <!date^{}^{{time_secs}}|{}>", end.timestamp(), super::text::instant(end)));
    }
    let links = runbook(alert).map(|url| ("runbook", url)).into_iter();
    let links = links.chain(Some(("source", alert.generator_url.as_str())));
    let links = links.chain(alert.detail.links.iter().map(|(title, url)| (title.as_str(), url.as_str())));
    for (title, url) in links.filter(|(_, url)| !url.is_empty()) {
        text.push_str(&format!(" · <{}|{}>", escape_slack(url), escape_slack(title)));
    }
    if let Some(amendment) = &alert.detail.amendment {
        text.push_str(&format!("\n_Amended: {}_", escape_slack(amendment)));
    }
    text
}

fn buttons(
    message: &Message<'_>,
    config: &SlackConfig,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Vec<Value> {
    let mut buttons = Vec::new();
    for (at, action) in config.actions.iter().take(25).enumerate() {
        let text = message.rendered(templates, action.text.as_ref(), remarks, || "Open".to_string());
        let plain = |text: &str| json!({ "type": "plain_text", "text": cut(text, BUTTON_MAX) });
        let mut button = json!({ "type": "button", "text": plain(&text), "action_id": format!("action_{at}") });
        if let Some(url) = action.url.as_ref().filter(|url| !url.is_empty()) {
            button["url"] =
                json!(cut(&message.rendered(templates, Some(url), remarks, || message.listing_url()), ADDRESS_MAX));
        } else {
            button["action_id"] = json!(cut(action.name.as_deref().unwrap_or_default(), 255));
            button["value"] = json!(cut(action.value.as_deref().unwrap_or_default(), 2000));
        }
        if let Some(style @ ("primary" | "danger")) = action.style.as_deref() {
            button["style"] = json!(style);
        }
        if let Some(asked) = &action.confirm {
            button["confirm"] = confirm(message, asked, &text, templates, remarks);
        }
        buttons.push(button);
    }
    buttons
}

/// The question before the button `button` acts. What is left out is as in Slack's older form of messages, which
/// Alertmanager sends.
fn confirm(
    message: &Message<'_>,
    asked: &SlackConfirm,
    button: &str,
    templates: &dyn Templates,
    remarks: &mut Vec<String>,
) -> Value {
    let mut plain = |text: Option<&String>, characters_max: usize, otherwise: &str| {
        let rendered = message.rendered(templates, text, remarks, || otherwise.to_string());
        let said = if rendered.trim().is_empty() { otherwise } else { rendered.as_str() };
        json!({ "type": "plain_text", "text": cut(said, characters_max) })
    };
    json!({
        "title": plain(asked.title.as_ref(), QUESTION_MAX, "Are you sure?"),
        "text": plain(asked.text.as_ref(), EXPLANATION_MAX, button),
        "confirm": plain(asked.ok_text.as_ref(), ANSWER_MAX, "Okay"),
        "deny": plain(asked.dismiss_text.as_ref(), ANSWER_MAX, "Cancel"),
    })
}

/// Reads Slack's reply: the message for later changes, or why it was refused.
///
/// # Errors
/// Slack's word for what is wrong, such as `channel_not_found`.
pub fn posted(reply: &[u8]) -> Result<Posted, String> {
    let reply: Value = serde_json::from_slice(reply).map_err(|reason| format!("no JSON: {reason}"))?;
    if reply["ok"] != json!(true) {
        return Err(reply["error"].as_str().unwrap_or("no reason given").to_string());
    }
    match (reply["channel"].as_str(), reply["ts"].as_str()) {
        (Some(channel), Some(ts)) => Ok(Posted { channel: channel.to_string(), ts: ts.to_string() }),
        _ => Err("no channel or ts in the reply".to_string()),
    }
}

#[cfg(test)]
mod tests;
