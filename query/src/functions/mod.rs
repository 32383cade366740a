//! SQL functions over sketch columns.
//!
//! | function | kind | answers |
//! |---|---|---|
//! | `quantile(sketch, q)` | aggregate | merges histograms; value at rank ⌈q·n⌉, at most 10^-digits above it |
//! | `hdr_merge(sketch)` | aggregate | one histogram, HdrHistogram V2 bytes |
//! | `approx_distinct(x)` | aggregate | merges distinct sketches; of any other column, DataFusion's estimate |
//! | `distinct_merge(sketch)` | aggregate | one distinct sketch |
//! | `hdr_quantile(sketch, q)`, `hdr_count(sketch)`, `distinct_count(sketch)` | scalar | the same of one row |
//! | `status_class(code)` | scalar | `2xx`, `4xx`, … |

mod aggregate;
mod scalar;
mod sketch;

pub use aggregate::{distinct_merge, hdr_merge};

use datafusion::prelude::SessionContext;

/// Registers every function of this module.
pub fn register(context: &SessionContext) {
    aggregate::all().into_iter().for_each(|f| context.register_udaf(f));
    scalar::all().into_iter().for_each(|f| context.register_udf(f));
    context.register_udf(tidewatch_engine::functions::status_class());
}

#[cfg(test)]
mod tests;
