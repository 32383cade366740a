//! What can go wrong, by what the caller may do about it.

use crate::position::Span;

/// The text is no query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// `line:column` of [`ParseError::span`], counted from 1.
    pub position: String,
    /// Where in the text.
    pub span: Span,
    /// What was found and what was expected.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(query: &str, span: Span, message: impl Into<String>) -> ParseError {
        ParseError { position: span.line_column(query), span, message: message.into() }
    }
}

/// Why a query has no answer. [`QueryError::kind`] gives the `errorType` of Prometheus' HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The query or its times are not usable: correct them.
    #[error("{0}")]
    BadData(String),
    /// The query does not parse: correct it.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The data does not allow an answer, as with two series that would become one.
    #[error("{0}")]
    Execution(String),
    /// The storage failed.
    #[error("{0}")]
    Storage(String),
    /// It took too long.
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Whoever asked went away.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// More samples at once than allowed.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
}

impl QueryError {
    /// The `errorType` of Prometheus' HTTP API.
    pub fn kind(&self) -> &'static str {
        match self {
            QueryError::BadData(_) | QueryError::Parse(_) => "bad_data",
            QueryError::Execution(_) | QueryError::TooManySamples => "execution",
            QueryError::Storage(_) => "internal",
            QueryError::Timeout => "timeout",
            QueryError::Canceled => "canceled",
        }
    }
}
