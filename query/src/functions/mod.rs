//! SQL functions beyond DataFusion's: over sketch columns, over calendars.
//!
//! | function | kind | answers |
//! |---|---|---|
//! | `quantile(sketch, q)` | aggregate | merges histograms; value at rank ⌈q·n⌉, at most 10^-digits above it |
//! | `fraction_below(sketch, x)` | aggregate | share of values up to x, and up to 10^-digits above it; null of none |
//! | `hdr(x [, digits])` | aggregate | a histogram of plain integers, with 2 digits unless 1 or 3 are asked for; negative ones are left out |
//! | `hdr_merge(sketch)` | aggregate | one histogram, HdrHistogram V2 bytes |
//! | `approx_distinct(x)` | aggregate | merges distinct sketches; of any other column, DataFusion's estimate |
//! | `distinct_merge(sketch)` | aggregate | one distinct sketch |
//! | `samples_merge(samples)` | aggregate | one set of samples |
//! | `samples_count(samples)` | scalar | how many samples there are in one row |
//! | `hdr_quantile(sketch, q)`, `hdr_count(sketch)`, `distinct_count(sketch)` | scalar | the same of one row |
//! | `growth(cur, prev)` | scalar | (cur − prev) / \|prev\|; from 0 to 0 it is 0, from 0 to anything else null |
//! | `time_bucket(width, ts [, zone])` | scalar | start of the bucket in UTC; days, weeks and months of the zone, which may be a column |
//! | `local_time(ts, zone)` | scalar | what clocks show there |
//! | `status_class(code)` | scalar | `2xx`, `4xx`, … |

mod aggregate;
mod growth;
mod scalar;
mod sketch;
mod zone;

pub use aggregate::{distinct_merge, hdr_merge, samples_merge};

use datafusion::prelude::SessionContext;

/// Registers every function of this module.
pub fn register(context: &SessionContext) {
    aggregate::all().into_iter().for_each(|f| context.register_udaf(f));
    scalar::all().into_iter().for_each(|f| context.register_udf(f));
    zone::all().into_iter().for_each(|f| context.register_udf(f));
    context.register_udf(growth::growth());
    context.register_udf(tidewatch_engine::functions::status_class());
}

#[cfg(test)]
mod tests;
