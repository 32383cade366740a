//! Tables that several sources count into, tables without windows, and how long rows are kept.

use super::*;
use crate::cardinality::Admissions;
use crate::open::{EventBatch, OpenStates};
use crate::rollup::merge_batches;
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;

const LIFE: &str = "
CREATE ROLLUP call_life AS
SELECT tenant, provider, last(outcome) AS outcome, count(*) AS calls,
       min(event_time) FILTER (WHERE outcome <> 'success') AS failed_at
FROM call GROUP BY tenant, provider
UNION ALL BY NAME
SELECT provider AS provider, tenant, min(event_time) AS slow_at FROM call WHERE duration_ms > 100 GROUP BY tenant, provider;
";

/// Events of `call`: second, provider, outcome, duration.
fn events(plan: &SourcePlan, rows: &[(i64, &str, &str, i64)]) -> EventBatch {
    let event_time_us: Vec<i64> = rows.iter().map(|r| r.0 * 1_000_000).collect();
    let columns = plan.columns.fields().iter().map(|field| -> ArrayRef {
        let text = |get: fn(&(i64, &'static str, &'static str, i64)) -> &'static str| {
            // The lifetime of the literals of this file.
            Arc::new(rows.iter().map(|r| Some(get(&(r.0, leak(r.1), leak(r.2), r.3)))).collect::<StringArray>())
        };
        match field.name().as_str() {
            "tenant" => text(|_| "creator:a"),
            "provider" => text(|r| r.1),
            "outcome" => text(|r| r.2),
            "sequence" => Arc::new(Int64Array::new_null(rows.len())),
            "duration_ms" => Arc::new(rows.iter().map(|r| Some(r.3)).collect::<Int64Array>()),
            "event_time" => Arc::new(TimestampMicrosecondArray::from(event_time_us.clone()).with_timezone("UTC")),
            other => panic!("no column {other} expected"),
        }
    });
    let columns = RecordBatch::try_new(Arc::clone(&plan.columns), columns.collect()).unwrap();
    EventBatch { columns, event_time_us }
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn branches_fill_one_keyed_table() {
    let catalog = parse(LIFE).unwrap();
    let [table] = catalog.tables().try_into().unwrap();
    assert_eq!((table.branches, table.schema.pane_us, table.schema.tiers.len()), (2, None, 0));
    assert_eq!(
        columns(table.schema),
        [
            "tenant Utf8?",
            "provider Utf8?",
            "outcome Utf8?",
            "outcome_at Timestamp(µs, \"UTC\")?",
            "outcome_seq Int64?",
            "calls Int64",
            "failed_at Timestamp(µs, \"UTC\")?",
            "updated_at Timestamp(µs, \"UTC\")?",
            "slow_at Timestamp(µs, \"UTC\")?",
        ]
    );
    let source = &catalog.sources[0];
    let all =
        [(1, "ups", "success", 200), (9, "ups", "timeout", 10), (5, "ups", "timeout", 300), (7, "usps", "success", 1)];
    let count = |parts: &[&[(i64, &str, &str, i64)]]| {
        let mut batches = Vec::new();
        for part in parts {
            let mut open = OpenStates::new(Arc::clone(source));
            open.count(&events(source, part), &mut Admissions::unlimited(), |_| None).unwrap();
            let frozen = open.freeze();
            batches.extend((0..source.rollups.len()).map(|rollup| frozen.batch(rollup).unwrap()));
        }
        merge_batches(table.schema, &batches).unwrap()
    };
    let once = count(&[&all]);
    assert_eq!(once, count(&[&all[2..], &all[..1], &all[1..2]]));
    let text = pretty_format_batches(&[once]).unwrap().to_string();
    let rows: Vec<&str> = text.lines().skip(3).filter(|l| l.starts_with("| c")).collect();
    assert_eq!(
        rows,
        [
            "| creator:a | ups      | timeout | 1970-01-01T00:00:09Z |             | 3     | 1970-01-01T00:00:05Z | 1970-01-01T00:00:09Z | 1970-01-01T00:00:01Z |",
            "| creator:a | usps     | success | 1970-01-01T00:00:07Z |             | 1     |                      | 1970-01-01T00:00:07Z |                      |",
        ]
    );
}

#[test]
fn branches_that_do_not_fit_are_refused() {
    let wrong = |second: &str| {
        let text = format!(
            "CREATE ROLLUP r AS SELECT tenant, count(*) AS n FROM call GROUP BY tumble(INTERVAL '10 seconds'), tenant UNION ALL BY NAME {second};"
        );
        parse(&text).unwrap_err().iter().map(ToString::to_string).collect::<String>()
    };
    let refused = wrong("SELECT tenant, count(*) AS m FROM refund GROUP BY tenant");
    assert!(refused.contains("the branches have different windows"), "{refused}");
    let refused =
        wrong("SELECT tenant, sum(amount_minor) AS n FROM refund GROUP BY tumble(INTERVAL '10 seconds'), tenant");
    assert!(refused.contains("`n` is Sum { scale: 0 } here and Count in another branch"), "{refused}");
    let refused = wrong("SELECT count(*) AS m FROM refund GROUP BY tumble(INTERVAL '10 seconds')");
    assert!(refused.contains("dimension `tenant` of the first branch is missing"), "{refused}");
    let refused = wrong(
        "SELECT tenant, tenant_id, count(*) AS m FROM refund GROUP BY tumble(INTERVAL '10 seconds'), tenant, tenant_id",
    );
    assert!(refused.contains("dimension `tenant_id` is not in the first branch"), "{refused}");
}

#[test]
fn tiers_and_retention_are_read_or_refused_in_their_place() {
    let options = |with: &str, group: &str| {
        let text =
            format!("CREATE ROLLUP r WITH ({with}) AS\nSELECT tenant, count(*) AS n FROM call GROUP BY {group}tenant;");
        match parse(&text) {
            Ok(catalog) => {
                let schema = catalog.tables()[0].schema.clone();
                let tiers = schema.tiers.iter().map(crate::rollup::Tier::name).collect::<Vec<_>>().join(" ");
                format!("{tiers} {:?}", schema.retain_us.map(|r| r / crate::time::DAY_US))
            }
            Err(errors) => errors[0].to_string(),
        }
    };
    let tumble = "tumble(INTERVAL '1 minute'), ";
    assert_eq!(options("tiers = '1m 30d, 1d forever'", tumble), "1m 1d None");
    assert_eq!(options("retention = '400d'", ""), " Some(400)");
    assert!(
        options("retention = '400d'", tumble)
            .starts_with("rollups.sql:1:23: rollup r: retention: windows are kept by tier")
    );
    assert!(
        options("tiers = '1m 30d'", "").starts_with("rollups.sql:1:23: rollup r: tiers: a keyed table has no windows")
    );
    assert!(options("tier = '1m 30d'", tumble).starts_with("rollups.sql:1:23: rollup r: no option `tier`"));
    assert!(options("tiers 5", tumble).starts_with("rollups.sql:1:23: expected CREATE ROLLUP"));
}
