//! SQL functions of rollup definitions: `tumble`, `hdr`, `last`, `samples`, `status_class`.

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

use crate::rollup::timestamp_type;

/// Name of the window function of rollup definitions.
pub const TUMBLE: &str = "tumble";
/// Name of the histogram aggregate of rollup definitions.
pub const HDR: &str = "hdr";
/// Name of the aggregate of rollup definitions that keeps the newest value.
pub const LAST: &str = "last";
/// Name of the aggregate of rollup definitions that keeps every value with its time.
pub const SAMPLES: &str = "samples";

/// Registers everything a rollup definition may use beyond DataFusion's own functions.
pub fn register_definition_functions(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(Tumble { signature: Signature::any(1, Volatility::Immutable) }));
    context.register_udaf(AggregateUDF::from(Hdr {
        signature: Signature::one_of(
            vec![
                TypeSignature::Exact(vec![DataType::Int64]),
                TypeSignature::Exact(vec![DataType::Int64, DataType::Int64]),
            ],
            Volatility::Immutable,
        ),
    }));
    context.register_udaf(AggregateUDF::from(Last { signature: Signature::any(1, Volatility::Immutable) }));
    context.register_udaf(AggregateUDF::from(Samples { signature: Signature::any(1, Volatility::Immutable) }));
    context.register_udf(status_class());
}

/// `status_class(code)`: `2xx`, `4xx`, …, `other` outside 100 to 599, null for null.
pub fn status_class() -> ScalarUDF {
    ScalarUDF::from(StatusClass { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) })
}

/// Marks the window in `GROUP BY`; the engine computes it from the event time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Tumble {
    signature: Signature,
}

impl ScalarUDFImpl for Tumble {
    fn name(&self) -> &str {
        TUMBLE
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::Interval(_)] => Ok(timestamp_type()),
            _ => plan_err!("tumble takes an interval, as in tumble(INTERVAL '10 seconds')"),
        }
    }
    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("tumble belongs into GROUP BY of a rollup definition")
    }
}

/// Stands for the histogram while a definition is planned; [`crate::aggregate`] does the work.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Hdr {
    signature: Signature,
}

impl AggregateUDFImpl for Hdr {
    fn name(&self) -> &str {
        HDR
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }
    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("hdr belongs into a rollup definition; queries use quantile(column, q) or hdr_merge(column)")
    }
    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Vec::new())
    }
}

/// Stands for the newest value while a definition is planned; [`crate::aggregate`] does the work.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Last {
    signature: Signature,
}

impl AggregateUDFImpl for Last {
    fn name(&self) -> &str {
        LAST
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Null))
    }
    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("last belongs into a rollup definition; queries use last_value(x ORDER BY y)")
    }
    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Vec::new())
    }
}

/// Stands for the samples while a definition is planned; [`crate::aggregate`] does the work.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Samples {
    signature: Signature,
}

impl AggregateUDFImpl for Samples {
    fn name(&self) -> &str {
        SAMPLES
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }
    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("samples belongs into a rollup definition; queries use samples_merge(column) or PromQL")
    }
    fn state_fields(&self, _args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(Vec::new())
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StatusClass {
    signature: Signature,
}

impl ScalarUDFImpl for StatusClass {
    fn name(&self) -> &str {
        "status_class"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(codes) = arrays.first().and_then(|a| a.as_primitive_opt::<Int64Type>()) else {
            return exec_err!("status_class takes an integer");
        };
        let mut classes = StringBuilder::with_capacity(codes.len(), codes.len() * 3);
        for row in 0..codes.len() {
            if codes.is_null(row) {
                classes.append_null();
                continue;
            }
            classes.append_value(match codes.value(row) {
                100..=199 => "1xx",
                200..=299 => "2xx",
                300..=399 => "3xx",
                400..=499 => "4xx",
                500..=599 => "5xx",
                _ => "other",
            });
        }
        Ok(ColumnarValue::Array(Arc::new(classes.finish())))
    }
}
