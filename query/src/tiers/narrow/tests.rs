use super::*;
use crate::session::{self, Memory};
use crate::snapshot::SnapshotTable;
use crate::table::merged_table;
use crate::testing::{NOW_US, declared};
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use tidewatch_engine::completeness::Completeness;

/// Minutes of calls, of which some are asked for; what stands right above the table.
async fn narrowed_minutes(asked: Expr) -> String {
    let context = session::context(&Memory::only(64 << 20)).unwrap();
    let definitions = declared();
    let calls = definitions.table("calls").unwrap();
    let table = SnapshotTable::not_created(calls, Vec::new(), Completeness::unknown());
    context.register_table("calls", merged_table("calls", &table).unwrap()).unwrap();
    let state = session::state_at(&context, NOW_US).unwrap();
    let minutes = "SELECT date_bin(INTERVAL '1 minute', window_start) AS minute, api, sum(requests) AS n FROM calls GROUP BY 1, 2";
    let plan = state.create_logical_plan(minutes).await.unwrap();
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
    let plan = LogicalPlanBuilder::from(plan).filter(asked).unwrap().build().unwrap();
    let text = narrowed(plan, &state).unwrap().display_indent().to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let scan = lines.iter().position(|line| line.starts_with("TableScan: calls")).unwrap();
    lines[scan - 1].to_owned()
}

fn at(us: i64) -> Expr {
    lit(ScalarValue::TimestampNanosecond(Some(us * 1000), Some("UTC".into())))
}

#[tokio::test]
async fn what_is_asked_of_bins_is_known_of_instants() {
    let minute = || ident("minute");
    let asked = minute().gt_eq(at(NOW_US)).and(minute().lt_eq(at(NOW_US + 300_000_000))).and(ident("api").eq(lit("a")));
    let filter = narrowed_minutes(asked).await;
    for expected in [
        "calls.api = Utf8(\"a\")",
        "calls.window_start >= TimestampMicrosecond(1773489600000000, Some(\"UTC\"))",
        "calls.window_start <= TimestampMicrosecond(1773489960000000, Some(\"UTC\"))",
    ] {
        assert!(filter.contains(expected), "{expected} is not in {filter}");
    }
    assert!(!narrowed_minutes(ident("n").gt(lit(5i64))).await.contains("window_start >="));
}
