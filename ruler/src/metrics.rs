//! Our own metrics.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry, exponential_buckets};

/// Counters of rules and notifications.
#[derive(Debug, Clone)]
pub struct RulerMetrics {
    /// Evaluations of groups.
    pub evaluations: IntCounter,
    /// Rules whose evaluation failed.
    pub failures: IntCounter,
    /// Instants that nobody evaluated.
    pub missed: IntCounter,
    /// How long an evaluation takes.
    pub evaluation_seconds: Histogram,
    /// Alerts that the notifier refused.
    pub alerts_refused: IntCounter,
    /// Samples that rules wrote.
    pub samples_written: IntCounter,
    /// Writes of samples that failed.
    pub samples_lost: IntCounter,
    /// Writes of state that failed.
    pub store_failures: IntCounter,
    /// Messages that were handed to the outbox.
    pub messages: IntCounter,
    /// Times that messages had to wait because the outbox took none.
    pub outbox_refused: IntCounter,
    /// Alerts that were explained, as far as they can be.
    pub explanations: IntCounter,
    /// Explanations that failed or took too long.
    pub explanations_failed: IntCounter,
    /// Alerts that nobody tried to explain because too many waited.
    pub explanations_dropped: IntCounter,
    /// Rows of the ledger.
    pub ledger_rows: IntGauge,
    /// Rows of attempts that were dropped because nobody wrote them in time.
    pub attempts_dropped: IntCounter,
}

impl RulerMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// Some name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("tidewatch_rules_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let seconds = HistogramOpts::new("tidewatch_rules_evaluation_seconds", "Time to evaluate a group.")
            .buckets(exponential_buckets(0.001, 2.0, 16)?);
        let evaluation_seconds = Histogram::with_opts(seconds)?;
        registry.register(Box::new(evaluation_seconds.clone()))?;
        let ledger_rows = IntGauge::new("tidewatch_rules_ledger_rows", "Rows of the alert ledger.")?;
        registry.register(Box::new(ledger_rows.clone()))?;
        Ok(Self {
            evaluations: counter("evaluations_total", "Evaluations of rule groups.")?,
            failures: counter("failures_total", "Evaluations of single rules that failed; their state stays.")?,
            missed: counter("missed_evaluations_total", "Scheduled instants of groups that nobody evaluated.")?,
            evaluation_seconds,
            alerts_refused: counter("alerts_refused_total", "Alerts that were not valid.")?,
            samples_written: counter("samples_written_total", "Samples that rules recorded.")?,
            samples_lost: counter("sample_writes_failed_total", "Writes of recorded samples that failed.")?,
            store_failures: counter("store_failures_total", "Writes of rules' states that failed.")?,
            messages: counter("messages_total", "Messages handed to the outbox.")?,
            outbox_refused: counter("outbox_refused_total", "Times that messages waited because the outbox was full.")?,
            explanations: counter("explanations_total", "Firing alerts that were explained as far as they can be.")?,
            explanations_failed: counter(
                "explanations_failed_total",
                "Explanations of firing alerts that failed or took too long; the alerts were told without.",
            )?,
            explanations_dropped: counter(
                "explanations_dropped_total",
                "Firing alerts that were told without an explanation because too many waited for one.",
            )?,
            ledger_rows,
            attempts_dropped: counter(
                "ledger_attempts_dropped_total",
                "Attempts to send that are missing in the ledger because too many came at once; the outbox has them.",
            )?,
        })
    }
}
