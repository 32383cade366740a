//! What we add to Alertmanager's configuration, under the one top-level key `tidewatch`.
//!
//! ```yaml
//! tidewatch:
//!   owners: {label: receivers, otherwise: [ops]}     # an alert with `receivers: "TA,SA"` is owned by TA and SA
//!   escalation:                # who is told when nobody acknowledges
//!     - name: E3
//!       matchers: [severity="critical"]
//!       manual_close: [class="security", alertname="payment_failure"]     # open until a person closes them
//!       levels:
//!         - {after: 5m, owners: true, receivers: [second-contact]}
//!         - {after: 15m, receivers: [super-admin]}
//!         - {after: 30m, receivers: [all-admins], overdue: true}
//!         - {after: 1h, raise_to: E4}
//!   digests:                   # one mail a day instead of many
//!     - {name: daily, receiver: mail, matchers: [severity="info"], at: "08:00", location: Europe/Berlin}
//!   audiences: []              # receivers that name users, see [`people`](super::people)
//!   preferences: []            # what a user wants to get, and when not, see there
//!   flapping: {changes: 4, within: 10m, stable_for: 5m}
//!   webhook_signatures:        # HMAC key by receiver name
//!     - {receiver: hook, key_file: /run/secrets/hook}
//!   generic:                   # SMS gateways and the like, by receiver name
//!     - receiver: sms
//!       url: https://sms.example.org/send
//!       headers: {X-Api-Key: …}
//!       body: 'to=+49…&text={{ .CommonAnnotations.summary }}'
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::{Mistake, Path};
use super::integrations::{given, given_secret};
use super::people::{self, AudienceConfig, PreferenceConfig};
use super::route::check_matchers;
use super::scalar::{Flag, PromDuration, Secret, null_default, text_map};
use crate::mute::interval::Location;
use crate::route::matcher::{Matcher, Matchers};

/// Our own part of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Extensions {
    /// Who owns an alert; levels of escalation may tell them.
    pub owners: Option<OwnersConfig>,
    /// Escalation policies; the first whose matchers fit an alert is its policy.
    #[serde(deserialize_with = "null_default")]
    pub escalation: Vec<PolicyConfig>,
    /// Mails that collect.
    #[serde(deserialize_with = "null_default")]
    pub digests: Vec<DigestConfig>,
    /// Receivers that stand for users.
    #[serde(deserialize_with = "null_default")]
    pub audiences: Vec<AudienceConfig>,
    /// What users want.
    #[serde(deserialize_with = "null_default")]
    pub preferences: Vec<PreferenceConfig>,
    /// When an alert counts as flapping; never, when missing.
    pub flapping: Option<FlappingConfig>,
    /// Keys that sign webhooks.
    #[serde(deserialize_with = "null_default")]
    pub webhook_signatures: Vec<SignatureConfig>,
    /// Requests of any form.
    #[serde(deserialize_with = "null_default")]
    pub generic: Vec<GenericConfig>,
}

/// Who owns an alert: the receivers that a label of it names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnersConfig {
    /// The label; its value is names of receivers, separated by commas. Names that no receiver has are passed over.
    pub label: String,
    /// Who owns an alert whose label names no receiver; at least one.
    #[serde(deserialize_with = "null_default")]
    pub otherwise: Vec<String>,
}

/// An escalation policy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Unique.
    pub name: String,
    /// Which alerts it is for; none means that only `raise_to` leads here.
    #[serde(deserialize_with = "null_default")]
    pub matchers: Vec<String>,
    /// Alerts with any of these stay open after the condition is gone, until a person closes them.
    #[serde(deserialize_with = "null_default")]
    pub manual_close: Vec<String>,
    /// In the order of `after`.
    #[serde(deserialize_with = "null_default")]
    pub levels: Vec<LevelConfig>,
}

/// One step of a policy.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelConfig {
    /// Time since the alert came under this policy, without acknowledgement.
    pub after: PromDuration,
    /// Whether the alert's owners are told then.
    pub owners: Flag,
    /// Who else is told then.
    #[serde(deserialize_with = "null_default")]
    pub receivers: Vec<String>,
    /// The policy that takes over then, its time counted from there.
    pub raise_to: Option<String>,
    /// Whether the alert is shown as overdue from then on.
    pub overdue: Flag,
}

