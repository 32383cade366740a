//! The start of the wider window that a window lies in, as tiers need it for every row that they read: not a function
//! of SQL. Rows come in the order of their windows, so that most have the start of the one before.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, OnceLock};
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_engine::time;

/// Start of the window of `pane_us` that an instant lies in.
pub(crate) fn window_start(at: Expr, pane_us: i64) -> Expr {
    static FUNCTION: OnceLock<Arc<ScalarUDF>> = OnceLock::new();
    let function = FUNCTION.get_or_init(|| {
        let signature = Signature::exact(vec![timestamp_type(), DataType::Int64], Volatility::Immutable);
        Arc::new(ScalarUDF::from(WindowStart { signature }))
    });
    function.call(vec![at, datafusion::prelude::lit(pane_us)])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowStart {
    signature: Signature,
}

impl ScalarUDFImpl for WindowStart {
    fn name(&self) -> &str {
        "window_start_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(timestamp_type())
    }

    /// There is a start where there is an instant.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields.first().is_none_or(|at| at.is_nullable());
        Ok(Arc::new(Field::new(self.name(), timestamp_type(), is_nullable)))
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(inputs.first().map_or(SortProperties::Unordered, |at| at.sort_properties))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let pane_us = match args.args.get(1) {
            Some(ColumnarValue::Scalar(datafusion::common::ScalarValue::Int64(Some(pane_us)))) if *pane_us > 0 => {
                *pane_us
            }
            _ => return exec_err!("{} needs the width of a window", self.name()),
        };
        let times = match args.args.first() {
            Some(ColumnarValue::Array(times)) => Arc::clone(times),
            Some(ColumnarValue::Scalar(time)) => time.to_array()?,
            None => return exec_err!("{} needs an instant", self.name()),
        };
        let starts: ArrayRef = Arc::new(starts(times.as_primitive(), pane_us));
        Ok(match args.args.first() {
            Some(ColumnarValue::Scalar(_)) => {
                ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&starts, 0)?)
            }
            _ => ColumnarValue::Array(starts),
        })
    }
}

fn starts(times: &PrimitiveArray<TimestampMicrosecondType>, pane_us: i64) -> PrimitiveArray<TimestampMicrosecondType> {
    // A window that no instant lies in.
    let (mut start, mut end) = (i64::MAX, i64::MIN);
    let of = |us: i64| {
        if us < start || us >= end {
            start = time::window_start(us, pane_us);
            end = start.saturating_add(pane_us);
        }
        start
    };
    let values = times.values().iter().copied().map(of).collect::<Vec<_>>();
    PrimitiveArray::new(values.into(), times.nulls().cloned()).with_data_type(times.data_type().clone())
}

#[cfg(test)]
mod tests {
    use super::{starts, window_start as planned};
    use arrow::array::TimestampMicrosecondArray;
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{ExprSchemable, ident};
    use tidewatch_engine::rollup::timestamp_type;
    use tidewatch_engine::time::window_start;

    /// Plans above were made for starts that are always there.
    #[test]
    fn a_start_is_missing_only_where_an_instant_is() {
        for is_nullable in [true, false] {
            let schema = Schema::new(vec![Field::new("at", timestamp_type(), is_nullable)]);
            let schema = DFSchema::try_from(schema).unwrap();
            assert_eq!(planned(ident("at"), 10).nullable(&schema).unwrap(), is_nullable);
        }
    }

    #[test]
    fn each_is_that_of_the_row_alone_in_any_order() {
        let times = [5, 9, 10, 11, 25, 3, -1, -10, -11, 0, i64::MIN, i64::MAX, i64::MAX - 1, 7];
        for pane_us in [1, 10, 3_600_000_000] {
            let array = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
            let found = starts(&array, pane_us);
            let expected: Vec<i64> = times.iter().map(|&us| window_start(us, pane_us)).collect();
            assert_eq!(found.values().to_vec(), expected, "{pane_us}");
            assert_eq!(found.timezone(), Some("UTC"));
        }
        let some = TimestampMicrosecondArray::from(vec![Some(12), None, Some(13)]);
        assert_eq!(starts(&some, 10), TimestampMicrosecondArray::from(vec![Some(10), None, Some(10)]));
    }
}
