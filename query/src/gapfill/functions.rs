//! The three names. None of them is ever computed: the rule puts something else in their place.

use crate::functions::zone::coerce_bucket;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use tidewatch_engine::rollup::timestamp_type;

/// The bucket.
pub(super) const BUCKET: &str = "time_bucket_gapfill";
/// Last observation carried forward.
pub(super) const LOCF: &str = "locf";
/// A straight line between neighbours.
pub(super) const INTERPOLATE: &str = "interpolate";

pub(super) fn all() -> [ScalarUDF; 3] {
    [BUCKET, LOCF, INTERPOLATE]
        .map(|name| ScalarUDF::from(Marker { name, signature: Signature::user_defined(Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Marker {
    name: &'static str,
    signature: Signature,
}

/// What to say of a name that stands where nothing is filled.
pub(super) fn misplaced(name: &str) -> String {
    match name {
        BUCKET => "time_bucket_gapfill stands in GROUP BY\n  hint: SELECT time_bucket_gapfill(INTERVAL '1 hour', \
                   window_start) AS t, sum(requests) … WHERE window_start >= … AND window_start < … GROUP BY 1"
            .to_owned(),
        name => format!(
            "{name} stands in the SELECT list of a query that is grouped by time_bucket_gapfill\n  hint: SELECT \
             time_bucket_gapfill(INTERVAL '1 hour', window_start) AS t, {name}(max(value)) … GROUP BY 1"
        ),
    }
}

impl ScalarUDFImpl for Marker {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match (self.name, arguments) {
            (BUCKET, _) => coerce_bucket(BUCKET, arguments),
            (LOCF, [value]) => Ok(vec![value.clone()]),
            (INTERPOLATE, [value]) if value.is_numeric() || value.is_null() => Ok(vec![DataType::Float64]),
            (INTERPOLATE, _) => plan_err!("interpolate takes one number, as in interpolate(max(stock))"),
            _ => plan_err!("{0} takes one value, as in {0}(max(stock))", self.name),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.name {
            BUCKET => timestamp_type(),
            _ => arguments.first().cloned().unwrap_or(DataType::Null),
        })
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{}", misplaced(self.name))
    }
}
