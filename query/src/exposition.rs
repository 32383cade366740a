//! The Prometheus text format 0.0.4 and OpenMetrics 1.0, written from one model.

use prometheus::proto::MetricType;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Kind of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets.
    Histogram,
    /// Quantiles.
    Summary,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Full name, with `_total` for counters.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// One sentence.
    pub help: String,
    /// Samples; those of one series stand together.
    pub samples: Vec<Sample>,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `_bucket`, `_sum` or `_count`; empty for the name itself.
    pub suffix: &'static str,
    /// Names and values.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The number.
    pub value: f64,
}

/// Which of the two formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// What every Prometheus reads.
    Text,
    /// Asked for by `Accept: application/openmetrics-text`.
    OpenMetrics,
}

impl Exposition {
    /// The format that an `Accept` header asks for.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// Media type of the bytes.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes families; their names must differ.
    pub fn write(self, families: &[Family]) -> String {
        let mut text = String::new();
        for family in families.iter().filter(|f| !f.samples.is_empty()) {
            self.write_family(family, &mut text);
        }
        if self == Self::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn write_family(self, family: &Family, text: &mut String) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        // OpenMetrics names a counter's family without the suffix of its samples.
        let name = match (self, family.kind) {
            (Self::OpenMetrics, Kind::Counter) => family.name.strip_suffix("_total").unwrap_or(&family.name),
            _ => &family.name,
        };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {}", escaped(&family.help, self == Self::OpenMetrics));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        for sample in &family.samples {
            let _ = write!(text, "{}{}", family.name, sample.suffix);
            for (index, (label, value)) in sample.labels.iter().enumerate() {
                let open = if index == 0 { '{' } else { ',' };
                let _ = write!(text, "{open}{label}=\"{}\"", escaped(value, true));
            }
            text.push_str(if sample.labels.is_empty() { " " } else { "} " });
            let _ = writeln!(text, "{}", number(sample.value));
        }
    }
}

fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    Cow::Owned(if quotes { text.replace('"', "\\\"") } else { text })
}

/// A number as both formats read it.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

/// A bound as a label value: OpenMetrics wants a point in it.
pub fn bound(value: f64) -> String {
    if value.is_finite() { format!("{value:?}") } else { number(value) }
}

/// What a registry holds.
pub fn families_of(registry: &prometheus::Registry) -> Vec<Family> {
    registry.gather().iter().filter_map(family_of).collect()
}

fn family_of(family: &prometheus::proto::MetricFamily) -> Option<Family> {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        // We register none of the others.
        _ => return None,
    };
    let mut samples = Vec::new();
    for metric in family.get_metric() {
        let labels: Vec<_> =
            metric.get_label().iter().map(|l| (Cow::Owned(l.name().to_owned()), l.value().to_owned())).collect();
        let mut add = |suffix, labels, value| samples.push(Sample { suffix, labels, value });
        match kind {
            Kind::Counter => add("", labels, metric.get_counter().get_value()),
            Kind::Gauge => add("", labels, metric.get_gauge().get_value()),
            Kind::Histogram | Kind::Summary => {
                let histogram = metric.get_histogram();
                let count = histogram.get_sample_count();
                let buckets = histogram.get_bucket().iter().map(|b| (b.upper_bound(), b.cumulative_count()));
                for (le, cumulative) in buckets.filter(|b| b.0.is_finite()).chain([(f64::INFINITY, count)]) {
                    let mut labels = labels.clone();
                    labels.push((Cow::Borrowed("le"), bound(le)));
                    add("_bucket", labels, cumulative as f64);
                }
                add("_sum", labels.clone(), histogram.get_sample_sum());
                add("_count", labels, count as f64);
            }
        }
    }
    Some(Family { name: family.name().to_owned(), kind, help: family.help().to_owned(), samples })
}

#[cfg(test)]
mod tests;
