//! Texts within their limits.

use crate::contributions::parts::CONTRIBUTIONS_MAX;
use crate::route::alert::{Alert, Contribution, Timestamp};

/// An instant as Go's APIs write it: RFC 3339 with as many digits of the second as it needs.
pub fn instant(instant: Timestamp) -> String {
    let nanos = format!("{:09}", instant.timestamp_subsec_nanos() % 1_000_000_000);
    let digits = nanos.trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    format!("{}{dot}{digits}Z", instant.format("%Y-%m-%dT%H:%M:%S"))
}

/// At most `characters_max` characters; what is cut ends in `…`.
pub fn cut(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_string();
    }
    let mut kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    if characters_max > 0 {
        kept.push('…');
    }
    kept
}

/// At most `bytes_max` bytes, never within a character.
pub fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// A number for people: at most four significant digits, never in exponents below a million.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || !(1e-4..1e6).contains(&size) {
        return format!("{value}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 8")]
    let decimals = (3.0 - size.log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// One line about an alert's numbers: `6.2 (0.4 a week before, threshold 5); +71 % provider="ups"`, empty when none is
/// known.
pub fn numbers(alert: &Alert) -> String {
    let detail = &alert.detail;
    let mut text = detail.value.map(number).unwrap_or_default();
    let others = [
        detail.baseline.map(|it| match &detail.compared_with {
            Some(when) => format!("{} {when}", number(it)),
            None => format!("usually {}", number(it)),
        }),
        detail.threshold.map(|it| format!("threshold {}", number(it))),
    ];
    let others: Vec<String> = others.into_iter().flatten().collect();
    if !others.is_empty() {
        text = format!("{text} ({})", others.join(", ")).trim_start().to_string();
    }
    let shares: Vec<String> = detail.contributions.iter().take(CONTRIBUTIONS_MAX).map(share).collect();
    if !shares.is_empty() {
        text = if text.is_empty() { shares.join(", ") } else { format!("{text}; {}", shares.join(", ")) };
    }
    text
}

/// `+71 % provider="ups"`: how much of the change comes from it, below zero where it moved against the change.
pub fn share(contribution: &Contribution) -> String {
    format!("{:+.0} % {}", contribution.share * 100.0, contribution.label)
}

/// The text that says most about an alert: summary, description, message, or its name.
pub fn headline(alert: &Alert) -> &str {
    let texts = ["summary", "title", "message", "description"].map(|name| alert.annotations.value(name));
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| alert.name())
}

/// The page that says what to do.
pub fn runbook(alert: &Alert) -> Option<&str> {
    let annotated = ["runbook_url", "runbook"].map(|name| alert.annotations.value(name));
    alert.detail.runbook.as_deref().or_else(|| annotated.into_iter().find(|text| !text.is_empty()))
}

/// `text` safe within HTML, also in attributes.
pub fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// `text` safe within Slack's markup.
pub fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
