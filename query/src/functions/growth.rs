//! `growth(cur, prev)`: how much more than before, as a fraction.

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

pub(super) fn growth() -> ScalarUDF {
    ScalarUDF::from(Growth { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Growth {
    signature: Signature,
}

impl ScalarUDFImpl for Growth {
    fn name(&self) -> &str {
        "growth"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [cur, prev] if [cur, prev].iter().all(|t| t.is_numeric() || t.is_null()) => {
                Ok(vec![DataType::Float64, DataType::Float64])
            }
            _ => plan_err!(
                "growth takes two numbers, the present and the previous one, as in growth(orders, orders_before)"
            ),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = ColumnarValue::values_to_arrays(&args.args)?;
        let column = |at: usize| arguments.get(at).and_then(|a| a.as_primitive_opt::<Float64Type>());
        let (Some(cur), Some(prev)) = (column(0), column(1)) else { return exec_err!("growth takes two numbers") };
        let values = cur.iter().zip(prev.iter()).map(|(cur, prev)| of(cur?, prev?));
        Ok(ColumnarValue::Array(Arc::new(values.collect::<Float64Array>())))
    }
}

/// From nothing to something is new, which is no number.
fn of(cur: f64, prev: f64) -> Option<f64> {
    match (cur == 0.0, prev == 0.0) {
        (true, true) => Some(0.0),
        (false, true) => None,
        _ => Some((cur - prev) / prev.abs()),
    }
}
