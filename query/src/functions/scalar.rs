//! The scalar functions: one sketch in, one number out.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, UInt64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;
use tidewatch_engine::samples::SampleSet;
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch, SketchError};

pub(super) fn all() -> Vec<ScalarUDF> {
    let of = |name, role, types: Vec<DataType>| {
        ScalarUDF::from(SketchScalar { name, role, signature: Signature::exact(types, Volatility::Immutable) })
    };
    vec![
        of("hdr_quantile", Role::Quantile, vec![DataType::Binary, DataType::Float64]),
        of("hdr_count", Role::Count, vec![DataType::Binary]),
        of("distinct_count", Role::Distinct, vec![DataType::Binary]),
        of("samples_count", Role::Samples, vec![DataType::Binary]),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Quantile,
    Count,
    Distinct,
    Samples,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchScalar {
    name: &'static str,
    role: Role,
    signature: Signature,
}

impl ScalarUDFImpl for SketchScalar {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(if self.role == Role::Quantile { DataType::Float64 } else { DataType::UInt64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(sketches) = arguments.first().and_then(|a| a.as_binary_opt::<i32>()) else {
            return exec_err!("{} takes a sketch column", self.name);
        };
        let column: ArrayRef = match self.role {
            Role::Count => Arc::new(counts(sketches, |b| Ok(HdrSketch::from_v2(b)?.count()))?),
            Role::Distinct => Arc::new(counts(sketches, |b| Ok(DistinctSketch::from_bytes(b)?.estimate()))?),
            Role::Samples => Arc::new(counts(sketches, SampleSet::count_of)?),
            Role::Quantile => {
                let Some(q) = arguments.get(1).and_then(|a| a.as_primitive_opt::<Float64Type>()) else {
                    return exec_err!("hdr_quantile takes a number between 0 and 1");
                };
                let quantile = |row: usize| -> Result<Option<f64>> {
                    if sketches.is_null(row) || q.is_null(row) {
                        return Ok(None);
                    }
                    if !(0.0..=1.0).contains(&q.value(row)) {
                        return exec_err!("hdr_quantile: q lies between 0 and 1, found {}", q.value(row));
                    }
                    let sketch = HdrSketch::from_v2(sketches.value(row)).map_err(external)?;
                    Ok(sketch.quantile(q.value(row)).map(|v| v as f64))
                };
                Arc::new((0..sketches.len()).map(quantile).collect::<Result<Float64Array>>()?)
            }
        };
        Ok(ColumnarValue::Array(column))
    }
}

fn counts(sketches: &BinaryArray, count: impl Fn(&[u8]) -> Result<u64, SketchError>) -> Result<UInt64Array> {
    sketches.iter().map(|bytes| bytes.map(|b| count(b).map_err(external)).transpose()).collect()
}

fn external(error: SketchError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
