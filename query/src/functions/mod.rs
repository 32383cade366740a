//! SQL functions beyond DataFusion's: over sketch columns, over calendars, over time before.
//!
//! | function | kind | answers |
//! |---|---|---|
//! | `quantile(sketch, q)` | aggregate | merges histograms; value at rank ⌈q·n⌉, at most 10^-digits above it |
//! | `quantiles(sketch, [q, …])` | aggregate | the same at several ranks, as a list in that order |
//! | `fraction_below(sketch, x)` | aggregate | share of values up to x, and up to 10^-digits above it; null of none |
//! | `hdr(x [, digits])` | aggregate | a histogram of plain integers, with 2 digits unless 1 or 3 are asked for; negative ones are left out |
//! | `hdr_merge(sketch)` | aggregate | one histogram, HdrHistogram V2 bytes |
//! | `approx_distinct(x)`, `distinct(x)` | aggregate | merges distinct sketches; of any other column, DataFusion's estimate |
//! | `distinct_merge(sketch)` | aggregate | one distinct sketch |
//! | `samples_merge(samples)` | aggregate | one set of samples |
//! | `samples_count(samples)` | scalar | how many samples there are in one row |
//! | `top_k(label, weight, k)` | aggregate | the k labels with the greatest sums, a list of {value, weight}; exact, ties by label |
//! | `rate(x, width)`, `rate(x, start, end)` | aggregate | per second: `functions/rate.rs` |
//! | `monthly_growth(x, ts)` | aggregate | of the newest month against the one before, and per month since the first: {growth, cagr, months} |
//! | `slope(x, ts)` | aggregate | the straight line through the points: {per_day, r2, p, n, direction} |
//! | `hdr_quantile(sketch, q)`, `hdr_count(sketch)`, `distinct_count(sketch)` | scalar | the same of one row |
//! | `change(cur, prev)` | scalar | cur − prev |
//! | `growth(cur, prev)` | scalar | (cur − prev) / \|prev\|; from 0 to 0 it is 0, from 0 to anything else null |
//! | `growth_points(cur, prev)` | scalar | of two ratios: the change in percentage points |
//! | `trend_label(cur, prev, period)` | scalar | `+12.5 % from last month`, `flat …`, `new …`, `no comparison` |
//! | `time_bucket(width, ts [, zone])` | scalar | start of the bucket in UTC; days, weeks and months of the zone, which may be a column |
//! | `time_bucket_gapfill(width, ts [, zone])`, `locf(x)`, `interpolate(x)` | in GROUP BY | buckets without rows as well: [`crate::gapfill`] |
//! | `spike(window_start, count [, zone])`, `silence(window_start, count [, zone [, hours [, holidays [, rhythm]]]])` | over windows (OVER) | viral spikes, and sources that should have said something: `functions/detect.rs` |
//! | `local_time(ts, zone)` | scalar | what clocks show there |
//! | `status_class(code)` | scalar | `2xx`, `4xx`, … |
//!
//! `SELECT distinct(x)` alone is `SELECT DISTINCT (x)` to every SQL parser: there write `approx_distinct(x)`.

mod aggregate;
mod detect;
mod growth;
mod rate;
mod scalar;
mod sketch;
mod top_k;
mod trend;
mod truncate;
pub(crate) mod window;
pub(crate) mod zone;

pub use aggregate::{distinct_merge, hdr_merge, samples_merge};

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Registers every function of this module.
pub fn register(context: &SessionContext) -> Result<()> {
    aggregate::all().into_iter().for_each(|f| context.register_udaf(f));
    trend::all().into_iter().for_each(|f| context.register_udaf(f));
    detect::all().into_iter().for_each(|f| context.register_udwf(f));
    context.register_udaf(top_k::top_k());
    context.register_udaf(rate::rate());
    context.state_ref().write().register_expr_planner(Arc::new(rate::PlanRate))?;
    context.register_udf(truncate::date_trunc());
    scalar::all().into_iter().for_each(|f| context.register_udf(f));
    zone::all().into_iter().for_each(|f| context.register_udf(f));
    growth::all().into_iter().for_each(|f| context.register_udf(f));
    context.register_udf(tidewatch_engine::functions::status_class());
    Ok(())
}

#[cfg(test)]
mod tests;
