//! The section of rules and alerts.

use super::DAY_S;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerting {
    pub enabled: bool,
    pub pack_rules: bool,
    pub rules: Vec<String>,
    pub config: String,
    pub path: String,
    pub external_url: String,
    #[serde(with = "humantime_serde")]
    pub evaluation_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub query_offset: Duration,
    #[serde(with = "humantime_serde")]
    pub react_min: Duration,
    #[serde(with = "humantime_serde")]
    pub resend_delay: Duration,
    #[serde(with = "humantime_serde")]
    pub give_up_after: Duration,
    #[serde(with = "humantime_serde")]
    pub ledger_retention: Duration,
    pub ledger_rows_max: usize,
    pub concurrency_max: usize,
    pub alertmanagers: Vec<String>,
    pub forward: Forward,
    pub amend: Amend,
    pub external_labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forward {
    pub user: String,
    pub password: String,
    pub bearer_token: String,
    pub ca_file: String,
    pub skip_verify: bool,
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    pub queue_max: usize,
    pub batch_max: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amend {
    #[serde(with = "humantime_serde")]
    pub delay: Duration,
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    #[serde(with = "humantime_serde")]
    pub age_max: Duration,
    pub evaluations_max: u64,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            enabled: true,
            pack_rules: true,
            rules: Vec::new(),
            config: String::new(),
            path: String::new(),
            external_url: String::new(),
            evaluation_interval: Duration::from_secs(60),
            query_offset: Duration::ZERO,
            react_min: Duration::from_secs(1),
            resend_delay: Duration::from_secs(60),
            give_up_after: Duration::from_secs(3600),
            ledger_retention: Duration::from_secs(90 * DAY_S),
            ledger_rows_max: 1_000_000,
            concurrency_max: 4,
            alertmanagers: Vec::new(),
            forward: Forward::default(),
            amend: Amend::default(),
            external_labels: BTreeMap::new(),
        }
    }
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            user: String::new(),
            password: String::new(),
            bearer_token: String::new(),
            ca_file: String::new(),
            skip_verify: false,
            timeout: Duration::from_secs(10),
            queue_max: 10_000,
            batch_max: 64,
        }
    }
}

impl Default for Amend {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(30),
            wait_max: Duration::from_secs(300),
            age_max: Duration::from_secs(7 * DAY_S),
            evaluations_max: 1_000_000,
        }
    }
}
