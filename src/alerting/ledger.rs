//! The ledger as a SQL table.

use std::sync::{Arc, OnceLock};
use tidewatch_query::system::{AlertLedger, LedgerRow};
use tidewatch_ruler::begin::LedgerReader;
use tidewatch_ruler::ledger::Row;

/// Queries are there before the rules are: until then the table is empty.
#[derive(Debug, Clone, Default)]
pub struct LedgerSlot(Arc<OnceLock<LedgerReader>>);

impl LedgerSlot {
    /// From now on the table has the rows of `ledger`.
    pub fn fill(&self, ledger: LedgerReader) {
        // Filled once: rules are opened once.
        let _ = self.0.set(ledger);
    }
}

impl AlertLedger for LedgerSlot {
    fn newest(&self, limit: usize) -> Result<Vec<LedgerRow>, String> {
        let Some(ledger) = self.0.get() else { return Ok(Vec::new()) };
        let rows = ledger.newest(limit).map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(of_row).collect())
    }
}

fn of_row(row: Row) -> LedgerRow {
    let alertname = row.labels.get("alertname").cloned().or(row.rule);
    let labels = (!row.labels.is_empty()).then(|| serde_json::to_string(&row.labels).unwrap_or_default());
    LedgerRow {
        time_us: row.time_ms.saturating_mul(1000),
        stage: row.stage,
        alert: row.alert,
        alertname,
        rule_group: row.group,
        labels,
        state_from: row.from,
        state_to: row.to,
        passed: row.passed,
        reason: row.reason,
        caused_by: (!row.by.is_empty()).then(|| row.by.join(", ")),
        value: row.value,
        threshold: row.threshold,
        message: row.message,
        code: row.code.map(i64::from),
    }
}
