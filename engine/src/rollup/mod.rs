//! Rollups: their definitions in SQL, the plan that counts events into them, their tables.

mod change;
mod combine;
mod digests;
mod error;
mod merge;
mod options;
mod part;
mod plan;
mod schema;
mod statement;
mod validate;

pub use change::DefinitionChange;
pub use digests::{DIGESTS, digests_schema};
pub use error::DefinitionError;
pub use merge::merge_batches;
pub use plan::{Catalog, Folding, MeasurePlan, RollupPlan, SourcePlan, TablePlan};
pub use schema::{
    Dimension, DimensionType, Measure, MeasureKind, OTHER_SERIES, RollupSchema, SUM_PRECISION, Tier, UPDATED_AT,
    ValueType, WINDOW_START, timestamp_type,
};