/// A mail that collects alerts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DigestConfig {
    /// Unique.
    pub name: String,
    /// Who gets it.
    pub receiver: String,
    /// Which alerts it lists; all, when missing.
    #[serde(deserialize_with = "null_default")]
    pub matchers: Vec<String>,
    /// Local time of day, `HH:MM`.
    pub at: String,
    /// Weekdays in small letters; every day, when missing.
    #[serde(deserialize_with = "null_default")]
    pub weekdays: Vec<String>,
    /// Time zone; UTC, when missing.
    pub location: Option<Location>,
}

/// When an alert counts as flapping.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlappingConfig {
    /// Changes between firing and resolved within `within` that make an alert flapping; at least 2.
    pub changes: u32,
    /// The window they are counted in.
    pub within: PromDuration,
    /// How long an alert must not change until it is stable again.
    pub stable_for: PromDuration,
}

/// The key that signs a receiver's webhooks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignatureConfig {
    /// Name of the receiver.
    pub receiver: String,
    /// The key itself …
    pub key: Option<Secret>,
    /// … or the file that holds it.
    pub key_file: Option<String>,
}

/// A request of any form, for SMS gateways and the like.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenericConfig {
    /// Name of the receiver.
    pub receiver: String,
    /// Whether resolved alerts are told.
    pub send_resolved: Flag,
    /// Method; POST, when missing.
    pub method: Option<String>,
    /// Address; a template.
    pub url: Option<Secret>,
    /// Headers; their values are templates and secret.
    #[serde(deserialize_with = "null_default")]
    pub headers: BTreeMap<String, Secret>,
    /// Body; a template.
    pub body: Option<String>,
    /// Form fields instead of a body, encoded for a URL; their values are templates.
    #[serde(deserialize_with = "text_map")]
    pub form: BTreeMap<String, String>,
}

impl Extensions {
    pub(super) fn validate(&self, at: &Path, receivers: &BTreeSet<String>) -> Result<(), Mistake> {
        let known = |name: &str, at: &Path| {
            if receivers.contains(name) {
                return Ok(());
            }
            Err(Mistake::new(at, format!("undefined receiver {name:?}")).hint("add it under `receivers`"))
        };
        if let Some(owners) = &self.owners {
            owners.validate(&at.key("owners"), &known)?;
        }
        let policies: BTreeSet<&str> = self.escalation.iter().map(|policy| policy.name.as_str()).collect();
        unique(&at.key("escalation"), "name", self.escalation.iter().map(|policy| &policy.name))?;
        for (index, policy) in self.escalation.iter().enumerate() {
            policy.validate(&at.key("escalation").index(index), &policies, self.owners.is_some(), &known)?;
        }
        unique(&at.key("digests"), "name", self.digests.iter().map(|digest| &digest.name))?;
        for (index, digest) in self.digests.iter().enumerate() {
            let at = at.key("digests").index(index);
            known(&digest.receiver, &at.key("receiver"))?;
            check_matchers(&at.key("matchers"), &digest.matchers)?;
            crate::escalation::digest::Schedule::new(digest).map_err(|reason| Mistake::new(&at, reason))?;
        }
        unique(&at.key("preferences"), "user", self.preferences.iter().map(|preference| &preference.user))?;
        unique(&at.key("audiences"), "receiver", self.audiences.iter().map(|audience| &audience.receiver))?;
        people::validate(at, &self.audiences, &self.preferences, &self.digests, &known)?;
        if let Some(flapping) = &self.flapping {
            let at = at.key("flapping");
            if flapping.changes < 2 {
                return Err(Mistake::new(&at.key("changes"), "at least 2 changes make an alert flapping"));
            }
            if flapping.within.milliseconds == 0 || flapping.stable_for.milliseconds == 0 {
                return Err(Mistake::new(&at, "within and stable_for cannot be zero"));
            }
        }
        for (index, signature) in self.webhook_signatures.iter().enumerate() {
            let at = at.key("webhook_signatures").index(index);
            known(&signature.receiver, &at.key("receiver"))?;
            if given_secret(signature.key.as_ref()) == given(signature.key_file.as_deref()) {
                return Err(Mistake::new(&at, "exactly one of key & key_file must be configured"));
            }
        }
        for (index, generic) in self.generic.iter().enumerate() {
            let at = at.key("generic").index(index);
            known(&generic.receiver, &at.key("receiver"))?;
            let url = generic.url.as_ref().map(Secret::reveal).unwrap_or_default();
            if !url.contains("{{") {
                super::check_url(url).map_err(|reason| Mistake::new(&at.key("url"), reason))?;
            }
            if generic.body.is_some() && !generic.form.is_empty() {
                return Err(Mistake::new(&at, "at most one of body & form must be configured"));
            }
        }
        Ok(())
    }
}

