//! Commits in, answers out.
//!
//! ```text
//! committed tables + live pieces ─▶ snapshot ─▶ merged tables ─▶ SQL ─▶ HTTP, command line
//! storage            live           snapshot    table            sql    http, format
//!                                                   └──────────▶ scrape ─▶ exposition
//! ```
//!
//! Every reader goes through one [`Snapshot`]: what is committed and what is not yet, each event counted
//! once. Rollups appear as tables with one row per window and series, however many partials lie below.
//!
//! | to understand | read |
//! |---|---|
//! | what a reader sees of a running worker | [`live`] |
//! | how commits and memory become one answer | [`snapshot`], [`table`] |
//! | what packs declare, and views | [`definitions`], [`views`] |
//! | which width of windows answers a query | [`tiers`] |
//! | `quantile`, `approx_distinct` and the like | [`functions`] |
//! | limits of a query, its errors | [`sql`] |
//! | table, CSV, JSON, Parquet, Arrow | [`format`] |
//! | buckets without rows | [`gapfill`] |
//! | tables about the tables: `system.commits`, … | [`system`] |
//! | how many queries run at once | [`gate`] |
//! | `/metrics` | [`scrape`], [`exposition`] |
//! | the endpoints | [`http`] |

pub mod compare;
pub mod definitions;
pub mod exposition;
pub mod format;
pub mod functions;
pub mod gapfill;
pub mod gate;
mod grouping;
pub mod http;
mod lineage;
pub mod live;
mod memory;
mod message;
pub mod metrics;
mod passes;
pub mod promql;
mod results;
pub mod scrape;
mod session;
pub mod snapshot;
pub mod sql;
pub mod system;
pub mod table;
#[cfg(test)]
mod testing;
pub mod tiers;
pub mod views;

pub use definitions::{DeclaredTable, Definitions};
pub use live::{LiveError, LiveStates, LiveView, NoLiveStates};
pub use session::{CATALOG, Now, SCHEMA};
pub use snapshot::{Snapshot, Snapshots};
pub use sql::{
    Answer, Furniture, Planned, Prepared, Relation, RelationKind, Sight, SqlEngine, SqlError, SqlLimits, Streamed,
};
pub use views::Checking;
