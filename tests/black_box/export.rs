//! Answers as files: COPY, formats, and what only another program can say of them.

use crate::support::{python, run_tool, tidewatch, tidewatch_fails};

const READ: &str = "
import openpyxl, sys
sheet = openpyxl.load_workbook(sys.argv[1]).active
print(sheet.freeze_panes, [[c.value for c in row] for row in sheet.iter_rows()])
";

#[test]
fn copy_writes_a_file_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let copy = |target: &str| {
        let query =
            format!("COPY (SELECT '=1+1' AS f, 12.50 AS amount, TIMESTAMP '2026-03-14T12:00:00Z' AS at) TO {target}");
        tidewatch(&["sql", "--data", data, &query]);
    };
    copy(&format!("'{}'", file("a.csv")));
    assert_eq!(std::fs::read_to_string(file("a.csv")).unwrap().lines().next(), Some("f,amount,at"));
    copy(&format!("'{}' (FORMAT ndjson)", file("a")));
    assert!(std::fs::read_to_string(file("a")).unwrap().starts_with("{\"f\":\"=1+1\","));
    copy(&format!("'{}' STORED AS XLSX", file("a.xlsx")));
    copy(&format!("'{}'", file("a.parquet")));
    if let Some(python) = python() {
        let found = run_tool(&python, &["-c", READ, &file("a.xlsx")]);
        assert_eq!(
            found.trim(),
            "A2 [['f', 'amount', 'at'], [\"'=1+1\", 12.5, datetime.datetime(2026, 3, 14, 12, 0)]]"
        );
        let read = "import duckdb, sys; print(duckdb.sql(f\"SELECT f FROM '{sys.argv[1]}'\").fetchall())";
        assert_eq!(run_tool(&python, &["-c", read, &file("a.parquet")]).trim(), "[('=1+1',)]");
    }
    let safe = tidewatch(&["sql", "--data", data, "--format", "csv", "--spreadsheet", "SELECT '=1+1' AS f, -1 AS n"]);
    assert_eq!(safe, "f,n\n'=1+1,-1\n");
    let said = tidewatch_fails(&["sql", "--data", data, "COPY (SELECT 1) TO 's3://bucket/x.csv'"]);
    assert!(said.contains("local files") && said.contains("hint: "), "{said}");
}

#[test]
fn the_system_schema_answers_without_workers() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |query: &str| tidewatch(&["sql", "--data", folder.path().to_str().unwrap(), "--format", "csv", query]);
    let limits = ask("SELECT setting, value, times_reached FROM system.limits WHERE setting = 'sql.rows_max'");
    assert_eq!(limits, "setting,value,times_reached\nsql.rows_max,100000,\n");
    assert_eq!(ask("SELECT count(*) AS n FROM system.commits"), "n\n0\n");
}
