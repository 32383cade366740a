//! Integrations that are read and checked but not served here: a table of their keys and a few rules.
//!
//! Their secrets are overwritten once checked: nothing here needs them, and the file that is forwarded to an
//! Alertmanager is the original text.

use serde_yaml_ng::{Mapping, Value};

use super::check_url;
use super::error::{Mistake, Path};
use super::global::Global;
use super::http::HttpConfig;
use super::integrations::{given, given_secret};
use super::scalar::{GoDuration, REDACTED, Secret};
use tidewatch_promql::duration;

/// What a key may hold.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Secret,
    Url,
    SecretUrl,
    Bool,
    Whole,
    Go,
    Prom,
    TextMap,
    TextList,
    Http,
    /// A mapping with these keys.
    Map(&'static [(&'static str, Kind)]),
    /// A list of mappings with these keys.
    List(&'static [(&'static str, Kind)]),
    /// A text, or a mapping with these keys.
    TextOr(&'static [(&'static str, Kind)]),
    Any,
}

use Kind::{Any, Bool, Go, Http, List, Map, Prom, SecretUrl, Text, TextList, TextMap, TextOr, Url, Whole};

type Keys = &'static [(&'static str, Kind)];

const COMMON: Keys = &[("send_resolved", Bool), ("http_config", Http)];
const WEBHOOK_URL: Keys = &[("webhook_url", SecretUrl), ("webhook_url_file", Text)];
const TEAMS: Keys = &[("title", Text), ("summary", Text), ("text", Text)];
const TEAMS_V2: Keys = &[("title", Text), ("text", Text)];
const DISCORD: Keys =
    &[("content", Text), ("title", Text), ("message", Text), ("username", Text), ("avatar_url", Text)];
