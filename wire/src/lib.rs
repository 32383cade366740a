//! The protocols SQL clients speak: Postgres' wire protocol and Arrow Flight SQL.
//!
//! ```text
//! psql, JDBC, psycopg, Grafana, DuckDB ─▶ postgres ─┐
//!                                                   ├─▶ catalogue ─▶ tidewatch_query::SqlEngine
//! ADBC, dremio, dbeaver ─────────────────▶ flight ──┘
//! ```
//!
//! Statements go where HTTP queries go: the same snapshot of what is committed and what is not, the same
//! functions, widths, limits and messages. Both protocols only read.
//!
//! | to understand | read |
//! |---|---|
//! | which tables, columns and settings clients find | [`catalogue`] |
//! | how a text becomes something to do, and what is refused | `statement` |
//! | connections, passwords, TLS, time limits of Postgres | [`postgres`] |
//! | values of Postgres' types | `postgres/rows.rs`, `postgres/parameters.rs` |
//! | tickets, prepared statements, tokens of Flight SQL | [`flight`] |
//! | how many queries run at once | [`running`] |

pub mod catalogue;
pub mod flight;
pub mod metrics;
pub mod postgres;
pub mod running;
mod statement;

pub use metrics::WireMetrics;
pub use running::Running;
