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
    #[error("{source}{}", source.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default())]
    Read {
        /// Why.
        #[from]
        source: SqlError,
    },
    /// It took too long.
    #[error("query timed out (promql.timeout, or the timeout that was asked for)")]
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
            Self::Read { source: SqlError::TooManyRows(_) | SqlError::Memory { .. } | SqlError::Query { .. } } => {
                "execution"
            }
            Self::Read { source: SqlError::Timeout(_) } | Self::Timeout => "timeout",
            Self::Read { source: SqlError::Snapshot(_) } | Self::Unavailable(_) => "unavailable",
            Self::Read { .. } | Self::Internal(_) => "internal",
        }
    }
}
