//! OTLP metrics over HTTP, translated as Prometheus' own receiver does it.
//!
//! | OTLP | samples |
//! |---|---|
//! | gauge, sum | one; a monotonic sum ends in `_total` |
//! | histogram | `_bucket{le}`, `_sum`, `_count` |
//! | exponential histogram | a native histogram; scales above 8 are merged down to 8 |
//! | summary | one per `quantile`, `_sum`, `_count` |
//! | a resource | labels `job` and `instance`; its other attributes are those of `target_info` |
//!
//! Deltas are refused in `partial_success`, for a series needs the sum of everything before. Start times are not
//! kept.

mod json;
mod names;
mod points;

use super::batch::Batch;
use super::response::{Answer, Failure};
use super::{SampleReceiver, tenant_of};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use serde_json::json;
use std::borrow::Cow;
use std::io::Read;

/// How the message is written, and so the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// `POST /api/v1/otlp/v1/metrics`.
pub(super) async fn export(State(receiver): State<SampleReceiver>, headers: HeaderMap, body: Bytes) -> Response {
    let form = match form_of(&headers) {
        Ok(form) => form,
        Err(failure) => return refused(failure, Form::Json),
    };
    match receive(&receiver, form, &headers, &body).await {
        Ok(answer) => accepted(&answer, form),
        Err(failure) => refused(failure, form),
    }
}

async fn receive(receiver: &SampleReceiver, form: Form, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Failure> {
    let tenant = tenant_of(headers)?;
    let limits = &receiver.shared.limits;
    let _permit = receiver.shared.requests.try_acquire().map_err(|_| Failure::busy(limits.requests_max))?;
    let bytes = decompress(headers, body, limits.message_bytes_max)?;
    let request = match form {
        Form::Protobuf => ExportMetricsServiceRequest::decode(&*bytes)
            .map_err(|error| Failure::bad(format!("the message is not an ExportMetricsServiceRequest: {error}")))?,
        Form::Json => json::read(&bytes)?,
    };
    let mut batch: Batch = receiver.batch(tenant);
    points::add(request, &mut batch)?;
    receiver.keep(batch, "otlp").await
}

fn form_of(headers: &HeaderMap) -> Result<Form, Failure> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match media_type.split(';').next().unwrap_or_default().trim() {
        "application/x-protobuf" => Ok(Form::Protobuf),
        "application/json" => Ok(Form::Json),
        other => Err(Failure::unsupported(format!(
            "Content-Type: expected application/x-protobuf or application/json, found {other:?}"
        ))),
    }
}

fn decompress<'b>(headers: &HeaderMap, body: &'b [u8], bytes_max: usize) -> Result<Cow<'b, [u8]>, Failure> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let bytes = match encoding.trim() {
        "" | "identity" => Cow::Borrowed(body),
        "gzip" => {
            let mut bytes = Vec::new();
            let mut reader = GzDecoder::new(body).take(bytes_max as u64 + 1);
            reader.read_to_end(&mut bytes).map_err(|error| Failure::bad(format!("the body is not gzip: {error}")))?;
            Cow::Owned(bytes)
        }
        other => return Err(Failure::unsupported(format!("Content-Encoding: expected gzip or none, found {other:?}"))),
    };
    if bytes.len() > bytes_max {
        return Err(Failure::too_large(format!(
            "more than {bytes_max} bytes decompressed (samples.message_bytes_max)"
        )));
    }
    Ok(bytes)
}

/// 200 in any case: what was refused stands in `partial_success`.
fn accepted(answer: &Answer, form: Form) -> Response {
    let rejected = answer.refused_count();
    let partial = (rejected > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: rejected as i64,
        error_message: answer.refused_text(),
    });
    let body = match (form, partial) {
        (Form::Protobuf, partial_success) => ExportMetricsServiceResponse { partial_success }.encode_to_vec(),
        (Form::Json, None) => b"{}".to_vec(),
        (Form::Json, Some(partial)) => {
            let partial = json!({
                // JSON writes 64-bit integers as text.
                "rejectedDataPoints": partial.rejected_data_points.to_string(),
                "errorMessage": partial.error_message,
            });
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    };
    (StatusCode::OK, [(header::CONTENT_TYPE, form.media_type())], body).into_response()
}

/// `google.rpc.Status`, as OTLP wants errors.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refused(failure: Failure, form: Form) -> Response {
    if failure.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // Whoever sent it does not speak OTLP.
        return failure.response_of_write(super::Message::V1);
    }
    // INVALID_ARGUMENT or UNAVAILABLE of gRPC.
    let code = if failure.status == StatusCode::SERVICE_UNAVAILABLE { 14 } else { 3 };
    let body = match form {
        Form::Protobuf => Status { code, message: failure.message.clone() }.encode_to_vec(),
        Form::Json => json!({ "code": code, "message": failure.message }).to_string().into_bytes(),
    };
    let mut response = failure.response_of_write(super::Message::V1);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form.media_type()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = body.into();
    response
}
