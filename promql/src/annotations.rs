//! Warnings and remarks that come with an answer, in Prometheus' words.

use std::fmt;

use crate::histogram::classic::Forced;
use crate::labels::quote;
use crate::number::general;
use crate::position::Span;

/// How serious an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// The answer is probably not what was asked for.
    Warning,
    /// The answer deserves a second look.
    Info,
}

/// One warning or remark.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// How serious.
    pub level: Level,
    /// The sentence, without prefix and position.
    pub message: String,
    /// What in the query it is about.
    pub span: Span,
    /// Figures gathered over all steps, for buckets that had to be made monotonic.
    pub forced: Option<ForcedSteps>,
}

/// Over how many steps, and by how much, classic buckets were raised to be monotonic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForcedSteps {
    /// The extremes.
    pub buckets: Forced,
    /// First step.
    pub start_ms: i64,
    /// Last step.
    pub end_ms: i64,
    /// Number of quantiles that needed it.
    pub count: u64,
}

impl Annotation {
    /// `PromQL warning: … (1:7)`, as the HTTP API of Prometheus gives it.
    pub fn render(&self, query: &str) -> String {
        let prefix = match self.level {
            Level::Warning => "PromQL warning",
            Level::Info => "PromQL info",
        };
        let details = self.forced.map(|forced| forced.to_string()).unwrap_or_default();
        format!("{prefix}: {}{details} ({})", self.message, self.span.line_column(query))
    }
}

impl fmt::Display for ForcedSteps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forced { bucket_min, bucket_max, difference_max } = self.buckets;
        write!(
            out,
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            general(bucket_min),
            general(bucket_max),
            two_digits(difference_max),
            self.count,
            crate::calendar::rfc3339(self.start_ms),
            crate::calendar::rfc3339(self.end_ms)
        )
    }
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-4..100.0).contains(&rounded.abs()) || rounded == 0.0 {
        return format!("{rounded}");
    }
    let scientific = format!("{rounded:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// The annotations of one evaluation: each sentence once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    list: Vec<Annotation>,
}

impl Annotations {
    /// All annotations, in the order in which they first came up.
    pub fn iter(&self) -> std::slice::Iter<'_, Annotation> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The sentences of one level with prefix and position.
    pub fn rendered(&self, level: Level, query: &str) -> Vec<String> {
        self.list.iter().filter(|one| one.level == level).map(|one| one.render(query)).collect()
    }

    fn add(&mut self, level: Level, span: Span, message: String) {
        self.merge(Annotation { level, message, span, forced: None });
    }

    fn merge(&mut self, annotation: Annotation) {
        let known = self.list.iter_mut().find(|known| known.message == annotation.message);
        match known {
            None => self.list.push(annotation),
            Some(known) => {
                if let (Some(old), Some(new)) = (&mut known.forced, annotation.forced) {
                    old.buckets.bucket_min = old.buckets.bucket_min.min(new.buckets.bucket_min);
                    old.buckets.bucket_max = old.buckets.bucket_max.max(new.buckets.bucket_max);
                    old.buckets.difference_max = old.buckets.difference_max.max(new.buckets.difference_max);
                    old.start_ms = old.start_ms.min(new.start_ms);
                    old.end_ms = old.end_ms.max(new.end_ms);
                    old.count += new.count;
                }
            }
        }
    }

    pub(crate) fn invalid_quantile(&mut self, q: f64, span: Span) {
        self.add(Level::Warning, span, format!("quantile value should be between 0 and 1, got {}", general(q)));
    }

    pub(crate) fn invalid_ratio(&mut self, ratio: f64, capped: f64, span: Span) {
        let (ratio, capped) = (general(ratio), general(capped));
        let message = format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}");
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn bad_bucket(&mut self, metric: &str, value: &str, span: Span) {
        let message = format!("bucket label \"le\" is missing or has a malformed value of {}", quote(value));
        self.add(Level::Warning, span, for_metric(message, metric));
    }

