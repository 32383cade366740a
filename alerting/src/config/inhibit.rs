//! An inhibition rule as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{Mistake, Path};
use super::is_label_name;
use super::route::{check_maps, check_matchers, joined};
use super::scalar::{UniqueMap, null_default, text_map};
use crate::route::matcher::Matchers;

/// A source alert that fires mutes target alerts with the same values of the `equal` labels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct InhibitRuleConfig {
    pub name: Option<String>,
    #[serde(deserialize_with = "text_map")]
    pub source_match: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    pub source_match_re: UniqueMap<Option<String>>,
    #[serde(deserialize_with = "null_default")]
    pub source_matchers: Vec<String>,
    #[serde(deserialize_with = "text_map")]
    pub target_match: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    pub target_match_re: UniqueMap<Option<String>>,
    #[serde(deserialize_with = "null_default")]
    pub target_matchers: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub equal: Vec<String>,
}

impl InhibitRuleConfig {
    pub(super) fn validate(&self, at: &Path) -> Result<(), Mistake> {
        check_maps(at, "source_match", &self.source_match, "source_match_re", &self.source_match_re)?;
        check_maps(at, "target_match", &self.target_match, "target_match_re", &self.target_match_re)?;
        check_matchers(&at.key("source_matchers"), &self.source_matchers)?;
        check_matchers(&at.key("target_matchers"), &self.target_matchers)?;
        match self.equal.iter().position(|name| !is_label_name(name)) {
            Some(index) => Err(Mistake::new(&at.key("equal").index(index), "invalid label name \"\" in equal list")),
            None => Ok(()),
        }
    }

    /// Matchers of the source, of a validated rule.
    pub fn source(&self) -> Matchers {
        joined(&self.source_match, &self.source_match_re, &self.source_matchers).unwrap_or_default()
    }

    /// Matchers of the target, of a validated rule.
    pub fn target(&self) -> Matchers {
        joined(&self.target_match, &self.target_match_re, &self.target_matchers).unwrap_or_default()
    }
}