const INCIDENTIO: Keys = &[
    ("url", Url),
    ("url_file", Text),
    ("alert_source_token", Kind::Secret),
    ("alert_source_token_file", Text),
    ("max_alerts", Whole),
    ("timeout", Go),
];
const OPSGENIE: Keys = &[
    ("api_key", Kind::Secret),
    ("api_key_file", Text),
    ("api_url", Url),
    ("message", Text),
    ("description", Text),
    ("source", Text),
    ("details", TextMap),
    ("entity", Text),
    ("responders", List(&[("id", Text), ("name", Text), ("username", Text), ("type", Text)])),
    ("actions", Text),
    ("tags", Text),
    ("note", Text),
    ("priority", Text),
    ("update_alerts", Bool),
];
const WECHAT: Keys = &[
    ("api_secret", Kind::Secret),
    ("api_secret_file", Text),
    ("corp_id", Text),
    ("message", Text),
    ("api_url", Url),
    ("to_user", Text),
    ("to_party", Text),
    ("to_tag", Text),
    ("agent_id", Text),
    ("message_type", Text),
];
const PUSHOVER: Keys = &[
    ("user_key", Kind::Secret),
    ("user_key_file", Text),
    ("token", Kind::Secret),
    ("token_file", Text),
    ("title", Text),
    ("message", Text),
    ("url", Text),
    ("url_title", Text),
    ("device", Text),
    ("sound", Text),
    ("priority", Text),
    ("retry", Go),
    ("expire", Go),
    ("ttl", Go),
    ("html", Bool),
    ("monospace", Bool),
];
const VICTOROPS: Keys = &[
    ("api_key", Kind::Secret),
    ("api_key_file", Text),
    ("api_url", Url),
    ("routing_key", Text),
    ("message_type", Text),
    ("state_message", Text),
    ("entity_display_name", Text),
    ("monitoring_tool", Text),
    ("custom_fields", TextMap),
];
const SIGV4: Keys = &[
    ("region", Text),
    ("access_key", Text),
    ("secret_key", Kind::Secret),
    ("profile", Text),
    ("role_arn", Text),
    ("external_id", Text),
    ("use_fips_sts_endpoint", Bool),
    ("service_name", Text),
];
const SNS: Keys = &[
    ("api_url", Text),
    ("sigv4", Map(SIGV4)),
    ("topic_arn", Text),
    ("phone_number", Text),
    ("target_arn", Text),
    ("subject", Text),
    ("message", Text),
    ("attributes", TextMap),
    ("use_aws_http_client", Bool),
];
const TELEGRAM: Keys = &[
    ("api_url", Url),
    ("bot_token", Kind::Secret),
    ("bot_token_file", Text),
    ("chat_id", Whole),
    ("chat_id_file", Text),
    ("message_thread_id", Whole),
    ("message", Text),
    ("disable_notifications", Bool),
    ("parse_mode", Text),
];
const WEBEX: Keys = &[("api_url", Url), ("message", Text), ("room_id", Text)];
const JIRA_FIELD: Keys = &[("template", Text), ("enable_update", Bool)];
const JIRA: Keys = &[
    ("api_url", Url),
    ("api_type", Text),
    ("project", Text),
    ("summary", TextOr(JIRA_FIELD)),
    ("description", TextOr(JIRA_FIELD)),
    ("labels", TextList),
    ("priority", Text),
    ("issue_type", Text),
    ("reopen_transition", Text),
    ("resolve_transition", Text),
    ("wont_fix_resolution", Text),
    ("reopen_duration", Prom),
    ("fields", Any),
];
const ROCKETCHAT: Keys = &[
    ("api_url", Url),
    ("token_id", Kind::Secret),
    ("token_id_file", Text),
    ("token", Kind::Secret),
    ("token_file", Text),
    ("channel", Text),
    ("color", Text),
    ("title", Text),
    ("title_link", Text),
    ("text", Text),
    ("fields", Any),
    ("short_fields", Bool),
    ("emoji", Text),
    ("icon_url", Text),
    ("image_url", Text),
    ("thumb_url", Text),
    ("link_names", Bool),
    ("actions", Any),
];
const MATTERMOST_FIELD: Keys = &[("title", Text), ("value", Text), ("short", Bool)];
const MATTERMOST_ATTACHMENT: Keys = &[
    ("fallback", Text),
    ("color", Text),
    ("pretext", Text),
    ("text", Text),
    ("author_name", Text),
    ("author_link", Text),
    ("author_icon", Text),
    ("title", Text),
    ("title_link", Text),
    ("fields", List(MATTERMOST_FIELD)),
    ("thumb_url", Text),
    ("footer", Text),
    ("footer_icon", Text),
    ("image_url", Text),
];
const MATTERMOST: Keys = &[
    ("channel", Text),
    ("username", Text),
    ("icon_url", Text),
    ("icon_emoji", Text),
    ("attachments", List(MATTERMOST_ATTACHMENT)),
    ("type", Text),
    ("props", Map(&[("card", Text)])),
    ("priority", Map(&[("priority", Text), ("requested_ack", Bool), ("persistent_notifications", Bool)])),
];

fn keys(kind: &str) -> Vec<(&'static str, Kind)> {
    let own: &[Keys] = match kind {
        "discord" => &[WEBHOOK_URL, DISCORD],
        "incidentio" => &[INCIDENTIO],
        "opsgenie" => &[OPSGENIE],
        "wechat" => &[WECHAT],
        "pushover" => &[PUSHOVER],
        "victorops" => &[VICTOROPS],
        "sns" => &[SNS],
        "telegram" => &[TELEGRAM],
        "webex" => &[WEBEX],
        "msteams" => &[WEBHOOK_URL, TEAMS],
        "msteamsv2" => &[WEBHOOK_URL, TEAMS_V2],
        "jira" => &[JIRA],
        "rocketchat" => &[ROCKETCHAT],
        "mattermost" => &[WEBHOOK_URL, MATTERMOST_ATTACHMENT, MATTERMOST],
        _ => &[],
    };
    COMMON.iter().chain(own.iter().copied().flatten()).copied().collect()
}

/// Checks one integration of `kind` and overwrites its secrets.
pub(super) fn check(kind: &str, config: &mut Value, global: &Global, at: &Path) -> Result<(), Mistake> {
    if config.is_null() && !matches!(kind, "wechat" | "opsgenie" | "rocketchat") {
        return Err(Mistake::new(at, format!("missing {kind} config")));
    }
    if config.is_null() {
        *config = Value::Mapping(Mapping::new());
    }
    check_keys(config, &keys(kind), at)?;
    rules(kind, &Given { config, at }, global)?;
    redact(config, &keys(kind));
    Ok(())
}