fn unique<'a>(at: &Path, key: &str, names: impl Iterator<Item = &'a String>) -> Result<(), Mistake> {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if name.is_empty() || !seen.insert(name) {
            let message = format!("{key} {name:?} is empty or not unique");
            return Err(Mistake::new(&at.index(index).key(key), message));
        }
    }
    Ok(())
}

impl OwnersConfig {
    fn validate(&self, at: &Path, known: &impl Fn(&str, &Path) -> Result<(), Mistake>) -> Result<(), Mistake> {
        if self.label.is_empty() {
            return Err(Mistake::new(&at.key("label"), "owners need the label that names them"));
        }
        if self.otherwise.is_empty() {
            let message = "nobody would be told of an alert whose label names no receiver";
            return Err(Mistake::new(&at.key("otherwise"), message).hint("name at least one receiver"));
        }
        let mut all = self.otherwise.iter().enumerate();
        all.try_for_each(|(index, receiver)| known(receiver, &at.key("otherwise").index(index)))
    }
}

impl PolicyConfig {
    fn validate(
        &self,
        at: &Path,
        policies: &BTreeSet<&str>,
        has_owners: bool,
        known: &impl Fn(&str, &Path) -> Result<(), Mistake>,
    ) -> Result<(), Mistake> {
        check_matchers(&at.key("matchers"), &self.matchers)?;
        check_matchers(&at.key("manual_close"), &self.manual_close)?;
        let mut last = PromDuration::default();
        for (index, level) in self.levels.iter().enumerate() {
            let at = at.key("levels").index(index);
            if level.after < last {
                return Err(Mistake::new(&at.key("after"), "levels must be in the order of their times"));
            }
            last = level.after;
            for (index, receiver) in level.receivers.iter().enumerate() {
                known(receiver, &at.key("receivers").index(index))?;
            }
            if level.owners.0 && !has_owners {
                return Err(Mistake::new(&at.key("owners"), "nothing says who owns an alert")
                    .hint("add `owners:` with a `label` under `tidewatch`"));
            }
            let Some(next) = &level.raise_to else {
                if level.receivers.is_empty() && !level.owners.0 && !level.overdue.0 {
                    return Err(Mistake::new(&at, "a level needs receivers, owners, raise_to or overdue"));
                }
                continue;
            };
            if !policies.contains(next.as_str()) {
                return Err(Mistake::new(&at.key("raise_to"), format!("undefined policy {next:?}")));
            }
            if level.after.milliseconds == 0 {
                return Err(Mistake::new(
                    &at.key("after"),
                    "raise_to needs a time, or policies could raise in a circle",
                ));
            }
        }
        Ok(())
    }

    /// Matchers, of a validated policy.
    pub fn all_matchers(&self) -> Matchers {
        parsed(&self.matchers)
    }

    /// Any of which keeps an alert open, of a validated policy.
    pub fn manual_close_matchers(&self) -> Vec<Matcher> {
        parsed(&self.manual_close).iter().cloned().collect()
    }
}

impl DigestConfig {
    /// Matchers, of a validated digest.
    pub fn all_matchers(&self) -> Matchers {
        parsed(&self.matchers)
    }
}

fn parsed(written: &[String]) -> Matchers {
    let all = written.iter().filter_map(|text| Matchers::parse(text).ok());
    Matchers::new(all.flat_map(|matchers| matchers.iter().cloned().collect::<Vec<_>>()).collect())
}
