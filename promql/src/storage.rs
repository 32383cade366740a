//! What an evaluation needs to have, and who may give it.

use crate::matcher::Matcher;
use crate::parse::ast::Grouping;
use crate::parse::functions::Func;
use crate::series::Series;

/// The series and the stretch of time that one selector of a query reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Conditions that a series must all meet.
    pub matchers: Vec<Matcher>,
    /// First millisecond that is read, inclusive.
    pub start_ms: i64,
    /// Last millisecond that is read, inclusive.
    pub end_ms: i64,
    /// What the samples are for.
    pub hints: SelectHints,
}

/// What the samples of a selection are for, so that a storage may give coarser ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SelectHints {
    /// Between two evaluations, 0 when there is only one.
    pub step_ms: i64,
    /// Width of each range, 0 for an instant vector.
    pub range_ms: i64,
    /// The function that is directly around the selector.
    pub function: Option<Func>,
    /// The grouping of the nearest aggregation around the selector, when nothing between them needs other
    /// labels.
    pub grouping: Option<Grouping>,
}

/// Why a storage gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(pub String);

/// Who gives samples synchronously. Where reading is asynchronous, take [`crate::Plan::selections`], read
/// them, and call [`crate::Plan::evaluate`].
pub trait Storage {
    /// All series that meet the matchers, with at least the samples of the selection's time, ascending; more
    /// samples on either side do no harm.
    ///
    /// # Errors
    /// Whatever kept the storage from reading.
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, StorageError>;
}
