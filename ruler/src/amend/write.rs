//! What follows from verdicts: rows of the ledger, marks on alerts, corrected messages.

use super::judge::{Finding, Said, Verdict};
use super::look::Found;
use super::told::Corrections;
use super::units::Unit;
use super::watch::Watch;
use super::{MARKS_MAX, lock};
use crate::begin::Shared;
use crate::evaluate::{timestamp, with_external};
use crate::ledger::{Row, verdict};
use crate::store::Change;
use tidewatch_alerting::route::{Alert, Labels};

/// What messages say about an alert that fired; `None` where they say nothing: what was told stands, or would have been
/// told at another time, or nothing was told.
pub(crate) fn mark_of(said: &Said) -> Option<String> {
    said.is_told.then(|| verdict(said))
}

fn said_of(shared: &Shared, unit: &Unit, finding: &Finding, now_ms: i64) -> (Said, Labels) {
    let external = &shared.settings.groups.external_labels;
    let labels = with_external(Labels(finding.labels.clone()), external);
    let said = Said {
        group: unit.group.clone(),
        rule: unit.rule.clone(),
        labels: finding.labels.clone(),
        alert: labels.fingerprint().to_string(),
        fired_ms: finding.fired_ms,
        ended_ms: finding.ended_ms,
        verdict: finding.verdict,
        at_ms: now_ms,
        turn: finding.turn,
        is_told: finding.is_told,
    };
    (said, labels)
}

/// Writes down what was found, and corrects what was told. The corrections are in the outbox before the verdicts are in the
/// store: after a kill in between they come again, with the same keys. Blocks.
///
/// # Errors
/// The outbox takes none, or the store fails: then nothing is written, and it is to be tried again.
pub(crate) fn write(shared: &Shared, unit: &Unit, watch: &Watch, found: &Found, now_ms: i64) -> Result<(), String> {
    if found.findings.is_empty() {
        return Ok(());
    }
    let failed = |error: crate::store::StoreError| error.to_string();
    let mut corrections = Corrections::default();
    let (mut rows, mut all_said, mut marked) = (Vec::new(), Vec::new(), Vec::new());
    for finding in &found.findings {
        let (said, labels) = said_of(shared, unit, finding, now_ms);
        let mut alert = Alert::firing(labels, timestamp(said.fired_ms));
        alert.ends_at = said.ended_ms.map(timestamp);
        alert.detail.amendment = mark_of(&said);
        if alert.detail.amendment.is_some() {
            let later = |one: &&super::judge::Firing| one.labels == said.labels && one.fired_ms > said.fired_ms;
            let fired_next = found.taken.iter().filter(later).map(|one| one.fired_ms).min();
            corrections.mark(shared, &alert, fired_next, said.turn).map_err(failed)?;
        } else if matches!(said.verdict, Verdict::ShouldHaveFired | Verdict::RightlySilent) {
            // Nobody was told of it; digests list it.
            alert.detail.amendment = Some(verdict(&said));
        }
        rows.push(Row::of_amendment(&said, watch.since_ms));
        marked.push(alert);
        all_said.push(said);
    }
    let mut notifier = shared.notifier();
    let (batch, messages, more) = corrections.make(shared, &notifier, now_ms);
    rows.extend(more);
    if !batch.is_empty() {
        let enqueued = shared.outbox.enqueue(&batch).map_err(|error| error.to_string())?;
        shared.amends.metrics.edits.inc_by(enqueued.new as u64);
    }
    let before = notifier.state.clone();
    marked.iter().for_each(|alert| notifier.amend(alert, timestamp(now_ms)));
    let change =
        Change { notifier: Some(&notifier.state), rows: &rows, said: &all_said, durable: true, ..Change::default() };
    if let Err(error) = shared.store.write(&change) {
        notifier.state = before;
        shared.metrics.store_failures.inc();
        return Err(error.to_string());
    }
    drop(notifier);
    for message in &messages {
        if let Err(error) = shared.store.keep_told(message) {
            shared.metrics.store_failures.inc();
            tracing::error!(%error, "what a message shows could not be kept");
        }
    }
    let mut marks = lock(&shared.amends.marks);
    for (said, alert) in all_said.iter().zip(&marked) {
        shared.amends.metrics.amended(said.verdict);
        if let Some(text) = mark_of(said) {
            marks.insert((said.fired_ms, alert.fingerprint()), text);
        }
    }
    while marks.len() > MARKS_MAX {
        marks.pop_first();
    }
    Ok(())
}
