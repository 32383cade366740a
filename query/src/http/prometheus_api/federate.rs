//! `GET /federate`: the newest samples of chosen series, in the text format, for another Prometheus to scrape.

use super::super::Endpoints;
use super::super::client::Client;
use super::request::Form;
use super::response::Failure;
use crate::exposition::{Exposition, number};
use crate::promql::{Described, Kind};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tidewatch_promql::labels::{is_plain_metric_name, is_plain_name, quote};
use tidewatch_promql::{Grammar, Labels, Query, Sample, Value};

/// Histograms are left out: the text format has no native ones.
pub(crate) async fn federate(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    let engine = &endpoints.promql;
    let now_ms = engine.now_ms();
    let mut found: BTreeSet<(String, Labels)> = BTreeSet::new();
    let mut values: BTreeMap<Labels, (i64, f64)> = BTreeMap::new();
    // Checked as selectors first: anything else would be evaluated as well.
    form.matchers()?;
    let _permit = client.wait(&endpoints).await?;
    for text in form.all("match[]") {
        let query = Query::parse(text, Grammar::default()).map_err(|error| Failure::bad_data(error.to_string()))?;
        let answer = engine.answer(query.instant(now_ms, &engine.limits().options), None).await?;
        let Value::Vector(samples) = answer.value else { continue };
        for sample in samples {
            if let Sample::Float(value) = sample.value {
                found.insert((sample.labels.metric_name().to_owned(), sample.labels.clone()));
                values.insert(sample.labels, (sample.time_ms, value));
            }
        }
    }
    let media_type = [(header::CONTENT_TYPE, Exposition::Text.media_type())];
    Ok((media_type, write(&found, &values, &engine.described().await?)).into_response())
}

fn write(
    found: &BTreeSet<(String, Labels)>,
    values: &BTreeMap<Labels, (i64, f64)>,
    metrics: &BTreeMap<String, Described>,
) -> String {
    let (mut text, mut family) = (String::new(), "");
    for (name, labels) in found {
        if family != name {
            family = name;
            let kind = match metrics.get(name).map(|metric| metric.kind) {
                Some(Kind::Counter) => "counter",
                Some(Kind::Gauge) => "gauge",
                Some(Kind::Histogram) | None => "untyped",
            };
            // Writing into a string cannot fail.
            let _ = writeln!(text, "# TYPE {} {kind}", written(name, is_plain_metric_name(name)));
        }
        let Some((time_ms, value)) = values.get(labels) else { continue };
        let mut open = '{';
        match is_plain_metric_name(name) {
            true => text.push_str(name),
            // A name of other characters stands among the labels.
            false => {
                let _ = write!(text, "{open}{}", quote(name));
                open = ',';
            }
        }
        for label in labels.iter().filter(|label| &*label.name != "__name__") {
            let _ = write!(text, "{open}{}={}", written(&label.name, is_plain_name(&label.name)), quote(&label.value));
            open = ',';
        }
        let close = if open == ',' { "}" } else { "" };
        let _ = writeln!(text, "{close} {} {time_ms}", number(*value));
    }
    text
}

/// A name as the text format takes it: in quotes unless it is plain.
fn written(name: &str, is_plain: bool) -> Cow<'_, str> {
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(quote(name)) }
}
