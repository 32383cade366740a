//! A route as it is written.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::{Mistake, Path};
use super::scalar::{Flag, PromDuration, UniqueMap, null_default, text_map};
use super::{is_classic_label_name, is_label_name};
use crate::route::matcher::{MatchOp, Matcher, Matchers, anchored};

/// A node of the route tree as it is written; what is missing is inherited.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct RouteConfig {
    pub receiver: Option<String>,
    pub group_by: Option<Vec<String>>,
    #[serde(rename = "match", deserialize_with = "text_map")]
    pub equal: BTreeMap<String, String>,
    #[serde(rename = "match_re", deserialize_with = "null_default")]
    pub regex: UniqueMap<Option<String>>,
    #[serde(deserialize_with = "null_default")]
    pub matchers: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub mute_time_intervals: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub active_time_intervals: Vec<String>,
    #[serde(rename = "continue")]
    pub continues: Flag,
    #[serde(deserialize_with = "null_default")]
    pub routes: Vec<RouteConfig>,
    pub group_wait: Option<PromDuration>,
    pub group_interval: Option<PromDuration>,
    pub repeat_interval: Option<PromDuration>,
    #[serde(deserialize_with = "text_map")]
    pub labels: BTreeMap<String, String>,
}

impl RouteConfig {
    /// All matchers in one list, of a validated route.
    pub fn all_matchers(&self) -> Matchers {
        joined(&self.equal, &self.regex, &self.matchers).unwrap_or_default()
    }

    pub(super) fn validate_root(&self, at: &Path) -> Result<(), Mistake> {
        if self.continues.0 {
            return Err(Mistake::new(&at.key("continue"), "cannot have continue in root route"));
        }
        if self.receiver.as_deref().is_none_or(str::is_empty) {
            return Err(Mistake::new(at, "root route must specify a default receiver").hint("add `receiver:`"));
        }
        if !self.equal.is_empty() || !self.regex.0.is_empty() || !self.matchers.is_empty() {
            return Err(Mistake::new(at, "root route must not have any matchers").hint("move them to a child route"));
        }
        for (key, names) in
            [("mute_time_intervals", &self.mute_time_intervals), ("active_time_intervals", &self.active_time_intervals)]
        {
            if !names.is_empty() {
                return Err(Mistake::new(
                    &at.key(key),
                    format!("root route must not have any {}", key.replace('_', " ")),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn validate(&self, at: &Path) -> Result<(), Mistake> {
        for (index, child) in self.routes.iter().enumerate() {
            child.validate(&at.key("routes").index(index))?;
        }
        check_maps(at, "match", &self.equal, "match_re", &self.regex)?;
        check_matchers(&at.key("matchers"), &self.matchers)?;
        if let Some(name) = self.labels.keys().find(|name| !is_label_name(name)) {
            return Err(Mistake::new(&at.key("labels"), format!("invalid label name {name:?} in route labels")));
        }
        self.validate_group_by(&at.key("group_by"))?;
        for (key, interval) in [("group_interval", self.group_interval), ("repeat_interval", self.repeat_interval)] {
            if interval.is_some_and(|interval| interval.milliseconds == 0) {
                return Err(Mistake::new(&at.key(key), format!("{key} cannot be zero")));
            }
        }
        Ok(())
    }

    fn validate_group_by(&self, at: &Path) -> Result<(), Mistake> {
        let names = self.group_by.as_deref().unwrap_or_default();
        let all = names.iter().any(|name| name == "...");
        let mut seen = BTreeSet::new();
        for (index, name) in names.iter().enumerate().filter(|(_, name)| *name != "...") {
            let at = at.index(index);
            if !is_label_name(name) {
                return Err(Mistake::new(&at, format!("invalid label name {name:?} in group_by list")));
            }
            if all {
                return Err(Mistake::new(
                    &at,
                    "cannot have wildcard group_by (`...`) and other labels at the same time",
                ));
            }
            if !seen.insert(name) {
                return Err(Mistake::new(&at, format!("duplicated label {name:?} in group_by")));
            }
        }
        Ok(())
    }

    /// Calls `check` for this route and all below it.
    pub(super) fn each(
        &self,
        at: &Path,
        check: &mut impl FnMut(&Self, &Path) -> Result<(), Mistake>,
    ) -> Result<(), Mistake> {
        for (index, child) in self.routes.iter().enumerate() {
            child.each(&at.key("routes").index(index), check)?;
        }
        check(self, at)
    }
}

/// The three ways to write matchers as one sorted list.
pub(super) fn joined(
    equal: &BTreeMap<String, String>,
    regex: &UniqueMap<Option<String>>,
    written: &[String],
) -> Result<Matchers, String> {
    let mut all = Vec::new();
    for (name, value) in equal {
        all.push(Matcher::new(MatchOp::Equal, name, value)?);
    }
    for (name, value) in &regex.0 {
        // Alertmanager keeps these anchored twice, and so they stand in group keys.
        let value = format!("^(?:{})$", value.as_deref().unwrap_or_default());
        all.push(Matcher::new(MatchOp::Regex, name, value)?);
    }
    for text in written {
        all.extend(Matchers::parse(text)?.iter().cloned());
    }
    Ok(Matchers::new(all))
}

pub(super) fn check_maps(
    at: &Path,
    equal_key: &str,
    equal: &BTreeMap<String, String>,
    regex_key: &str,
    regex: &UniqueMap<Option<String>>,
) -> Result<(), Mistake> {
    let names = equal.keys().map(|name| (equal_key, name)).chain(regex.0.keys().map(|name| (regex_key, name)));
    for (key, name) in names {
        if !is_classic_label_name(name) {
            return Err(Mistake::new(&at.key(key).key(name), format!("invalid label name {name:?}"))
                .hint("use `matchers`, which take any UTF-8 name in quotes"));
        }
    }
    for (name, value) in &regex.0 {
        let at = at.key(regex_key).key(name);
        let value = value.as_ref().ok_or_else(|| Mistake::new(&at, format!("invalid regexp value for {name:?}")))?;
        anchored(value).map_err(|reason| Mistake::new(&at, format!("invalid regexp {value:?}: {reason}")))?;
    }
    Ok(())
}

pub(super) fn check_matchers(at: &Path, written: &[String]) -> Result<(), Mistake> {
    for (index, text) in written.iter().enumerate() {
        Matchers::parse(text).map_err(|reason| {
            Mistake::new(&at.index(index), format!("{text:?}: {reason}")).hint("expected such as severity=\"critical\"")
        })?;
    }
    Ok(())
}
