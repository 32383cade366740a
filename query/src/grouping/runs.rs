//! Keys that depend on one time: hours, weekdays, wider windows. Rows lie in the order of their windows, so such a
//! key is computed once per run of equal times and not once per row.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use std::sync::Arc;

/// A key, as it is found for the rows of a batch.
#[derive(Debug)]
pub(super) enum Key {
    Each(Arc<dyn PhysicalExpr>),
    OfTime {
        /// Of the batch.
        column: usize,
        /// That column alone.
        schema: SchemaRef,
        /// Over a batch of that column alone.
        expr: Arc<dyn PhysicalExpr>,
    },
}

/// Values of a key.
#[derive(Debug)]
pub(crate) struct KeyValues {
    pub values: ArrayRef,
    /// Where the rows of each value end, exclusive; without them there is a value for every row.
    pub ends: Option<Vec<usize>>,
}

impl From<ArrayRef> for KeyValues {
    fn from(values: ArrayRef) -> Self {
        Self { values, ends: None }
    }
}

impl Key {
    /// Over batches of this schema.
    pub fn new(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Self {
        of_time(expr, schema).unwrap_or_else(|| Self::Each(Arc::clone(expr)))
    }

    pub fn of_rows(&self, batch: &RecordBatch) -> Result<KeyValues> {
        match self {
            Self::Each(expr) => Ok(expr.evaluate(batch)?.into_array(batch.num_rows())?.into()),
            Self::OfTime { column, schema, expr } => {
                let times = batch.column(*column).as_primitive::<TimestampMicrosecondType>();
                let (times, ends) = runs(times);
                let count = times.len();
                let times = RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(times)])?;
                Ok(KeyValues { values: expr.evaluate(&times)?.into_array(count)?, ends: Some(ends) })
            }
        }
    }
}

fn of_time(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Option<Key> {
    if expr.downcast_ref::<Column>().is_some() || is_volatile(expr) {
        return None;
    }
    let columns = collect_columns(expr);
    let mut columns = columns.iter();
    let (Some(column), None) = (columns.next(), columns.next()) else { return None };
    let field: &Field = schema.fields().get(column.index())?;
    if !matches!(field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)) {
        return None;
    }
    let alone = Arc::clone(expr).transform_up(|expr| {
        Ok(match expr.downcast_ref::<Column>() {
            Some(column) => Transformed::yes(Arc::new(Column::new(column.name(), 0)) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(expr),
        })
    });
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    Some(Key::OfTime { column: column.index(), schema, expr: alone.data().ok()? })
}

/// The first time of every run of equal ones, and where each ends.
fn runs(times: &PrimitiveArray<TimestampMicrosecondType>) -> (PrimitiveArray<TimestampMicrosecondType>, Vec<usize>) {
    let values = times.values();
    let is_same = |row: usize| {
        times.is_null(row - 1) == times.is_null(row) && (times.is_null(row) || values[row - 1] == values[row])
    };
    let mut ends = Vec::new();
    match times.nulls() {
        None => ends.extend((1..times.len()).filter(|row| values[row - 1] != values[*row])),
        Some(_) => ends.extend((1..times.len()).filter(|row| !is_same(*row))),
    }
    ends.extend((!times.is_empty()).then_some(times.len()));
    let starts = std::iter::once(0).chain(ends.iter().copied()).take(ends.len());
    let firsts: PrimitiveArray<TimestampMicrosecondType> =
        starts.map(|row| times.is_valid(row).then(|| values[row])).collect();
    (firsts.with_data_type(times.data_type().clone()), ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{Expr, col, lit};
    use datafusion::prelude::SessionContext;
    use tidewatch_engine::rollup::timestamp_type;

    fn schema() -> Schema {
        let field = |name: &str, of| Field::new(name, of, true);
        Schema::new(vec![field("n", DataType::Int64), field("at", timestamp_type()), field("to", timestamp_type())])
    }

    fn physical(expr: Expr) -> Arc<dyn PhysicalExpr> {
        let schema = DFSchema::try_from(schema()).unwrap();
        SessionContext::new().create_physical_expr(expr, &schema).unwrap()
    }

    fn hour(of: &str) -> Expr {
        datafusion::functions::datetime::expr_fn::date_part(lit("hour"), col(of))
    }

    #[test]
    fn a_run_has_one_value_and_missing_times_are_a_run() {
        let hours = [0, 0, 1, 1, 1, 25, 0];
        let mut times: Vec<Option<i64>> = hours.iter().map(|hour| Some(hour * 3_600_000_000)).collect();
        times.splice(2..2, [None, None]);
        let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
        let (firsts, ends) = runs(&times);
        assert_eq!(ends, [2, 4, 7, 8, 9]);
        let expected = [Some(0), None, Some(1), Some(25), Some(0)].map(|h: Option<i64>| h.map(|h| h * 3_600_000_000));
        assert_eq!(firsts, TimestampMicrosecondArray::from(expected.to_vec()).with_timezone("UTC"));
        let none = times.slice(0, 0);
        assert_eq!((runs(&none).0.len(), runs(&none).1.len()), (0, 0));
        let one = times.slice(3, 1);
        assert_eq!((runs(&one).0.null_count(), runs(&one).1), (1, vec![1]));
    }

    #[test]
    fn only_what_depends_on_one_time_is_of_runs() {
        let is_of_time = |expr: Expr| matches!(Key::new(&physical(expr), &schema()), Key::OfTime { .. });
        assert!(is_of_time(hour("at")));
        assert!(is_of_time(hour("at") + hour("at")));
        assert!(!is_of_time(col("at")), "that costs nothing");
        assert!(!is_of_time(col("n") + lit(1_i64)));
        assert!(!is_of_time(hour("at") + hour("to")));
        assert!(!is_of_time(hour("at") + col("n")));
        assert!(!is_of_time(lit(1_i64)));
        let random = datafusion::functions::math::expr_fn::random();
        assert!(!is_of_time(random + hour("at")));
    }

    #[test]
    fn the_values_are_those_of_rows() {
        let hours = [3, 3, 3, 4, 4, 30, 3].map(|hour: i64| hour * 3_600_000_000);
        let times = Arc::new(TimestampMicrosecondArray::from(hours.to_vec()).with_timezone("UTC"));
        let numbers: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![0; hours.len()]));
        let batch =
            RecordBatch::try_new(Arc::new(schema()), vec![numbers, Arc::clone(&times) as ArrayRef, times]).unwrap();
        let expr = physical(hour("at"));
        let KeyValues { values, ends } = Key::new(&expr, &schema()).of_rows(&batch).unwrap();
        assert_eq!(ends, Some(vec![3, 5, 6, 7]));
        let each = expr.evaluate(&batch).unwrap().into_array(hours.len()).unwrap();
        let first_rows = arrow::array::UInt32Array::from(vec![0, 3, 5, 6]);
        assert_eq!(&values, &arrow::compute::take(&each, &first_rows, None).unwrap());
    }
}