fn check_keys(config: &Value, keys: &[(&'static str, Kind)], at: &Path) -> Result<(), Mistake> {
    let map = config.as_mapping().ok_or_else(|| Mistake::new(at, "expected a mapping"))?;
    for (key, value) in map {
        let key = key.as_str().ok_or_else(|| Mistake::new(at, format!("expected a text as key, found {key:?}")))?;
        let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
            let known: Vec<&str> = keys.iter().map(|(known, _)| *known).collect();
            return Err(Mistake::new(&at.key(key), format!("unknown field {key:?}"))
                .hint(format!("expected one of {}", known.join(", "))));
        };
        check_value(value, *kind, &at.key(key))?;
    }
    Ok(())
}

fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))
}

fn check_value(value: &Value, kind: Kind, at: &Path) -> Result<(), Mistake> {
    let wrong = |expected: &str| Err(Mistake::new(at, format!("expected {expected}")));
    if value.is_null() {
        return Ok(());
    }
    let reasoned = |found: Result<(), String>| found.map_err(|reason| Mistake::new(at, reason));
    match kind {
        Any => Ok(()),
        Text | Kind::Secret if is_scalar(value) => Ok(()),
        Text | Kind::Secret => wrong("a text"),
        Url | SecretUrl => match value.as_str() {
            Some(REDACTED) => Ok(()),
            Some(text) => reasoned(check_url(text)),
            None => wrong("a URL"),
        },
        Bool if value.is_bool() || matches!(value.as_str(), Some("yes" | "no" | "on" | "off" | "y" | "n")) => Ok(()),
        Bool => wrong("true or false"),
        Whole if value.is_i64() || value.is_u64() => Ok(()),
        Whole => wrong("a whole number"),
        Go => match value.as_str() {
            Some(text) => reasoned(GoDuration::parse(text).map(|_| ())),
            None if value.is_i64() => Ok(()),
            None => wrong("a duration such as 30s"),
        },
        Prom => match value.as_str() {
            Some(text) => reasoned(duration::parse(text).map(|_| ())),
            None => wrong("a duration such as 30s"),
        },
        TextMap => match value.as_mapping() {
            Some(map) if map.iter().all(|(key, value)| is_scalar(key) && is_scalar(value)) => Ok(()),
            _ => wrong("a mapping of texts"),
        },
        TextList => match value.as_sequence() {
            Some(list) if list.iter().all(is_scalar) => Ok(()),
            _ => wrong("a list of texts"),
        },
        Http => {
            let http: HttpConfig =
                serde_yaml_ng::from_value(value.clone()).map_err(|reason| Mistake::new(at, reason.to_string()))?;
            http.validate(at)
        }
        TextOr(_) if is_scalar(value) => Ok(()),
        Map(keys) | TextOr(keys) => check_keys(value, keys, at),
        List(keys) => {
            let Some(list) = value.as_sequence() else { return wrong("a list") };
            list.iter().enumerate().try_for_each(|(index, value)| check_keys(value, keys, &at.index(index)))
        }
    }
}

