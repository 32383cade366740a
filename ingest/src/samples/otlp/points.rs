//! Data points become series.

use super::super::batch::{Batch, Incoming, Refusal};
use super::super::response::Failure;
use super::names::{self, Shape};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint,
};
use std::collections::BTreeMap;
use tidewatch_engine::samples::metadata::MetricMetadata;
use tidewatch_engine::samples::{NativeHistogram, STALE_BITS};

/// Flag of a point that says "no value any more".
const NO_RECORDED_VALUE: u32 = 1;
/// Half width of the zero bucket when a point does not say.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Finest and coarsest layout of native histograms.
const SCALE_MAX: i32 = 8;
const SCALE_MIN: i32 = -4;

const NAME: &str = "__name__";
const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";

type Labels = BTreeMap<String, String>;

/// Adds every series of a request to the batch.
pub(super) fn add(request: ExportMetricsServiceRequest, batch: &mut Batch) -> Result<(), Failure> {
    for resource in request.resource_metrics {
        let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
        let mut target = Target { labels: identity(&attributes), newest_ms: None, batch };
        for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            target.metric(metric)?;
        }
        target.info(&attributes)?;
    }
    Ok(())
}

/// `job` and `instance`.
fn identity(attributes: &[KeyValue]) -> Labels {
    let of = |name: &str| attributes.iter().find(|a| a.key == name).map(|a| text(a.value.as_ref()));
    let job = of(SERVICE_NAME).map(|name| match of(SERVICE_NAMESPACE) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    });
    let instance = of(SERVICE_INSTANCE);
    [("job", job), ("instance", instance)].into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?))).collect()
}

/// What one resource sends.
struct Target<'b> {
    labels: Labels,
    newest_ms: Option<i64>,
    batch: &'b mut Batch,
}

/// One point's labels, time and whether it has a value.
struct Point {
    labels: Labels,
    time_ms: i64,
    is_stale: bool,
}

impl Point {
    fn value(&self, value: f64) -> f64 {
        if self.is_stale { f64::from_bits(STALE_BITS) } else { value }
    }
}

