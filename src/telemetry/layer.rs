//! Spans of `tracing` as spans of a trace: ids, parents in this process or in that of the caller, sampling.

use super::otlp::{Ended, Kind, Parent, Value, parse_traceparent};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidewatch_ingest::clock::Clock;
use tokio::sync::mpsc;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Target of the spans that are traced. They are none of the log's business.
pub const TARGET: &str = "otel";

/// Fields that are no attributes.
const TRACEPARENT: &str = "traceparent";
const KIND: &str = "kind";
const ERROR: &str = "error";

/// Gives ended spans to the exporter.
pub struct TraceLayer {
    ended: mpsc::Sender<Ended>,
    sample_ratio: f64,
    clock: Arc<dyn Clock>,
    /// Spans for which the queue had no place.
    dropped: Arc<AtomicU64>,
    random: RandomState,
    next: AtomicU64,
}

impl fmt::Debug for TraceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceLayer").field("sample_ratio", &self.sample_ratio).finish_non_exhaustive()
    }
}

/// What belongs to a span while it is open.
struct Open {
    parent: Parent,
    span: Ended,
}

impl TraceLayer {
    pub(super) fn new(
        ended: mpsc::Sender<Ended>,
        sample_ratio: f64,
        clock: Arc<dyn Clock>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self { ended, sample_ratio, clock, dropped, random: RandomState::new(), next: AtomicU64::new(0) }
    }

    /// Never 0, which means "none".
    fn id(&self) -> u64 {
        self.random.hash_one(self.next.fetch_add(1, Ordering::Relaxed)).max(1)
    }

    /// A trace that begins here.
    fn root(&self) -> Parent {
        let trace = u128::from(self.id()) << 64 | u128::from(self.id());
        Parent { trace, span: 0, is_sampled: is_sampled(trace, self.sample_ratio) }
    }
}

/// Decided by the id alone, so that processes with one ratio agree.
fn is_sampled(trace: u128, ratio: f64) -> bool {
    // 53 bits, as many as a float has.
    let part = ((trace as u64) >> 11) as f64 / (1_u64 << 53) as f64;
    part < ratio
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let of_span = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let open = extensions.get::<Open>()?;
            Some(Parent { span: open.span.id, ..open.parent })
        });
        let parent = of_span.or(fields.remote).unwrap_or_else(|| self.root());
        let span_id = self.id();
        let ended = Ended {
            trace: parent.trace,
            id: span_id,
            parent: Some(parent.span).filter(|&id| id != 0),
            kind: fields.kind,
            name: attributes.metadata().name(),
            start_us: self.clock.now_us(),
            end_us: 0,
            attributes: fields.attributes,
            error: fields.error,
        };
        span.extensions_mut().insert(Open { parent, span: ended });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        open.span.attributes.extend(fields.attributes);
        open.span.error = fields.error.or(open.span.error.take());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { parent, mut span }) = span.extensions_mut().remove::<Open>() else { return };
        if !parent.is_sampled {
            return;
        }
        span.end_us = self.clock.now_us().max(span.start_us);
        if self.ended.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The fields of a span.
#[derive(Default)]
struct Fields {
    attributes: Vec<(&'static str, Value)>,
    remote: Option<Parent>,
    kind: Kind,
    error: Option<String>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.attributes.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            TRACEPARENT => self.remote = parse_traceparent(value),
            KIND => self.kind = Kind::parse(value),
            ERROR => self.error = Some(value.to_owned()),
            _ => self.add(field, Value::Text(value.to_owned())),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Flag(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Number(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
