//! The configuration file: Alertmanager's, plus one map of our own.
//!
//! Everything but the top-level key `tidewatch` is Alertmanager's YAML with Alertmanager's meaning and verdicts
//! (those of version 0.34). [`without_extensions`] gives that part, for Alertmanager's own tools. Secrets show as
//! `<secret>` in every output.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

mod error;
pub mod extensions;
mod foreign;
mod global;
pub mod http;
mod inhibit;
pub mod integrations;
pub mod people;
mod receiver;
mod route;
pub(crate) mod scalar;

pub use error::{ConfigError, Mistake, Path, Step};
pub use extensions::Extensions;
pub use global::Global;
pub use http::HttpConfig;
pub use inhibit::InhibitRuleConfig;
pub use integrations::{EmailConfig, PagerDutyConfig, SlackConfig, WebhookConfig};
pub use receiver::{Integration, IntegrationKey, Receiver};
pub use route::RouteConfig;
pub use scalar::{Flag, GoDuration, PromDuration, Secret};

use crate::mute::NamedIntervals;
use scalar::null_default;

/// A whole, valid configuration with the defaults filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// Defaults for receivers.
    pub global: Global,
    /// Root of the route tree.
    pub route: RouteConfig,
    /// Which alerts silence which others.
    pub inhibit_rules: Vec<InhibitRuleConfig>,
    /// Who can be told.
    pub receivers: Vec<Receiver>,
    /// Files with templates, read by the caller.
    pub templates: Vec<String>,
    /// Named calendars, both of `time_intervals` and of the older `mute_time_intervals`.
    pub time_intervals: Vec<NamedIntervals>,
    /// What Alertmanager does not have.
    pub tidewatch: Extensions,
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    global: Option<Global>,
    #[serde(default)]
    route: Option<RouteConfig>,
    #[serde(default, deserialize_with = "null_default")]
    inhibit_rules: Vec<InhibitRuleConfig>,
    #[serde(default, deserialize_with = "null_default")]
    receivers: Vec<Receiver>,
    #[serde(default, deserialize_with = "null_default")]
    templates: Vec<String>,
    #[serde(default, deserialize_with = "null_default")]
    mute_time_intervals: Vec<NamedIntervals>,
    #[serde(default, deserialize_with = "null_default")]
    time_intervals: Vec<NamedIntervals>,
    #[serde(default)]
    #[expect(dead_code, reason = "Alertmanager's own tracing, read so that the file is accepted")]
    tracing: Option<serde_yaml_ng::Value>,
    #[serde(default)]
    #[expect(dead_code, reason = "Alertmanager's own recorder, read so that the file is accepted")]
    event_recorder: Option<serde_yaml_ng::Value>,
    #[serde(default)]
    tidewatch: Option<Extensions>,
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// The first mistake, with its place and what to do.
    pub fn load(text: &str) -> Result<Self, ConfigError> {
        let document: Option<Document> = serde_yaml_ng::from_str(text).map_err(|reason| unreadable(&reason))?;
        let mistake = |mistake: Mistake| mistake.within(text);
        let root = Path::default();
        let document = document.ok_or_else(|| mistake(Mistake::new(&root, "no route provided in config")))?;
        let route = document.route.ok_or_else(|| {
            mistake(Mistake::new(&root, "no route provided in config").hint("add `route:` with a `receiver`"))
        })?;
        let mut config = Self {
            global: document.global.unwrap_or_default(),
            route,
            inhibit_rules: document.inhibit_rules,
            receivers: document.receivers,
            templates: document.templates,
            time_intervals: document.mute_time_intervals,
            tidewatch: document.tidewatch.unwrap_or_default(),
        };
        let older = config.time_intervals.len();
        config.time_intervals.extend(document.time_intervals);
        config.check(older).map_err(mistake)?;
        Ok(config)
    }

    /// Receiver by name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// The integrations of a receiver that are served here, Alertmanager's first, then those of our own.
    pub fn integrations(&self, receiver: &str) -> Vec<(IntegrationKey, Integration<'_>)> {
        let mut all = self.receiver(receiver).map(Receiver::integrations).unwrap_or_default();
        let own = self.tidewatch.generic.iter().filter(|generic| generic.receiver == receiver).enumerate();
        all.extend(
            own.map(|(index, own)| (IntegrationKey::new(receiver, "generic", index), Integration::Generic(own))),
        );
        all
    }

    /// One integration by its key.
    pub fn integration(&self, key: &IntegrationKey) -> Option<Integration<'_>> {
        self.integrations(&key.receiver).into_iter().find(|(found, _)| found == key).map(|(_, integration)| integration)
    }

    /// The configuration with defaults and without secrets, as the HTTP API shows it.
    pub fn redacted(&self) -> String {
        let value = serde_yaml_ng::to_value(self).map(pruned);
        value.and_then(|value| serde_yaml_ng::to_string(&value)).unwrap_or_else(|reason| format!("# {reason}\n"))
    }

    /// Which receivers have integrations that only an Alertmanager can serve, for a warning at start.
    pub fn unsupported(&self) -> Vec<String> {
        let all = self.receivers.iter().flat_map(|receiver| {
            receiver.foreign().filter(|(_, configs)| !configs.is_empty()).map(|(kind, _)| {
                format!(
                    "receiver {:?}: {kind}_configs is not supported here: forward to an Alertmanager",
                    receiver.name
                )
            })
        });
        all.collect()
    }

    fn check(&mut self, older_intervals: usize) -> Result<(), Mistake> {
        let root = Path::default();
        self.global.validate(&root.key("global"))?;
        let mut names = BTreeSet::new();
        for (at, receiver) in self.receivers.iter_mut().enumerate() {
            let path = root.key("receivers").index(at);
            if !names.insert(receiver.name.clone()) {
                let message = format!("notification config name {:?} is not unique", receiver.name);
                return Err(Mistake::new(&path.key("name"), message));
            }
            receiver.complete(&self.global, &path)?;
        }
        let path = root.key("route");
        self.route.validate_root(&path)?;
        self.route.validate(&path)?;
        self.route.each(&path, &mut |route, path| match &route.receiver {
            Some(receiver) if !receiver.is_empty() && !names.contains(receiver) => {
                Err(Mistake::new(&path.key("receiver"), format!("undefined receiver {receiver:?} used in route"))
                    .hint("add it under `receivers`"))
            }
            _ => Ok(()),
        })?;
        let mut intervals = BTreeSet::new();
        for (at, interval) in self.time_intervals.iter().enumerate() {
            let path = if at < older_intervals {
                root.key("mute_time_intervals").index(at)
            } else {
                root.key("time_intervals").index(at - older_intervals)
            };
            if interval.name.is_empty() {
                return Err(Mistake::new(&path, "missing name in time interval"));
            }
            if !intervals.insert(interval.name.clone()) {
                return Err(Mistake::new(
                    &path.key("name"),
                    format!("time interval {:?} is not unique", interval.name),
                ));
            }
        }
        self.route.each(&path, &mut |route, path| {
            let named = [
                ("mute_time_intervals", &route.mute_time_intervals),
                ("active_time_intervals", &route.active_time_intervals),
            ];
            for (key, names) in named {
                if let Some(at) = names.iter().position(|name| !intervals.contains(name)) {
                    let message = format!("undefined time interval {:?} used in route", names[at]);
                    return Err(Mistake::new(&path.key(key).index(at), message).hint("add it under `time_intervals`"));
                }
            }
            Ok(())
        })?;
        for (at, rule) in self.inhibit_rules.iter().enumerate() {
            rule.validate(&root.key("inhibit_rules").index(at))?;
        }
        self.tidewatch.validate(&root.key("tidewatch"), &names)
    }
}

