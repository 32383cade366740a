//! Row groups that cannot hold what a query asks for.

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use std::collections::HashSet;
use std::sync::Arc;

/// The row groups of a file that may hold rows of which a predicate holds.
pub(super) fn row_groups(footer: &ArrowReaderMetadata, predicate: Option<&PruningPredicate>) -> Vec<usize> {
    let all = 0..footer.metadata().num_row_groups();
    // What cannot be decided is read.
    let may_hold = predicate.and_then(|predicate| predicate.prune(&RowGroups(footer)).ok());
    match may_hold {
        Some(may_hold) => all.zip(may_hold).filter_map(|(row_group, may_hold)| may_hold.then_some(row_group)).collect(),
        None => all.collect(),
    }
}

struct RowGroups<'a>(&'a ArrowReaderMetadata);

impl RowGroups<'_> {
    fn of(&self, column: &Column) -> Option<StatisticsConverter<'_>> {
        StatisticsConverter::try_new(&column.name, self.0.schema(), self.0.parquet_schema()).ok()
    }
}

impl PruningStatistics for RowGroups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_mins(self.0.metadata().row_groups()).ok()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column)?.row_group_maxes(self.0.metadata().row_groups()).ok()
    }

    fn num_containers(&self) -> usize {
        self.0.metadata().num_row_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self.of(column)?.row_group_null_counts(self.0.metadata().row_groups()).ok()?;
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts = self.0.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        Some(Arc::new(UInt64Array::from_iter(counts)))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
