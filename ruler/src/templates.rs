//! Templates of messages: those of the configuration's files, and those written in its texts.

use chrono::DateTime;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use tidewatch_alerting::receiver::Templates;
use tidewatch_alerting::template::notification::{AlertData, Notification, NotificationFunctions};
use tidewatch_alerting::template::{Bounds, Templates as Named};

/// The named templates of a configuration.
#[derive(Debug, Clone, Default)]
pub struct TemplateBook {
    named: Named,
    now_ms: i64,
}

impl TemplateBook {
    /// Reads the files of `patterns`, which are taken from `folder` and may have `*` in their last part.
    ///
    /// # Errors
    /// A file cannot be read, or a template in it is wrong.
    pub fn load(patterns: &[String], folder: &Path) -> Result<Self, String> {
        let mut named = Named::new();
        for pattern in patterns {
            for path in matching(&folder.join(pattern))? {
                let shown = path.display().to_string();
                let text = std::fs::read_to_string(&path).map_err(|error| format!("template {shown}: {error}"))?;
                named.add(&shown, &text, &NotificationFunctions { now_ms: 0 }).map_err(|error| error.to_string())?;
            }
        }
        Ok(Self { named, now_ms: 0 })
    }

    /// The same at a time, milliseconds since the epoch.
    #[must_use]
    pub fn at(&self, now_ms: i64) -> Self {
        Self { now_ms, ..self.clone() }
    }
}

impl Templates for TemplateBook {
    fn render(&self, text: &str, data: &Json) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let functions = NotificationFunctions { now_ms: self.now_ms };
        let mut named = self.named.clone();
        let template = named.add("", text, &functions).map_err(|error| error.to_string())?;
        let value = notification(data).value();
        named.run(&template, &value, &[], &functions, Bounds::default()).map_err(|error| error.to_string())
    }
}

fn notification(data: &Json) -> Notification {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let pairs = |value: &Json| -> Vec<(String, String)> {
        let map = value.as_object().into_iter().flatten();
        map.map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let time_ms = |value: &Json| {
        let time = value.as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        time.map(|time| time.timestamp_millis()).unwrap_or_default()
    };
    let alert = |alert: &Json| AlertData {
        is_firing: alert["Status"] == "firing",
        labels: pairs(&alert["Labels"]),
        annotations: pairs(&alert["Annotations"]),
        starts_at_ms: time_ms(&alert["StartsAt"]),
        ends_at_ms: time_ms(&alert["EndsAt"]),
        generator_url: text(&alert["GeneratorURL"]),
        fingerprint: text(&alert["Fingerprint"]),
    };
    Notification {
        receiver: text(&data["Receiver"]),
        group_labels: pairs(&data["GroupLabels"]),
        alerts: data["Alerts"].as_array().into_iter().flatten().map(alert).collect(),
        external_url: text(&data["ExternalURL"]),
    }
}

/// Files that a path with at most one `*` in its last part names, sorted. A path without one must be there.
///
/// # Errors
/// The folder cannot be read.
pub fn matching(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else { return Ok(vec![pattern.to_owned()]) };
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
    };
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    found.sort();
    Ok(found)
}