fn redact(config: &mut Value, keys: &[(&'static str, Kind)]) {
    let Some(map) = config.as_mapping_mut() else { return };
    for (key, kind) in keys {
        let Some(value) = map.get_mut(*key).filter(|value| !value.is_null()) else { continue };
        match kind {
            Kind::Secret | SecretUrl => *value = Value::String(REDACTED.to_string()),
            Map(keys) => redact(value, keys),
            Http => {
                // Through the typed settings, whose secrets never show.
                let typed: Result<HttpConfig, _> = serde_yaml_ng::from_value(value.clone());
                *value = typed.and_then(serde_yaml_ng::to_value).unwrap_or(Value::Null);
            }
            _ => {}
        }
    }
}

struct Given<'a> {
    config: &'a Value,
    at: &'a Path,
}

impl Given<'_> {
    /// Whether a text is there and not empty.
    fn has(&self, key: &str) -> bool {
        match self.config.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// Whether a key is there at all, even empty: how Alertmanager sees optional addresses.
    fn is_set(&self, key: &str) -> bool {
        self.config.get(key).is_some_and(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> &str {
        self.config.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake::new(self.at, message))
    }

    fn at_most_one(&self, key: &str) -> Result<(), Mistake> {
        let file = format!("{key}_file");
        if self.has(key) && self.has(&file) {
            return self.wrong(format!("at most one of {key} & {file} must be configured"));
        }
        Ok(())
    }

    fn exactly_one(&self, key: &str) -> Result<(), Mistake> {
        if !self.has(key) && !self.has(&format!("{key}_file")) {
            return self.wrong(format!("one of {key} or {key}_file must be configured"));
        }
        self.at_most_one(key)
    }

    fn required(&self, key: &str) -> Result<(), Mistake> {
        if self.has(key) { Ok(()) } else { self.wrong(format!("missing {key}")) }
    }

    /// The key or its file here, or the global one.
    fn or_global(&self, key: &str, secret: Option<&Secret>, file: Option<&String>) -> Result<(), Mistake> {
        let own = self.has(key) || self.has(&format!("{key}_file"));
        if own || given_secret(secret) || given(file.map(String::as_str)) {
            return Ok(());
        }
        self.wrong(format!("no {key} set here or under `global`, either inline or in a file"))
    }
}

fn rules(kind: &str, config: &Given<'_>, global: &Global) -> Result<(), Mistake> {
    match kind {
        "discord" | "msteams" | "msteamsv2" => config.exactly_one("webhook_url"),
        "incidentio" => incidentio(config),
        "opsgenie" => opsgenie(config, global),
        "wechat" => wechat(config, global),
        "pushover" => {
            config.exactly_one("user_key")?;
            config.exactly_one("token")?;
            let both = ["html", "monospace"].iter().all(|key| config.config.get(*key) == Some(&Value::Bool(true)));
            if both { config.wrong("at most one of monospace & html must be configured") } else { Ok(()) }
        }
        "victorops" => victorops(config, global),
        "sns" => {
            let targets = ["target_arn", "topic_arn", "phone_number"].map(|key| !config.has(key));
            // An exclusive or of the three, as Alertmanager has it.
            if (targets[0] != targets[1]) != targets[2] {
                return config.wrong("must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
            }
            Ok(())
        }
        "telegram" => telegram(config, global),
        "webex" => {
            config.required("room_id")?;
            let authorized = config.config.get("http_config").and_then(|http| http.get("authorization"));
            if authorized.is_none_or(Value::is_null) {
                return config.wrong("missing webex_configs.http_config.authorization");
            }
            Ok(())
        }
        "jira" => {
            config.required("project")?;
            config.required("issue_type")?;
            if !matches!(config.text("api_type"), "" | "auto" | "cloud" | "datacenter") {
                return config.wrong("unknown api_type on jira_config, must be auto, cloud or datacenter");
            }
            if !config.is_set("api_url") && global.jira_api_url.is_none() {
                return config.wrong("no global Jira Cloud URL set");
            }
            Ok(())
        }
        "rocketchat" => {
            config.at_most_one("token")?;
            config.at_most_one("token_id")?;
            config.or_global(
                "token_id",
                global.rocketchat_token_id.as_ref(),
                global.rocketchat_token_id_file.as_ref(),
            )?;
            config.or_global("token", global.rocketchat_token.as_ref(), global.rocketchat_token_file.as_ref())
        }
        "mattermost" => {
            config.at_most_one("webhook_url")?;
            let (address, file) = (global.mattermost_webhook_url.as_ref(), global.mattermost_webhook_url_file.as_ref());
            config.or_global("webhook_url", address, file)?;
            mattermost_fields(config)
        }
        _ => Ok(()),
    }
}

fn incidentio(config: &Given<'_>) -> Result<(), Mistake> {
    config.exactly_one("url")?;
    config.at_most_one("alert_source_token")?;
    let token = config.has("alert_source_token") || config.has("alert_source_token_file");
    match config.config.get("http_config").filter(|http| !http.is_null()) {
        Some(http) if http.get("authorization").is_some_and(|found| !found.is_null()) && token => {
            config.wrong("cannot specify alert_source_token together with http_config.authorization")
        }
        Some(http) if http.get("authorization").is_none_or(Value::is_null) && !token => {
            config.wrong("alert_source_token or http_config.authorization must be configured")
        }
        _ => Ok(()),
    }
}

fn opsgenie(config: &Given<'_>, global: &Global) -> Result<(), Mistake> {
    config.at_most_one("api_key")?;
    config.or_global("api_key", global.opsgenie_api_key.as_ref(), global.opsgenie_api_key_file.as_ref())?;
    let responders = config.config.get("responders").and_then(Value::as_sequence).into_iter().flatten();
    for (index, responder) in responders.enumerate() {
        let at = config.at.key("responders").index(index);
        let responder = Given { config: responder, at: &at };
        if !["id", "username", "name"].iter().any(|key| responder.has(key)) {
            return responder.wrong("responder has to have at least one of id, username or name specified");
        }
        let kind = responder.text("type").to_lowercase();
        if !kind.contains("{{") && !matches!(kind.as_str(), "team" | "teams" | "user" | "escalation" | "schedule") {
            return responder.wrong("type must be one of team, teams, user, escalation, schedule");
        }
    }
    Ok(())
}

fn wechat(config: &Given<'_>, global: &Global) -> Result<(), Mistake> {
    if !matches!(config.text("message_type"), "" | "text" | "markdown") {
        return config.wrong("message_type must be text or markdown");
    }
    config.at_most_one("api_secret")?;
    config.or_global("api_secret", global.wechat_api_secret.as_ref(), global.wechat_api_secret_file.as_ref())?;
    if !config.has("corp_id") && !given(global.wechat_api_corp_id.as_deref()) {
        return config.wrong("no global Wechat CorpID set");
    }
    Ok(())
}

fn victorops(config: &Given<'_>, global: &Global) -> Result<(), Mistake> {
    config.required("routing_key")?;
    config.at_most_one("api_key")?;
    config.or_global("api_key", global.victorops_api_key.as_ref(), global.victorops_api_key_file.as_ref())?;
    let reserved = [
        "routing_key",
        "message_type",
        "state_message",
        "entity_display_name",
        "monitoring_tool",
        "entity_id",
        "entity_state",
    ];
    let fields = config.config.get("custom_fields");
    match reserved.into_iter().find(|name| fields.is_some_and(|fields| fields.get(*name).is_some())) {
        Some(name) => config.wrong(format!("custom field {name} conflicts with the fixed field of that name")),
        None => Ok(()),
    }
}

fn telegram(config: &Given<'_>, global: &Global) -> Result<(), Mistake> {
    config.at_most_one("bot_token")?;
    config.or_global("bot_token", global.telegram_bot_token.as_ref(), global.telegram_bot_token_file.as_ref())?;
    let chat = config.config.get("chat_id").and_then(Value::as_i64).is_some_and(|chat| chat != 0);
    match (chat, config.has("chat_id_file")) {
        (false, false) => return config.wrong("missing chat_id or chat_id_file on telegram_config"),
        (true, true) => return config.wrong("at most one of chat_id & chat_id_file must be configured"),
        _ => {}
    }
    if !matches!(config.text("parse_mode"), "" | "Markdown" | "MarkdownV2" | "HTML") {
        return config.wrong("unknown parse_mode, must be Markdown, MarkdownV2, HTML or empty");
    }
    Ok(())
}

fn mattermost_fields(config: &Given<'_>) -> Result<(), Mistake> {
    let lists = config.config.get("attachments").and_then(Value::as_sequence).into_iter().flatten();
    for holder in lists.chain(std::iter::once(config.config)) {
        for field in holder.get("fields").and_then(Value::as_sequence).into_iter().flatten() {
            let field = Given { config: field, at: config.at };
            field.required("title")?;
            field.required("value")?;
        }
    }
    Ok(())
}
