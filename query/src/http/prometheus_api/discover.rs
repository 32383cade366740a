//! `series`, `labels`, `label/<name>/values`, `metadata`.

use super::super::Endpoints;
use super::super::client::Client;
use super::request::Form;
use super::response::{Failure, labels as label_set, limited, success};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// What is looked at when a request names no start.
const SPAN_MS: i64 = 3_600_000;

/// Start and end, milliseconds: the last hour, unless the request says otherwise.
fn span(endpoints: &Endpoints, form: &Form) -> Result<(i64, i64), Failure> {
    let end_ms = form.time_ms("end")?.unwrap_or_else(|| endpoints.promql.now_ms());
    let start_ms = form.time_ms("start")?.unwrap_or_else(|| end_ms.saturating_sub(SPAN_MS));
    if end_ms < start_ms {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start timestamp"));
    }
    Ok((start_ms, end_ms))
}

pub(crate) async fn series(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    let (start_ms, end_ms) = span(&endpoints, &form)?;
    let (matchers, limit) = (form.matchers()?, form.limit()?);
    if matchers.is_empty() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let _permit = client.wait(&endpoints).await?;
    let found = endpoints.promql.series(&matchers, start_ms, end_ms).await?;
    Ok(limited(found.iter().map(label_set), limit))
}

pub(crate) async fn labels(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    let (start_ms, end_ms) = span(&endpoints, &form)?;
    let (matchers, limit) = (form.matchers()?, form.limit()?);
    let _permit = client.wait(&endpoints).await?;
    let names = endpoints.promql.label_names(&matchers, start_ms, end_ms).await?;
    Ok(limited(names.into_iter().map(Json::from), limit))
}

pub(crate) async fn values(
    State(endpoints): State<Endpoints>,
    Path(name): Path<String>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    if name.is_empty() {
        return Err(Failure::bad_data("invalid label name: \"\""));
    }
    let (start_ms, end_ms) = span(&endpoints, &form)?;
    let (matchers, limit) = (form.matchers()?, form.limit()?);
    let _permit = client.wait(&endpoints).await?;
    let values = endpoints.promql.label_values(&name, &matchers, start_ms, end_ms).await?;
    Ok(limited(values.into_iter().map(Json::from), limit))
}

pub(crate) async fn metadata(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    let limit = form.limit()?;
    let _permit = client.wait(&endpoints).await?;
    // What senders say of pushed metrics; of a name that a rollup or a view has as well, theirs counts.
    let pushed = endpoints.promql.metadata().all().into_iter().map(|(name, m)| {
        let entry = json!([{ "type": m.kind, "help": m.help, "unit": m.unit }]);
        (name, entry)
    });
    // One kind and text per metric: `limit_per_metric` has nothing to cut.
    let wanted = form.get("metric");
    let all = endpoints.promql.described().await?.into_iter();
    let all = all.map(|(name, m)| (name, json!([{ "type": m.kind.name(), "help": m.help, "unit": m.unit }])));
    let all: BTreeMap<String, Json> = pushed.chain(all).collect();
    let found: Map<String, Json> =
        all.into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)).take(limit).collect();
    Ok(success(&found.into()))
}
