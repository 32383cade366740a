//! PromQL: parse, plan, evaluate.
//!
//! ```text
//! text ─▶ tree ─▶ plan ─▶ selections ─▶ series ─▶ rows of steps ─▶ answer
//!         parse   plan    storage       series    eval             value
//! ```
//!
//! Pure: samples and times come in as arguments, nothing here reads a clock, a file or a socket. The
//! semantics are Prometheus 3's (ranges and lookback leave out their left end). A range query is evaluated
//! expression by expression over all its steps at once, not step by step: a vector is a set of rows, each
//! with one cell per step, and range functions slide a window over columns of samples.
//!
//! ```
//! use tidewatch_promql::{Grammar, Limits, Options, Query, Selection, Series, Storage, StorageError, Value};
//!
//! struct Nothing;
//! impl Storage for Nothing {
//!     fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
//!         Ok(Vec::new())
//!     }
//! }
//!
//! let query = Query::parse("1 + 2 * 3", Grammar::default())?;
//! let answer = query.instant(0, &Options::default()).run(&Nothing, &Limits::none())?;
//! assert_eq!(answer.value, Value::Scalar { time_ms: 0, value: 7.0 });
//! # Ok::<(), tidewatch_promql::QueryError>(())
//! ```
//!
//! | to understand | read |
//! |---|---|
//! | what a query looks like | [`parse`] |
//! | which samples it reads | [`plan`], [`storage`] |
//! | how it is evaluated | [`eval`] |
//! | histograms | [`histogram`] |
//! | test scripts' series notation | [`notation`] |

pub mod annotations;
pub mod calendar;
pub mod duration;
pub mod error;
pub mod eval;
pub mod histogram;
mod kahan;
pub mod labels;
pub mod matcher;
pub mod notation;
pub mod number;
pub mod parse;
pub mod plan;
pub mod position;
pub mod series;
pub mod storage;
pub mod value;

pub use annotations::{Annotation, Annotations, Level};
pub use error::{ParseError, QueryError};
pub use histogram::Histogram;
pub use labels::{Label, Labels};
pub use matcher::{MatchOp, Matcher};
pub use parse::Grammar;
pub use plan::{Interrupt, Limits, Options, Plan, Query};
pub use position::Span;
pub use series::{Column, Increments, STALE, Series};
pub use storage::{SelectHints, Selection, Storage, StorageError};
pub use value::{Answer, MatrixSeries, Sample, Value, VectorSample};
