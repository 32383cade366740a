//! `date_trunc` without a calendar where none is needed: an hour or a day of UTC is simple arithmetic, which
//! DataFusion's own does only for timestamps without a zone, and each of ours has the zone UTC.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::Result;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// Takes the place of DataFusion's, which it asks.
pub(super) fn date_trunc() -> ScalarUDF {
    ScalarUDF::from(DateTrunc { own: datafusion::functions::datetime::date_trunc() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    own: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.own.name()
    }

    fn aliases(&self) -> &[String] {
        self.own.aliases()
    }

    fn signature(&self) -> &Signature {
        self.own.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.own.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.own.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.own.coerce_types(arguments)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.own.evaluate_bounds(inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.own.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.own.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Array(times)) = args.args.get(1) else { return self.own.invoke_with_args(args) };
        let zone = match times.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if is_utc(zone) => Arc::clone(zone),
            _ => return self.own.invoke_with_args(args),
        };
        let zoned = |times: &ArrayRef, zone: Option<Arc<str>>| -> ArrayRef {
            Arc::new(times.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone))
        };
        args.args[1] = ColumnarValue::Array(zoned(times, None));
        // What is promised for them is held against what comes.
        let unzoned = |field: &FieldRef| -> FieldRef {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None)))
        };
        args.return_field = unzoned(&args.return_field);
        if let Some(field) = args.arg_fields.get_mut(1) {
            *field = unzoned(field);
        }
        Ok(match self.own.invoke_with_args(args)? {
            ColumnarValue::Array(starts) => ColumnarValue::Array(zoned(&starts, Some(zone))),
            scalar => scalar,
        })
    }
}

fn is_utc(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("UTC") || matches!(zone, "+00:00" | "Z")
}
