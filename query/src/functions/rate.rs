//! `rate(counter, window)`: how much of a counter came per second.
//!
//! Written out while the query is planned, so that everything else sees nothing but sums:
//!
//! | written | is |
//! |---|---|
//! | `rate(x, INTERVAL '5 minutes')` | `sum(x)` / 300: the group is a whole bucket of that width, counted or not |
//! | `rate(x, window_start, window_end)` | `sum(x)` / seconds from the first window's start to the last one's end |
//!
//! The first is right for buckets that are over. The second is for the bucket that is still running, and for
//! days of 23 or 25 hours; it covers what lies between the first and the last window that have a row, so a
//! series that counted nothing at the edges seems faster than it is.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, cast, lit, when,
};

const NAME: &str = "rate";
const USAGE: &str = "rate takes a counter and the width of the bucket, as in rate(requests, INTERVAL '5 minutes'), \
                     or the bounds of its windows, as in rate(requests, window_start, window_end)";

/// Makes `rate` a name that the planner knows.
pub(super) fn rate() -> AggregateUDF {
    AggregateUDF::from(Rate { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rate {
    signature: Signature,
}

impl AggregateUDFImpl for Rate {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("rate is an aggregate, not a function over windows (OVER)\n  hint: {USAGE}")
    }
}

/// Writes `rate` out.
#[derive(Debug)]
pub(super) struct PlanRate;

impl ExprPlanner for PlanRate {
    fn plan_aggregate(&self, raw: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        if raw.func.name() != NAME {
            return Ok(PlannerResult::Original(raw));
        }
        let RawAggregateExpr { func, args, distinct, filter, order_by, null_treatment } = raw;
        let written = AggregateFunction::new_udf(func, args, distinct, filter, order_by, null_treatment);
        let name = Expr::AggregateFunction(written.clone()).schema_name().to_string();
        let AggregateFunctionParams { args, distinct, filter, .. } = written.params;
        let aggregated = |aggregate: Expr| match aggregate {
            Expr::AggregateFunction(mut inner) => {
                inner.params.filter.clone_from(&filter);
                Expr::AggregateFunction(inner)
            }
            other => other,
        };
        let total = |counter: Expr| cast(aggregated(sum_udaf().call(vec![counter])), DataType::Float64);
        let micros = |instant: Expr| {
            let timestamp = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
            cast(cast(instant, timestamp), DataType::Int64)
        };
        let rate = match args.as_slice() {
            _ if distinct => return plan_err!("{USAGE}"),
            [counter, width] => total(counter.clone()) / lit(seconds(width)?),
            [counter, start, end] => {
                let from = aggregated(min(micros(start.clone())));
                let covered = cast(aggregated(max(micros(end.clone()))) - from, DataType::Float64) / lit(1e6);
                when(covered.clone().gt(lit(0.0)), total(counter.clone()) / covered).end()?
            }
            _ => return plan_err!("{USAGE}"),
        };
        Ok(PlannerResult::Planned(rate.alias(name)))
    }
}

/// Seconds of a constant interval.
fn seconds(width: &Expr) -> Result<f64> {
    let seconds = match width {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(v)), _) if v.months == 0 => {
            f64::from(v.days) * 86_400.0 + v.nanoseconds as f64 / 1e9
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(_)), _) => {
            return plan_err!(
                "rate: a month has no fixed length\n  hint: rate(requests, window_start, window_end) takes the seconds from the windows"
            );
        }
        _ => return plan_err!("{USAGE}"),
    };
    if seconds > 0.0 { Ok(seconds) } else { plan_err!("rate: the width is more than nothing\n  hint: {USAGE}") }
}
