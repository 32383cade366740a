//! OTLP in JSON: the same message with names in camel case, 64-bit integers as texts or numbers, and enums as
//! numbers. Unknown names are passed over.

use super::super::response::Failure;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;

/// Reads a request.
pub(super) fn read(bytes: &[u8]) -> Result<ExportMetricsServiceRequest, Failure> {
    let json: Value =
        serde_json::from_slice(bytes).map_err(|error| Failure::bad(format!("the body is not JSON: {error}")))?;
    let resource_metrics = list(&json, "resourceMetrics", |resource| {
        Ok(ResourceMetrics {
            resource: match &resource["resource"] {
                Value::Null => None,
                found => Some(Resource { attributes: attributes(found)?, ..Resource::default() }),
            },
            scope_metrics: list(resource, "scopeMetrics", |scope| {
                Ok(ScopeMetrics { metrics: list(scope, "metrics", metric)?, ..ScopeMetrics::default() })
            })?,
            ..ResourceMetrics::default()
        })
    })?;
    Ok(ExportMetricsServiceRequest { resource_metrics })
}

fn metric(json: &Value) -> Result<Metric, Failure> {
    let temporality = |json: &Value| integer(json, "aggregationTemporality").map(|n| n as i32);
    let data = if let Some(gauge) = present(json, "gauge") {
        Some(Data::Gauge(Gauge { data_points: list(gauge, "dataPoints", number_point)? }))
    } else if let Some(sum) = present(json, "sum") {
        Some(Data::Sum(Sum {
            data_points: list(sum, "dataPoints", number_point)?,
            aggregation_temporality: temporality(sum)?,
            is_monotonic: sum["isMonotonic"].as_bool().unwrap_or_default(),
        }))
    } else if let Some(histogram) = present(json, "histogram") {
        Some(Data::Histogram(Histogram {
            data_points: list(histogram, "dataPoints", histogram_point)?,
            aggregation_temporality: temporality(histogram)?,
        }))
    } else if let Some(histogram) = present(json, "exponentialHistogram") {
        Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: list(histogram, "dataPoints", exponential_point)?,
            aggregation_temporality: temporality(histogram)?,
        }))
    } else if let Some(summary) = present(json, "summary") {
        Some(Data::Summary(Summary { data_points: list(summary, "dataPoints", summary_point)? }))
    } else {
        None
    };
    Ok(Metric {
        name: string(json, "name")?,
        description: string(json, "description")?,
        unit: string(json, "unit")?,
        data,
        ..Metric::default()
    })
}

fn number_point(json: &Value) -> Result<NumberDataPoint, Failure> {
    let value = match (present(json, "asInt"), present(json, "asDouble")) {
        (Some(_), _) => Some(Number::AsInt(integer(json, "asInt")?)),
        (None, Some(_)) => Some(Number::AsDouble(float(json, "asDouble")?)),
        (None, None) => None,
    };
    Ok(NumberDataPoint {
        attributes: attributes(json)?,
        time_unix_nano: unsigned(json, "timeUnixNano")?,
        exemplars: exemplars(json)?,
        flags: unsigned(json, "flags")? as u32,
        value,
        ..NumberDataPoint::default()
    })
}

fn histogram_point(json: &Value) -> Result<HistogramDataPoint, Failure> {
    Ok(HistogramDataPoint {
        attributes: attributes(json)?,
        time_unix_nano: unsigned(json, "timeUnixNano")?,
        count: unsigned(json, "count")?,
        sum: present(json, "sum").map(|_| float(json, "sum")).transpose()?,
        bucket_counts: list(json, "bucketCounts", |count| as_unsigned(count, "bucketCounts"))?,
        explicit_bounds: list(json, "explicitBounds", |bound| as_float(bound, "explicitBounds"))?,
        exemplars: exemplars(json)?,
        flags: unsigned(json, "flags")? as u32,
        ..HistogramDataPoint::default()
    })
}

fn exponential_point(json: &Value) -> Result<ExponentialHistogramDataPoint, Failure> {
    let buckets = |name: &str| -> Result<Option<Buckets>, Failure> {
        match present(json, name) {
            None => Ok(None),
            Some(found) => Ok(Some(Buckets {
                offset: integer(found, "offset")? as i32,
                bucket_counts: list(found, "bucketCounts", |count| as_unsigned(count, "bucketCounts"))?,
            })),
        }
    };
    Ok(ExponentialHistogramDataPoint {
        attributes: attributes(json)?,
        time_unix_nano: unsigned(json, "timeUnixNano")?,
        count: unsigned(json, "count")?,
        sum: present(json, "sum").map(|_| float(json, "sum")).transpose()?,
        scale: integer(json, "scale")? as i32,
        zero_count: unsigned(json, "zeroCount")?,
        positive: buckets("positive")?,
        negative: buckets("negative")?,
        flags: unsigned(json, "flags")? as u32,
        exemplars: exemplars(json)?,
        zero_threshold: float(json, "zeroThreshold")?,
        ..ExponentialHistogramDataPoint::default()
    })
}

