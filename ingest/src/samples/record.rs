//! Samples as they lie in the log: one record per request. See FORMAT.md, "Pushed samples in the log".

use prost::Message;

/// The samples that one request brought.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Record {
    /// Whose they are.
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// By series; a series may come more than once.
    #[prost(message, repeated, tag = "2")]
    pub series: Vec<RecordSeries>,
}

/// Samples of one series.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecordSeries {
    /// Name of the metric.
    #[prost(string, tag = "1")]
    pub metric: String,
    /// The other labels as canonical JSON.
    #[prost(string, tag = "2")]
    pub labels: String,
    /// A set of samples, see `engine::samples`.
    #[prost(bytes = "vec", tag = "3")]
    pub samples: Vec<u8>,
}
