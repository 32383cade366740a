//! Errors in the words of Prometheus' HTTP API.

use crate::sql::SqlError;
use thiserror::Error;
use tidewatch_promql::QueryError;

/// Why a query has no answer.
#[derive(Debug, Error)]
pub enum PromError {
    /// The query is wrong, or its answer is not allowed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The tables cannot be read.
    #[error("{0}{}", .0.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default())]
    Read(#[from] SqlError),
    /// It took too long.
    #[error("query timed out (promql.timeout)")]
    Timeout,
    /// The states in memory or the tables are not to be had right now.
    #[error("{0}")]
    Unavailable(String),
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

impl PromError {
    /// The `errorType` of Prometheus' HTTP API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Query(error) => error.kind(),
            Self::Read(SqlError::TooManyRows(_) | SqlError::Memory { .. }) => "execution",
            Self::Read(SqlError::Timeout(_)) | Self::Timeout => "timeout",
            Self::Read(SqlError::Snapshot(_)) | Self::Unavailable(_) => "unavailable",
            Self::Read(_) | Self::Internal(_) => "internal",
        }
    }
}
