//! `monthly_growth(x, ts)` and `slope(x, ts)`: what a series of numbers over time amounts to.
//!
//! Both keep their points until the end, within the memory of the query, and look at them in the order of
//! time: the answer does not depend on how rows came together. Rows of an unfinished month or day are the
//! caller's to leave out, as in `WHERE ts < date_trunc('month', now())`.

use super::growth::growth;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewatch_engine::rollup::timestamp_type;
use tidewatch_engine::time::DAY_US;

/// No trend is told from fewer points.
const POINTS_MIN: usize = 5;
/// A slope that chance alone gives more often than this is none.
const SIGNIFICANT_BELOW: f64 = 0.05;
const MONTHS_PER_YEAR: f64 = 12.0;

pub(super) fn all() -> [AggregateUDF; 2] {
    let of = |name, role| {
        AggregateUDF::from(Trend { name, role, signature: Signature::user_defined(Volatility::Immutable) })
    };
    [of("monthly_growth", Role::MonthlyGrowth), of("slope", Role::Slope)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    MonthlyGrowth,
    Slope,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Trend {
    name: &'static str,
    role: Role,
    signature: Signature,
}

impl Role {
    fn fields(self) -> Fields {
        let number = |name: &str| Field::new(name, DataType::Float64, true);
        let whole = |name: &str| Field::new(name, DataType::Int64, true);
        match self {
            Self::MonthlyGrowth => vec![number("growth"), number("cagr"), whole("months")].into(),
            Self::Slope => {
                let direction = Field::new("direction", DataType::Utf8, true);
                vec![number("per_day"), number("r2"), number("p"), whole("n"), direction].into()
            }
        }
    }
}

impl AggregateUDFImpl for Trend {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [x, DataType::Timestamp(..) | DataType::Date32 | DataType::Null] if x.is_numeric() || x.is_null() => {
                Ok(vec![DataType::Float64, timestamp_type()])
            }
            _ => plan_err!("{0} takes a number and its time, as in {0}(orders, window_start)", self.name),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(self.role.fields()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, of: DataType| {
            Arc::new(Field::new(format!("{}[{name}]", args.name), DataType::new_list(of, true), true))
        };
        Ok(vec![list("values", DataType::Float64), list("times", DataType::Int64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Points { role: self.role, points: Vec::new() }))
    }
}

/// Points of one group: microseconds since the epoch, value.
#[derive(Debug)]
struct Points {
    role: Role,
    points: Vec<(i64, f64)>,
}

fn one_list(items: ArrayRef) -> Result<ScalarValue> {
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([items.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, items, None)?)))
}

impl Accumulator for Points {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = match values {
            [x, ts] => x.as_primitive_opt::<Float64Type>().zip(ts.as_primitive_opt::<TimestampMicrosecondType>()),
            _ => None,
        };
        let Some((x, ts)) = columns else { return exec_err!("a trend takes a number and a time") };
        self.points.extend(x.iter().zip(ts.iter()).filter_map(|(x, ts)| Some((ts?, x.filter(|x| x.is_finite())?))));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = match states {
            [x, ts] => x.as_list_opt::<i32>().zip(ts.as_list_opt::<i32>()),
            _ => None,
        };
        let Some((x, ts)) = lists else { return exec_err!("the state of a trend is two lists") };
        for row in (0..x.len()).filter(|&row| x.is_valid(row)) {
            let (x, ts) = (x.value(row), ts.value(row));
            let columns = x.as_primitive_opt::<Float64Type>().zip(ts.as_primitive_opt::<arrow::datatypes::Int64Type>());
            let Some((x, ts)) = columns else { return exec_err!("the state of a trend is numbers and times") };
            self.points.extend(ts.values().iter().copied().zip(x.values().iter().copied()));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from_iter_values(self.points.iter().map(|p| p.1));
        let times = Int64Array::from_iter_values(self.points.iter().map(|p| p.0));
        Ok(vec![one_list(Arc::new(values))?, one_list(Arc::new(times))?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.points.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)));
        let values = match self.role {
            Role::MonthlyGrowth => monthly_growth(&self.points),
            Role::Slope => slope(&self.points).to_vec(),
        };
        let fields = self.role.fields();
        let built =
            fields.iter().zip(values).fold(ScalarStructBuilder::new(), |b, (f, v)| b.with_scalar(Arc::clone(f), v));
        built.build()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.points.capacity() * size_of::<(i64, f64)>()
    }
}

