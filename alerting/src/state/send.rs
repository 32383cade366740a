//! Which alerts are told to whoever delivers them, and when again.

use serde::Serialize;
use tidewatch_promql::Labels;

use super::{Instance, Phase, RESOLVED_RETENTION_MS, RuleState, codec};

/// How often an alert that has not changed is told again, unless asked otherwise.
pub const RESEND_DELAY_MS: i64 = 60_000;

/// An alert as it is told. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentAlert {
    /// Labels.
    #[serde(with = "codec::labels")]
    pub labels: Labels,
    /// Annotations.
    pub annotations: Vec<(String, String)>,
    /// When it began to fire.
    pub starts_at_ms: i64,
    /// When it was resolved, or, if it fires, until when that can be relied on without being told again.
    pub ends_at_ms: i64,
    /// Whether it is over.
    pub is_resolved: bool,
    /// Fires on although nobody knows whether the condition holds.
    pub is_unknown: bool,
    /// Where its expression can be looked at.
    pub generator_url: String,
}

/// The alerts that are to be told at the evaluation of `now_ms`, and notes in the state that they were. An alert is told
/// when it began to fire or was resolved since it was last told, and again once `resend_delay_ms` has passed, if it was
/// resolved for less than [`RESOLVED_RETENTION_MS`]. While it fires, its end lies four intervals or delays ahead, so that
/// two of them may be lost.
///
/// Prometheus waits for more than the delay; the specification of alert generators asks for the first evaluation that
/// is at least the delay later.
pub fn due(
    state: &mut RuleState,
    now_ms: i64,
    resend_delay_ms: i64,
    interval_ms: i64,
    generator_url: &str,
) -> Vec<SentAlert> {
    let due = state.instances.values_mut().filter(|instance| needs_sending(instance, now_ms, resend_delay_ms));
    due.map(|instance| {
        instance.last_sent_at_ms = Some(now_ms);
        let valid_until_ms = now_ms.saturating_add(interval_ms.max(resend_delay_ms).saturating_mul(4));
        instance.valid_until_ms = Some(valid_until_ms);
        SentAlert {
            labels: instance.labels.clone(),
            annotations: instance.annotations.clone(),
            starts_at_ms: instance.life.fired_at_ms.unwrap_or(instance.life.active_at_ms),
            ends_at_ms: instance.life.resolved_at_ms.unwrap_or(valid_until_ms),
            is_resolved: instance.life.phase == Phase::Resolved,
            is_unknown: instance.life.is_unknown,
            generator_url: generator_url.to_string(),
        }
    })
    .collect()
}

fn needs_sending(instance: &Instance, now_ms: i64, resend_delay_ms: i64) -> bool {
    if instance.life.phase == Phase::Pending {
        return false;
    }
    let resolved_ms = instance.life.resolved_at_ms;
    if resolved_ms.is_some_and(|resolved_ms| now_ms.saturating_sub(resolved_ms) >= RESOLVED_RETENTION_MS) {
        return false;
    }
    let Some(sent_ms) = instance.last_sent_at_ms else { return true };
    let is_news = resolved_ms.is_some_and(|resolved_ms| resolved_ms > sent_ms);
    is_news || sent_ms.saturating_add(resend_delay_ms) <= now_ms
}

/// Prometheus' address of the expression: `{external}/graph?g0.expr=…&g0.tab=1`.
pub fn generator_url(external_url: &str, expression: &str) -> String {
    format!("{}{}", external_url.trim_end_matches('/'), crate::template::alert::link(expression, 1))
}