    pub(crate) fn mixed_range(&mut self, metric: &str, span: Span) {
        let message = format!("encountered a mix of histograms and floats for metric name {}", quote(metric));
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn mixed_aggregation(&mut self, span: Span) {
        let message = "encountered a mix of histograms and floats for aggregation";
        self.add(Level::Warning, span, message.to_string());
    }

    pub(crate) fn mixed_classic_native(&mut self, metric: &str, span: Span) {
        let message = "vector contains a mix of classic and native histograms".to_string();
        self.add(Level::Warning, span, for_metric(message, metric));
    }

    pub(crate) fn not_counter(&mut self, metric: &str, span: Span) {
        let message = format!("this native histogram metric is not a counter: {}", quote(metric));
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn not_gauge(&mut self, metric: &str, span: Span) {
        let message = format!("this native histogram metric is not a gauge: {}", quote(metric));
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn mixed_layouts(&mut self, metric: &str, span: Span) {
        let message = format!(
            "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
            quote(metric)
        );
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn incompatible_layouts(&mut self, operator: &str, span: Span) {
        let message = format!("incompatible bucket layout encountered for binary operator {operator}");
        self.add(Level::Warning, span, message);
    }

    pub(crate) fn reset_collision(&mut self, operation: &str, span: Span) {
        self.add(Level::Warning, span, format!("conflicting counter resets during histogram {operation}"));
    }

    pub(crate) fn irregular_counts(&mut self, metric: &str, span: Span) {
        let message = "expected counts at equal distances that divide an hour, found others, of which nothing is told: \
                       a subquery makes them, as in spike_lift(x[4w:5m])";
        self.add(Level::Warning, span, for_metric(message.to_string(), metric));
    }

    pub(crate) fn calendar_of_label(&mut self, message: &str, span: Span) {
        self.add(Level::Warning, span, format!("{message}, by a label of a series, for which it is as if left out"));
    }

    pub(crate) fn sort_in_range(&mut self, span: Span) {
        let message = "sort is ineffective for range queries since results are always ordered by labels";
        self.add(Level::Warning, span, message.to_string());
    }

    pub(crate) fn bounds_reconciled(&mut self, operation: &str, span: Span) {
        self.add(Level::Info, span, format!("mismatched custom buckets were reconciled during {operation}"));
    }

    pub(crate) fn possibly_no_counter(&mut self, metric: &str, span: Span) {
        let message = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quote(metric)
        );
        self.add(Level::Info, span, message);
    }

    pub(crate) fn forced_monotonic(&mut self, metric: &str, forced: Forced, time_ms: i64, span: Span) {
        let message = "input to histogram_quantile needed to be fixed for monotonicity (see \
                       https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        self.merge(Annotation {
            level: Level::Info,
            message: for_metric(message.to_string(), metric),
            span,
            forced: Some(ForcedSteps { buckets: forced, start_ms: time_ms, end_ms: time_ms, count: 1 }),
        });
    }

    pub(crate) fn incompatible_types(&mut self, left: &str, operator: &str, right: &str, span: Span) {
        let message = format!(
            "incompatible sample types encountered for binary operator {}: {left} {operator} {right}",
            quote(operator)
        );
        self.add(Level::Info, span, message);
    }

    pub(crate) fn ignored_in_aggregation(&mut self, aggregation: &str, span: Span) {
        self.add(Level::Info, span, format!("ignored histogram in {aggregation} aggregation"));
    }

    pub(crate) fn ignored_in_range(&mut self, metric: &str, span: Span) {
        let message = format!(
            "ignored histograms in a range containing both floats and histograms for metric name {}",
            quote(metric)
        );
        self.add(Level::Info, span, message);
    }

    pub(crate) fn nan_quantile_result(&mut self, metric: &str, span: Span) {
        let message = "input to histogram_quantile has NaN observations, result is NaN".to_string();
        self.add(Level::Info, span, for_metric(message, metric));
    }

    pub(crate) fn nan_quantile_skew(&mut self, metric: &str, span: Span) {
        let message = "input to histogram_quantile has NaN observations, result is skewed higher".to_string();
        self.add(Level::Info, span, for_metric(message, metric));
    }

    pub(crate) fn nan_fraction(&mut self, metric: &str, span: Span) {
        let message = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
        self.add(Level::Info, span, for_metric(message.to_string(), metric));
    }
}

fn for_metric(message: String, metric: &str) -> String {
    if metric.is_empty() { message } else { format!("{message} for metric name {}", quote(metric)) }
}
