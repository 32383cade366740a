//! What came out, as a table for people or as JSON.

use crate::cli::ReportFormat;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use std::io::Write;
use tidewatch_alerting::backtest::{Backtest, BacktestOptions, Candidate, Difference};
use tidewatch_promql::calendar::rfc3339;
use tidewatch_promql::duration;
use tidewatch_ruler::ledger::sentence;

/// Intervals that are shown of each rule in a table.
const INTERVALS_SHOWN: usize = 20;

fn json<T: Serialize>(value: &T) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

pub fn backtest(found: &Backtest, options: &BacktestOptions, format: ReportFormat) -> Result<()> {
    if format == ReportFormat::Json {
        let failed: Vec<_> =
            found.failed_recordings.iter().map(|(rule, error)| json!({ "rule": rule, "error": error })).collect();
        return json(&json!({
            "start": rfc3339(options.start_ms),
            "end": rfc3339(options.end_ms),
            "rules": found.rules,
            "failed_recordings": failed,
        }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "from {} to {}\n", rfc3339(options.start_ms), rfc3339(options.end_ms))?;
    writeln!(
        out,
        "{:<40} {:>6} {:>6} {:>8} {:>6} {:>9} {:>9} {:>8}",
        "rule", "every", "fired", "pending", "flaps", "shortest", "longest", "firing"
    )?;
    let length = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), duration::format);
    for rule in &found.rules {
        let noise = &rule.noise;
        writeln!(
            out,
            "{:<40} {:>6} {:>6} {:>8} {:>6} {:>9} {:>9} {:>7.1}%",
            format!("{}/{}", rule.group, rule.rule),
            duration::format(rule.step_ms),
            noise.fired,
            noise.pending_only,
            noise.flaps,
            length(noise.shortest_ms),
            length(noise.longest_ms),
            noise.firing_share * 100.0
        )?;
    }
    for rule in &found.rules {
        let fired: Vec<_> = rule.intervals.iter().filter(|interval| interval.fired_at_ms.is_some()).collect();
        if fired.is_empty() && rule.error.is_none() {
            continue;
        }
        writeln!(out, "\n{}/{}", rule.group, rule.rule)?;
        if let Some(error) = &rule.error {
            writeln!(out, "  failed {} times: {error}", rule.errors)?;
        }
        for interval in fired.iter().take(INTERVALS_SHOWN) {
            let until = interval.ended_at_ms.map_or_else(|| "now".to_owned(), rfc3339);
            let from = interval.fired_at_ms.map(rfc3339).unwrap_or_default();
            writeln!(out, "  {from} – {until}  {}", interval.labels)?;
        }
        let more = fired.len().saturating_sub(INTERVALS_SHOWN) as u64 + rule.intervals_dropped;
        if more > 0 {
            writeln!(out, "  … and {more} more")?;
        }
        for message in &rule.messages {
            let texts: Vec<String> = message.annotations.iter().map(|(name, text)| format!("{name}: {text}")).collect();
            writeln!(out, "  message at {}  {}  {}", rfc3339(message.time_ms), message.labels, texts.join("; "))?;
        }
    }
    for (rule, error) in &found.failed_recordings {
        writeln!(out, "\n{rule} could not be recorded: {error}")?;
    }
    Ok(())
}

pub fn differences(found: &[Difference], format: ReportFormat) -> Result<()> {
    if format == ReportFormat::Json {
        return json(&found);
    }
    let mut out = std::io::stdout().lock();
    if found.is_empty() {
        writeln!(out, "no difference")?;
    }
    for one in found {
        writeln!(out, "{}/{} {}: {}", one.group, one.rule, one.labels, seen_from_old(one))?;
    }
    Ok(())
}

/// What late events are for an amendment, other rules are here.
fn seen_from_old(one: &Difference) -> String {
    let text = sentence(&one.change);
    text.trim_end_matches(": late events changed the numbers").to_owned()
}

pub fn candidates(found: &[Candidate], format: ReportFormat) -> Result<()> {
    if format == ReportFormat::Json {
        return json(&found);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>16} {:>8} {:>10} {:>8} {:>10}", "threshold", "alerts", "precision", "recall", "delay")?;
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.0}%", share * 100.0));
    for one in found {
        let delay = one.delay_ms.map_or_else(|| "–".to_owned(), duration::format);
        writeln!(
            out,
            "{:>16} {:>8} {:>10} {:>8} {delay:>10}",
            one.threshold,
            one.alerts,
            share(one.precision),
            share(one.recall)
        )?;
    }
    Ok(())
}
