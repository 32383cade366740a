//! Judges events before they are taken, by the decoder of the worker that will count them.

use super::PROBLEMS_MAX;
use super::answer::{Problem, Refusal, Taken};
use crate::decode::{DecodeLimits, Decoded, Decoder, NoHeaders, RawRecord, Reason, Reject};
use crate::personal::{HashKey, Personal};
use axum::http::StatusCode;
use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tidewatch_engine::rollup::Catalog;

/// Decoders that are kept for the next request; beyond, one is made and thrown away.
const DECODERS_KEPT: usize = 32;

/// The events of one catalogue.
pub(super) struct Door {
    catalog: Arc<Catalog>,
    limits: DecodeLimits,
    personal: Arc<Personal>,
    decoders: Mutex<Vec<Decoder>>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What was found in a request.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    taken: Taken,
    problems: Vec<Problem>,
}

impl Door {
    pub fn new(catalog: &Arc<Catalog>, limits: DecodeLimits, hash_key: HashKey) -> Self {
        let personal = Arc::new(Personal::new(&catalog.personal, hash_key));
        Self { catalog: Arc::clone(catalog), limits, personal, decoders: Mutex::new(Vec::new()) }
    }

    /// What becomes of records that arrive at `now_us`, microseconds since the epoch.
    pub fn judge(&self, records: &[Bytes], now_us: i64) -> Verdict {
        let mut decoder = self
            .pool()
            .pop()
            .unwrap_or_else(|| Decoder::new(&self.catalog, self.limits).with_personal(Arc::clone(&self.personal)));
        let mut verdict = Verdict::default();
        for (index, payload) in records.iter().enumerate() {
            // As the worker will read it from the log.
            let raw = RawRecord { topic: None, payload, timestamp_us: Some(now_us), headers: &NoHeaders };
            match decoder.decode(&raw, now_us) {
                Ok(Decoded::Rows { .. }) => {
                    verdict.taken.accepted += 1;
                    decoder.take_back();
                }
                Ok(Decoded::Ignored { declared: true }) => verdict.taken.accepted += 1,
                Ok(Decoded::Ignored { declared: false }) => {
                    verdict.taken.ignored += 1;
                    verdict.note(|| self.unknown(index, payload));
                }
                Err(reject) => {
                    verdict.taken.dead_letters += 1;
                    verdict.note(|| self.problem(index, &reject));
                }
            }
        }
        let mut pool = self.pool();
        if pool.len() < DECODERS_KEPT {
            pool.push(decoder);
        }
        verdict
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<Decoder>> {
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In the words of a dead letter, which hold nothing personal.
    fn problem(&self, index: usize, reject: &Reject) -> Problem {
        let clean = |text: &Option<String>| text.as_deref().map(|text| self.personal.clean_attribute(text));
        let (place, finding) = reject.place_and_finding();
        let field = place.trim_end_matches(": ");
        Problem {
            index,
            reason: reject.reason.as_str(),
            field: (!field.is_empty()).then(|| field.to_owned()),
            detail: self.personal.clean_message(finding),
            hint: hint(reject.reason),
            event_id: clean(&reject.event_id),
            event_type: clean(&reject.event_type),
        }
    }

    fn unknown(&self, index: usize, payload: &[u8]) -> Problem {
        let text = |name: &str| {
            let value = sonic_rs::get(payload, [name]).ok()?;
            sonic_rs::JsonValueTrait::as_str(&value).map(|text| self.personal.clean_attribute(text))
        };
        let event_type = text("type");
        Problem {
            index,
            reason: "unknown_type",
            field: Some("type".to_owned()),
            detail: format!(
                "expected a type that a pack declares, found {:?}",
                event_type.as_deref().unwrap_or_default()
            ),
            hint: "correct the type, or declare it in sources.yaml",
            event_id: text("id"),
            event_type,
        }
    }
}

impl Verdict {
    fn note(&mut self, problem: impl FnOnce() -> Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem());
        }
    }

    /// Is there any event that would not count?
    pub fn is_bad(&self) -> bool {
        self.taken.dead_letters + self.taken.ignored > 0
    }

    /// The answer if all is taken.
    pub fn taken(self) -> Taken {
        self.taken
    }

    /// The answer if nothing is taken, of so many events.
    pub fn refusal(self, events: usize) -> Box<Refusal> {
        let bad = self.taken.dead_letters + self.taken.ignored;
        let message = format!("{bad} of {events} events cannot be counted; nothing of the request was taken");
        let not_listed = bad - self.problems.len();
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_events", message)
            .hint("send it again without the mistakes, or with ?on_error=dead_letter: then all is taken, and what is wrong is kept as dead letters")
            .problems(self.problems, not_listed)
    }
}

fn hint(reason: Reason) -> &'static str {
    match reason {
        Reason::BrokenJson => "an event is one JSON object",
        Reason::MissingAttribute => "add what the detail names",
        Reason::MissingTenant => "add tenantkind and tenantid",
        Reason::WrongType => "send the type that the pack declares for the field",
        Reason::UnknownEnum => "send one of the values that the pack lists",
        Reason::BadTimestamp => "write time as in 2026-03-14T18:00:00Z",
        Reason::FutureTimestamp => "correct the clock of the sender",
        Reason::RecordTooLarge => "send less, or raise ingest.record_bytes_max",
        Reason::StringTooLong => "shorten the text, or raise ingest.string_bytes_max",
        Reason::TooManyElements => "send fewer elements, or raise ingest.explode_max",
        Reason::UnsupportedFormat => "send CloudEvents 1.0 with JSON in data",
    }
}
