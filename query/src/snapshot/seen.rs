//! The columns of a table of windows as queries see them, worked out once and not for every query.

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use std::sync::{Arc, OnceLock};
use tidewatch_engine::rollup::RollupSchema;

/// Shared by all snapshots of a table, as long as it has the same columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    of: Option<Arc<(SchemaRef, Option<RollupSchema>)>>,
    schema: Arc<OnceLock<SchemaRef>>,
}

impl Seen {
    /// Itself, if it is of a table with these stored columns and that rollup; otherwise nothing is known yet.
    pub fn or_other(self, stored: &SchemaRef, rollup: Option<&RollupSchema>) -> Self {
        match &self.of {
            Some(of) if of.0 == *stored && of.1.as_ref() == rollup => self,
            _ => Self { of: Some(Arc::new((Arc::clone(stored), rollup.cloned()))), schema: Arc::default() },
        }
    }

    /// The columns, as somebody has found them before, or as `plan` tells.
    pub fn schema(&self, plan: impl FnOnce() -> Result<SchemaRef>) -> Result<SchemaRef> {
        if let Some(schema) = self.schema.get() {
            return Ok(Arc::clone(schema));
        }
        let schema = plan()?;
        Ok(Arc::clone(self.schema.get_or_init(|| schema)))
    }
}