/// The reader's own error: its message starts with the path.
fn unreadable(reason: &serde_yaml_ng::Error) -> ConfigError {
    let position = reason.location().map(|place| (place.line(), place.column()));
    let text = reason.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    let (path, message) = match text.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => (path.to_string(), message.to_string()),
        _ => (String::new(), text.to_string()),
    };
    let hint = message.contains("unknown field").then(|| "unknown keys are refused: check the spelling".to_string());
    ConfigError { path, position, message, hint }
}

/// `text` without the block of the top-level key `tidewatch`, for Alertmanager's own tools.
pub fn without_extensions(text: &str) -> String {
    let mut skipping = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let indented = line.starts_with([' ', '\t', '\n', '\r', '#']) || line.starts_with("- ");
        if !indented {
            skipping = line.starts_with("tidewatch:");
        }
        if !skipping {
            kept.push_str(line);
        }
    }
    kept
}

/// Without nulls, empty texts and empty collections.
fn pruned(value: serde_yaml_ng::Value) -> serde_yaml_ng::Value {
    use serde_yaml_ng::Value;
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Sequence(list) => list.is_empty(),
        Value::Mapping(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Mapping(map) => {
            let entries = map.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Mapping(entries.filter(|(_, value)| !empty(value)).collect())
        }
        Value::Sequence(list) => Value::Sequence(list.into_iter().map(pruned).collect()),
        other => other,
    }
}

/// Whether `name` may be the name of a label: any text but the empty one.
fn is_label_name(name: &str) -> bool {
    !name.is_empty()
}

/// Whether `name` may be a key of the older `match` maps.
fn is_classic_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Refuses anything but an absolute HTTP address.
fn check_url(text: &str) -> Result<(), String> {
    let parsed = url::Url::parse(text).map_err(|reason| format!("not a URL: {reason}"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("unsupported scheme {:?} for URL", parsed.scheme()));
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("missing host for URL".to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
