//! `tidewatch explain`: asks a running process why.

use crate::cli::{Explain, ExplainAlert};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::process::ExitCode;

/// An alert as Alertmanager's API lists it.
#[derive(Debug, Deserialize)]
struct Listed {
    fingerprint: String,
}

pub async fn explain(command: Explain) -> Result<ExitCode> {
    let Explain::Alert(options) = command;
    let is_fingerprint = options.alert.len() == 16 && options.alert.bytes().all(|byte| byte.is_ascii_hexdigit());
    let alerts = if is_fingerprint { vec![options.alert.clone()] } else { named(&options).await? };
    if alerts.is_empty() {
        bail!(
            "no alert {:?} is known now\n  hint: alerts of the past are explained by their fingerprint: `SELECT DISTINCT alert, labels FROM system.alert_ledger`",
            options.alert
        );
    }
    for alert in alerts {
        let format = if options.json { "json" } else { "text" };
        println!("{}", get(&options, &format!("/api/v1/alerts/{alert}/explain?format={format}")).await?);
    }
    Ok(ExitCode::SUCCESS)
}

async fn named(options: &ExplainAlert) -> Result<Vec<String>> {
    let matcher = format!("alertname={}", tidewatch_promql::labels::quote(&options.alert));
    let encoded: String = url::form_urlencoded::byte_serialize(matcher.as_bytes()).collect();
    let listed: Vec<Listed> = serde_json::from_str(&get(options, &format!("/api/v2/alerts?filter={encoded}")).await?)?;
    Ok(listed.into_iter().map(|alert| alert.fingerprint).collect())
}

async fn get(options: &ExplainAlert, path: &str) -> Result<String> {
    let url = format!("{}{path}", options.url.trim_end_matches('/'));
    let answer =
        reqwest::get(&url).await.with_context(|| format!("{}: is `tidewatch run` there? (--url)", options.url))?;
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        let error: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        bail!("{}", error["error"].as_str().unwrap_or(&text));
    }
    Ok(text)
}
