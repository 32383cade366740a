//! Calendar time in a zone that may differ from row to row: `time_bucket` and `local_time`.
//!
//! Windows are cut in UTC. A day of a tenant is 23, 24 or 25 hours of them; these functions say which.

use crate::functions::zone::bucket::Width;
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::collections::HashMap;
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;

pub(crate) mod bucket;

/// `time_bucket` as a function.
pub(crate) fn time_bucket() -> ScalarUDF {
    ScalarUDF::from(TimeBucket { signature: Signature::user_defined(Volatility::Immutable) })
}

pub(super) fn all() -> [ScalarUDF; 2] {
    let signature = || Signature::user_defined(Volatility::Immutable);
    [ScalarUDF::from(TimeBucket { signature: signature() }), ScalarUDF::from(LocalTime { signature: signature() })]
}

/// `time_bucket(width, ts [, zone])`: start of the bucket that holds `ts`, in UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeBucket {
    signature: Signature,
}

/// `local_time(ts, zone)`: what clocks show there, a timestamp without zone.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LocalTime {
    signature: Signature,
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        coerce_bucket("time_bucket", arguments)
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(timestamp_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let width = match args.args.first() {
            Some(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(interval)))) => Width::of(*interval)?,
            _ => return exec_err!("the width of time_bucket is a literal interval"),
        };
        let rows = args.number_rows;
        let zones = args.args.get(2).map(|z| z.to_array(rows)).transpose()?;
        let times = args.args.get(1).map(|t| t.to_array(rows)).transpose()?;
        if let (None, Some(times), Some(starts)) = (&zones, &times, width.in_utc()) {
            let times = times.as_primitive_opt::<TimestampMicrosecondType>();
            if let Some(times) = times {
                let starts: TimestampMicrosecondArray = times.unary(starts);
                return Ok(ColumnarValue::Array(Arc::new(starts.with_timezone("UTC"))));
            }
        }
        let starts = map_times(times.as_ref(), zones.as_ref(), |time_us, zone| width.start_of(time_us, zone))?;
        Ok(ColumnarValue::Array(Arc::new(starts.with_timezone("UTC"))))
    }
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        "local_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [ts, zone] if is_time(ts) && is_text(zone) => Ok(vec![timestamp_type(), DataType::Utf8]),
            _ => plan_err!("local_time takes a timestamp and a zone, as in local_time(window_start, time_zone)"),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let column = |at: usize| args.args.get(at).map(|t| t.to_array(rows)).transpose();
        let local = map_times(column(0)?.as_ref(), column(1)?.as_ref(), bucket::local_us)?;
        Ok(ColumnarValue::Array(Arc::new(local)))
    }
}

/// The types of the arguments of a function that cuts time into buckets.
pub(crate) fn coerce_bucket(name: &str, arguments: &[DataType]) -> Result<Vec<DataType>> {
    let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    match arguments {
        [DataType::Interval(_), ts] if is_time(ts) => Ok(vec![interval, timestamp_type()]),
        [DataType::Interval(_), ts, zone] if is_time(ts) && is_text(zone) => {
            Ok(vec![interval, timestamp_type(), DataType::Utf8])
        }
        _ => plan_err!(
            "{name} takes an interval, a timestamp and perhaps a zone, as in {name}(INTERVAL '1 day', window_start, 'Europe/Berlin')"
        ),
    }
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Null)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null)
}

/// Applies `f(time, zone)` to every row. No zone is UTC; a zone that does not exist has no times.
fn map_times(
    times: Option<&ArrayRef>,
    zones: Option<&ArrayRef>,
    f: impl Fn(i64, Option<&Tz>) -> Option<i64>,
) -> Result<TimestampMicrosecondArray> {
    let Some(times) = times.and_then(|t| t.as_primitive_opt::<TimestampMicrosecondType>()) else {
        return exec_err!("expected a timestamp");
    };
    let zones: Option<&StringArray> = zones.and_then(|z| z.as_string_opt::<i32>());
    // A zone is looked up once per batch: its name decides about megabytes of rules.
    let mut known: HashMap<&str, Option<Tz>> = HashMap::new();
    let mut starts = Vec::with_capacity(times.len());
    for row in 0..times.len() {
        let name = zones.filter(|z| z.is_valid(row)).map(|z| z.value(row));
        let time = times.is_valid(row).then(|| times.value(row));
        starts.push(match (time, name) {
            (None, _) => None,
            (Some(time), None) => f(time, None),
            (Some(time), Some(name)) => {
                let zone = known.entry(name).or_insert_with(|| name.parse().ok());
                zone.as_ref().and_then(|zone| f(time, Some(zone)))
            }
        });
    }
    Ok(starts.into())
}

#[cfg(test)]
mod tests;