impl Target<'_> {
    fn metric(&mut self, metric: Metric) -> Result<(), Failure> {
        let Metric { name, description, unit, data, .. } = metric;
        let Some(data) = data else { return Ok(()) };
        let delta = AggregationTemporality::Delta as i32;
        let (is_delta, points, shape, kind) = match &data {
            Data::Gauge(gauge) => (false, gauge.data_points.len(), Shape::Gauge, "gauge"),
            Data::Sum(sum) if sum.is_monotonic => {
                (sum.aggregation_temporality == delta, sum.data_points.len(), Shape::Counter, "counter")
            }
            Data::Sum(sum) => (sum.aggregation_temporality == delta, sum.data_points.len(), Shape::Other, "gauge"),
            Data::Histogram(h) => (h.aggregation_temporality == delta, h.data_points.len(), Shape::Other, "histogram"),
            Data::ExponentialHistogram(h) => {
                (h.aggregation_temporality == delta, h.data_points.len(), Shape::Other, "histogram")
            }
            Data::Summary(summary) => (false, summary.data_points.len(), Shape::Other, "summary"),
        };
        if is_delta {
            let what = format!("{name} has delta temporality; set the exporter to cumulative");
            self.batch.refuse(Refusal::Delta, points as u64, what);
            return Ok(());
        }
        let name = names::metric(&name, &unit, shape);
        self.batch.describe(name.clone(), MetricMetadata { kind, help: description, unit });
        match data {
            Data::Gauge(gauge) => gauge.data_points.into_iter().try_for_each(|point| self.number(&name, point)),
            Data::Sum(sum) => sum.data_points.into_iter().try_for_each(|point| self.number(&name, point)),
            Data::Histogram(h) => h.data_points.into_iter().try_for_each(|point| self.histogram(&name, point)),
            Data::ExponentialHistogram(h) => {
                h.data_points.into_iter().try_for_each(|point| self.exponential(&name, point))
            }
            Data::Summary(s) => s.data_points.into_iter().try_for_each(|point| self.summary(&name, point)),
        }
    }

    fn point(&mut self, attributes: &[KeyValue], time_unix_nano: u64, flags: u32, exemplars: usize) -> Point {
        let time_ms = i64::try_from(time_unix_nano / 1_000_000).unwrap_or(i64::MAX);
        self.newest_ms = self.newest_ms.max(Some(time_ms));
        self.batch.drop_exemplars(exemplars);
        let mut labels = labels_of(attributes.iter());
        labels.extend(self.labels.clone());
        Point { labels, time_ms, is_stale: flags & NO_RECORDED_VALUE != 0 }
    }

    /// One float of a series: `name` and its suffix, the point's labels and perhaps one more.
    fn float(&mut self, name: String, point: &Point, more: Option<(&str, String)>, value: f64) -> Result<(), Failure> {
        let more = more.map(|(label, value)| (label.to_owned(), value));
        let mut labels = point.labels.clone();
        labels.extend(more.into_iter().chain([(NAME.to_owned(), name)]));
        let floats = vec![(point.time_ms, point.value(value))];
        self.batch.add(Incoming { labels: labels.into_iter().collect(), floats, histograms: Vec::new() })
    }

    fn number(&mut self, name: &str, point: NumberDataPoint) -> Result<(), Failure> {
        let value = match point.value {
            Some(Number::AsDouble(value)) => value,
            Some(Number::AsInt(value)) => value as f64,
            None => 0.0,
        };
        let at = self.point(&point.attributes, point.time_unix_nano, point.flags, point.exemplars.len());
        self.float(name.to_owned(), &at, None, value)
    }

    fn histogram(&mut self, name: &str, point: HistogramDataPoint) -> Result<(), Failure> {
        let at = self.point(&point.attributes, point.time_unix_nano, point.flags, point.exemplars.len());
        if let Some(sum) = point.sum {
            self.float(format!("{name}_sum"), &at, None, sum)?;
        }
        self.float(format!("{name}_count"), &at, None, point.count as f64)?;
        let mut cumulative = 0u64;
        let bucket = format!("{name}_bucket");
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            cumulative = cumulative.saturating_add(*count);
            self.float(bucket.clone(), &at, Some(("le", number(*bound))), cumulative as f64)?;
        }
        self.float(bucket, &at, Some(("le", "+Inf".to_owned())), point.count as f64)
    }

    fn exponential(&mut self, name: &str, point: ExponentialHistogramDataPoint) -> Result<(), Failure> {
        let at = self.point(&point.attributes, point.time_unix_nano, point.flags, point.exemplars.len());
        let mut labels = at.labels.clone();
        labels.insert(NAME.to_owned(), name.to_owned());
        let histograms = vec![(at.time_ms, native(&point, at.is_stale))];
        self.batch.add(Incoming { labels: labels.into_iter().collect(), floats: Vec::new(), histograms })
    }

    fn summary(&mut self, name: &str, point: SummaryDataPoint) -> Result<(), Failure> {
        let at = self.point(&point.attributes, point.time_unix_nano, point.flags, 0);
        self.float(format!("{name}_sum"), &at, None, point.sum)?;
        self.float(format!("{name}_count"), &at, None, point.count as f64)?;
        for quantile in &point.quantile_values {
            self.float(name.to_owned(), &at, Some(("quantile", number(quantile.quantile))), quantile.value)?;
        }
        Ok(())
    }

    /// `target_info`: what else is known of the resource. Nothing to join it by, nothing to say: no series.
    fn info(&mut self, attributes: &[KeyValue]) -> Result<(), Failure> {
        let identifying = [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE];
        let mut labels = labels_of(attributes.iter().filter(|a| !identifying.contains(&a.key.as_str())));
        let Some(time_ms) = self.newest_ms.filter(|_| !labels.is_empty() && !self.labels.is_empty()) else {
            return Ok(());
        };
        labels.extend(self.labels.clone());
        labels.insert(NAME.to_owned(), "target_info".to_owned());
        let help = "Target metadata".to_owned();
        self.batch.describe("target_info".to_owned(), MetricMetadata { kind: "gauge", help, unit: String::new() });
        let labels = labels.into_iter().collect();
        self.batch.add(Incoming { labels, floats: vec![(time_ms, 1.0)], histograms: Vec::new() })
    }
}

