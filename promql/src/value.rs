//! Answers.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::histogram::Histogram;
use crate::labels::Labels;

/// A query's answer with what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer.
    pub value: Value,
    /// Warnings and remarks.
    pub annotations: Annotations,
}

/// The value of a query. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number at the time of the query.
    Scalar {
        /// When.
        time_ms: i64,
        /// The number.
        value: f64,
    },
    /// A string at the time of the query.
    String {
        /// When.
        time_ms: i64,
        /// The text.
        text: String,
    },
    /// At most one sample per series: the answer to an instant query.
    Vector(Vec<VectorSample>),
    /// Samples over time: the answer to a range query (sorted by labels), or to an instant query for a range
    /// vector.
    Matrix(Vec<MatrixSeries>),
}

/// One series' sample.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Whose.
    pub labels: Labels,
    /// When.
    pub time_ms: i64,
    /// What.
    pub value: Sample,
}

/// What a sample holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One series' samples over time, ascending within each list.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSeries {
    /// Whose.
    pub labels: Labels,
    /// Times and numbers.
    pub floats: Vec<(i64, f64)>,
    /// Times and histograms.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}

impl Value {
    /// The `resultType` of Prometheus' HTTP API.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Scalar { .. } => "scalar",
            Value::String { .. } => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        }
    }
}
