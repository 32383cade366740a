//! `query`, `query_range`, `format_query`, `parse_query`, `query_exemplars`.

use super::super::Endpoints;
use super::super::client::{Client, Counted};
use super::request::Form;
use super::response::{Failure, answered, success};
use super::tree::tree;
use crate::promql::PromEngine;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};
use tidewatch_promql::{Options, Plan};
use tokio::time::Instant;

pub(crate) async fn instant(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    let query = form.query()?;
    let time_ms = form.time_ms("time")?.unwrap_or_else(|| endpoints.promql.now_ms());
    let plan = query.instant(time_ms, &options(&endpoints.promql, &form)?);
    run(&endpoints, &client, &form, plan, query.text()).await
}

pub(crate) async fn range(State(endpoints): State<Endpoints>, client: Client, form: Form) -> Result<Response, Failure> {
    let query = form.query()?;
    let (start_ms, end_ms) = (form.required_time_ms("start")?, form.required_time_ms("end")?);
    if end_ms < start_ms {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    let missing = || Failure::bad_data("invalid parameter \"step\": cannot parse \"\" to a valid duration");
    let step_ms = form.duration_ms("step")?.ok_or_else(missing)?;
    if step_ms <= 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Failure::bad_data(format!("invalid parameter \"step\": {message}")));
    }
    let points_max = endpoints.promql.limits().points_max;
    if (end_ms - start_ms) / step_ms > points_max {
        let message = format!(
            "exceeded maximum resolution of {points_max} points per timeseries (promql.points_max). Try decreasing the query resolution (?step=XX)"
        );
        return Err(Failure::bad_data(message));
    }
    let options = options(&endpoints.promql, &form)?;
    let plan = query.range(start_ms, end_ms, step_ms, &options);
    let plan = plan.map_err(|error| Failure::new(error.kind(), error.to_string()))?;
    run(&endpoints, &client, &form, plan, query.text()).await
}

fn options(engine: &PromEngine, form: &Form) -> Result<Options, Failure> {
    let mut options = engine.limits().options.clone();
    if let Some(lookback_ms) = form.duration_ms("lookback_delta")? {
        options.lookback_ms = lookback_ms.max(1);
    }
    Ok(options)
}

async fn run(
    endpoints: &Endpoints,
    client: &Client,
    form: &Form,
    plan: Plan,
    query: &str,
) -> Result<Response, Failure> {
    let (timeout, limit) = (form.timeout()?, form.limit()?);
    // Waiting for a turn takes of the time that the query has.
    let timeout_max = endpoints.promql.limits().timeout;
    let until = Instant::now() + timeout.unwrap_or(timeout_max).min(timeout_max);
    let _permit = client.turn(endpoints, until).await?;
    let counted = Counted::begin(&endpoints.metrics);
    let left = until.saturating_duration_since(Instant::now());
    let answer = endpoints.promql.answer(plan, Some(left)).await;
    counted.end(answer.as_ref().map_or_else(|error| error.kind(), |_| "ok"));
    Ok(answered(&answer?, query, limit))
}

pub async fn format(form: Form) -> Result<Response, Failure> {
    Ok(success(&Json::from(form.query()?.format())))
}

pub async fn parse(form: Form) -> Result<Response, Failure> {
    Ok(success(&tree(form.query()?.expr())))
}

/// Rollups keep no exemplars: which events were counted is asked of `verify` and the events themselves.
pub(crate) async fn exemplars(
    State(endpoints): State<Endpoints>,
    client: Client,
    form: Form,
) -> Result<Response, Failure> {
    form.query()?;
    let (start_ms, end_ms) = (form.time_ms("start")?, form.time_ms("end")?);
    if start_ms.zip(end_ms).is_some_and(|(start, end)| end < start) {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start timestamp"));
    }
    let _permit = client.wait(&endpoints).await?;
    Ok(success(&json!([])))
}