/// Attributes as labels; values of names that become one are joined, in the order of their names.
fn labels_of<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Labels {
    let sorted: BTreeMap<&str, String> = attributes.map(|a| (a.key.as_str(), text(a.value.as_ref()))).collect();
    let mut labels = Labels::new();
    for (name, value) in sorted {
        labels
            .entry(names::label(name))
            .and_modify(|known| {
                known.push(';');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    labels
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|v| v.value.as_ref()) {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(value) => match json(value) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

fn json(value: &Value) -> serde_json::Value {
    let of =
        |value: &Option<AnyValue>| value.as_ref().and_then(|v| v.value.as_ref()).map_or(serde_json::Value::Null, json);
    match value {
        Value::StringValue(text) => text.as_str().into(),
        Value::BoolValue(value) => (*value).into(),
        Value::IntValue(value) => (*value).into(),
        // As Go prints it: no fraction where there is none.
        Value::DoubleValue(value) if value.fract() == 0.0 && value.abs() < 1e15 => (*value as i64).into(),
        Value::DoubleValue(value) => (*value).into(),
        Value::ArrayValue(array) => array.values.iter().map(|v| of(&Some(v.clone()))).collect(),
        Value::KvlistValue(list) => list.values.iter().map(|kv| (kv.key.clone(), of(&kv.value))).collect(),
        Value::BytesValue(bytes) => bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into(),
        Value::StringValueStrindex(_) => serde_json::Value::Null,
    }
}

/// A bound or quantile as Prometheus writes it in a label.
fn number(value: f64) -> String {
    match value {
        v if v == f64::INFINITY => "+Inf".to_owned(),
        v if v == f64::NEG_INFINITY => "-Inf".to_owned(),
        v => v.to_string(),
    }
}

/// `None` for a scale that is coarser than native histograms are.
fn native(point: &ExponentialHistogramDataPoint, is_stale: bool) -> Option<NativeHistogram> {
    if point.scale < SCALE_MIN {
        return None;
    }
    let schema = point.scale.min(SCALE_MAX);
    if is_stale {
        return Some(NativeHistogram { schema, sum: f64::from_bits(STALE_BITS), ..NativeHistogram::default() });
    }
    let coarser_by = (point.scale - schema).min(31);
    Some(NativeHistogram {
        schema,
        count: point.count as f64,
        sum: point.sum.unwrap_or_default(),
        zero_threshold: if point.zero_threshold == 0.0 { ZERO_THRESHOLD } else { point.zero_threshold },
        zero_count: point.zero_count as f64,
        positive: buckets(point.positive.as_ref(), coarser_by)?,
        negative: buckets(point.negative.as_ref(), coarser_by)?,
        ..NativeHistogram::default()
    })
}

/// OTLP numbers buckets by their lower bound, Prometheus by their upper one.
fn buckets(buckets: Option<&Buckets>, coarser_by: i32) -> Option<Vec<(i32, f64)>> {
    let mut list: Vec<(i32, f64)> = Vec::new();
    let Some(buckets) = buckets else { return Some(list) };
    for (at, &count) in (0i32..).zip(&buckets.bucket_counts).filter(|(_, count)| **count > 0) {
        let index = (buckets.offset.checked_add(at)? >> coarser_by).checked_add(1)?;
        match list.last_mut() {
            Some(last) if last.0 == index => last.1 += count as f64,
            _ => list.push((index, count as f64)),
        }
    }
    Some(list)
}