/// Months of UTC since the year 0.
fn month_of(time_us: i64) -> Option<i64> {
    let date = DateTime::from_timestamp_micros(time_us)?;
    Some(i64::from(date.year()) * 12 + i64::from(date.month0()))
}

/// Of the newest month against the one before it, null when that has no rows; and the compound growth per
/// year from the first month to the newest.
fn monthly_growth(points: &[(i64, f64)]) -> Vec<ScalarValue> {
    let mut months: BTreeMap<i64, f64> = BTreeMap::new();
    for (month, x) in points.iter().filter_map(|&(ts, x)| Some((month_of(ts)?, x))) {
        *months.entry(month).or_default() += x;
    }
    let (Some((&first, &start)), Some((&last, &end))) = (months.first_key_value(), months.last_key_value()) else {
        return vec![ScalarValue::Float64(None), ScalarValue::Float64(None), ScalarValue::Int64(Some(0))];
    };
    let before = months.get(&(last - 1)).and_then(|&prev| growth(end, prev));
    let years = (last - first) as f64 / MONTHS_PER_YEAR;
    let cagr = (last > first && start > 0.0 && end >= 0.0).then(|| libm::pow(end / start, 1.0 / years) - 1.0);
    vec![ScalarValue::Float64(before), ScalarValue::Float64(cagr), ScalarValue::Int64(Some(last - first + 1))]
}

/// Ordinary least squares over days, with the two-sided t-test of its slope.
fn slope(points: &[(i64, f64)]) -> [ScalarValue; 5] {
    let n = points.len();
    let Some(&(origin, _)) = points.first() else { return told(None, 0) };
    let days = |ts: i64| (ts - origin) as f64 / DAY_US as f64;
    let count = n as f64;
    let mean_x = points.iter().map(|p| days(p.0)).sum::<f64>() / count;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / count;
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for &(ts, y) in points {
        let (dx, dy) = (days(ts) - mean_x, y - mean_y);
        (xx, xy, yy) = (xx + dx * dx, xy + dx * dy, yy + dy * dy);
    }
    if n < 3 || xx <= 0.0 {
        return told(None, n);
    }
    let per_day = xy / xx;
    let r2 = if yy > 0.0 { (xy * xy / (xx * yy)).min(1.0) } else { 0.0 };
    let free = count - 2.0;
    // t² = r² · free / (1 − r²); no slope at all is chance for sure, a perfect line never.
    let p = match r2 {
        _ if yy <= 0.0 => 1.0,
        r2 if r2 >= 1.0 => 0.0,
        r2 => incomplete_beta(free / 2.0, 0.5, 1.0 - r2),
    };
    told(Some((per_day, r2, p)), n)
}

fn told(line: Option<(f64, f64, f64)>, n: usize) -> [ScalarValue; 5] {
    let direction = line.filter(|_| n >= POINTS_MIN).map(|(per_day, _, p)| match p < SIGNIFICANT_BELOW {
        true if per_day > 0.0 => "up",
        true => "down",
        false => "steady",
    });
    [
        ScalarValue::Float64(line.map(|l| l.0)),
        ScalarValue::Float64(line.map(|l| l.1)),
        ScalarValue::Float64(line.map(|l| l.2)),
        ScalarValue::Int64(i64::try_from(n).ok()),
        ScalarValue::Utf8(direction.map(str::to_owned)),
    ]
}

/// The regularised incomplete beta function Iₓ(a, b), by its continued fraction (NIST DLMF 8.17.22, evaluated
/// by Lentz's method).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const STEPS_MAX: usize = 500;
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front =
        libm::exp(libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x));
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            last = c * d;
            fraction *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction / a
}