fn summary_point(json: &Value) -> Result<SummaryDataPoint, Failure> {
    Ok(SummaryDataPoint {
        attributes: attributes(json)?,
        time_unix_nano: unsigned(json, "timeUnixNano")?,
        count: unsigned(json, "count")?,
        sum: float(json, "sum")?,
        quantile_values: list(json, "quantileValues", |at| {
            Ok(ValueAtQuantile { quantile: float(at, "quantile")?, value: float(at, "value")? })
        })?,
        flags: unsigned(json, "flags")? as u32,
        ..SummaryDataPoint::default()
    })
}

/// They are only counted.
fn exemplars(json: &Value) -> Result<Vec<Exemplar>, Failure> {
    list(json, "exemplars", |_| Ok(Exemplar::default()))
}

fn attributes(json: &Value) -> Result<Vec<KeyValue>, Failure> {
    list(json, "attributes", key_value)
}

fn key_value(json: &Value) -> Result<KeyValue, Failure> {
    Ok(KeyValue { key: string(json, "key")?, value: Some(any(&json["value"])?), ..KeyValue::default() })
}

fn any(json: &Value) -> Result<AnyValue, Failure> {
    let value = if let Some(found) = present(json, "stringValue") {
        Some(Any::StringValue(found.as_str().ok_or_else(|| wrong("stringValue", "a text", found))?.to_owned()))
    } else if let Some(found) = present(json, "boolValue") {
        Some(Any::BoolValue(found.as_bool().ok_or_else(|| wrong("boolValue", "true or false", found))?))
    } else if present(json, "intValue").is_some() {
        Some(Any::IntValue(integer(json, "intValue")?))
    } else if present(json, "doubleValue").is_some() {
        Some(Any::DoubleValue(float(json, "doubleValue")?))
    } else if let Some(array) = present(json, "arrayValue") {
        Some(Any::ArrayValue(ArrayValue { values: list(array, "values", any)? }))
    } else if let Some(map) = present(json, "kvlistValue") {
        Some(Any::KvlistValue(KeyValueList { values: list(map, "values", key_value)? }))
    } else {
        // Bytes, as they are spelled.
        present(json, "bytesValue").and_then(Value::as_str).map(|text| Any::StringValue(text.to_owned()))
    };
    Ok(AnyValue { value })
}

fn present<'j>(json: &'j Value, name: &str) -> Option<&'j Value> {
    json.get(name).filter(|found| !found.is_null())
}

fn list<T>(json: &Value, name: &str, read: impl Fn(&Value) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    match present(json, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(read).collect(),
        Some(other) => Err(wrong(name, "an array", other)),
    }
}

fn string(json: &Value, name: &str) -> Result<String, Failure> {
    match present(json, name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(name, "a text", other)),
    }
}

fn integer(json: &Value, name: &str) -> Result<i64, Failure> {
    let Some(found) = present(json, name) else { return Ok(0) };
    let number = found.as_i64().or_else(|| found.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| wrong(name, "an integer", found))
}

fn unsigned(json: &Value, name: &str) -> Result<u64, Failure> {
    present(json, name).map_or(Ok(0), |found| as_unsigned(found, name))
}

fn as_unsigned(found: &Value, name: &str) -> Result<u64, Failure> {
    let number = found.as_u64().or_else(|| found.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| wrong(name, "an integer that is not negative", found))
}

fn float(json: &Value, name: &str) -> Result<f64, Failure> {
    present(json, name).map_or(Ok(0.0), |found| as_float(found, name))
}

fn as_float(found: &Value, name: &str) -> Result<f64, Failure> {
    // What JSON has no number for comes as a text.
    let text = |text: &str| match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    };
    found.as_f64().or_else(|| found.as_str().and_then(text)).ok_or_else(|| wrong(name, "a number", found))
}

fn wrong(name: &str, expected: &str, found: &Value) -> Failure {
    let mut found = found.to_string();
    if let Some((end, _)) = found.char_indices().nth(60) {
        found.truncate(end);
    }
    Failure::bad(format!("{name}: expected {expected}, found {found}"))
}
