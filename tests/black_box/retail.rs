//! A real shop (Online Retail): revenue per country and day to the cent as DuckDB computes it from the
//! CSV, cancellations apart; and the tables read by DuckDB and Polars give the same. Then every rollup at every width,
//! before and after maintenance.

use crate::support::{Csv, Tidewatch, data, pack, python, repository, run_tool, sql, tidewatch, write_settings};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Day and country → invoices, amount in thousandths.
type Money = BTreeMap<(String, String), (i64, i128)>;

fn thousandths(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    let digits = format!("{}{fraction:0<3}", whole.trim_start_matches('-'));
    sign * digits.parse::<i128>().unwrap()
}

fn money(csv: &str, kind: Option<&str>) -> Money {
    let csv = Csv::parse(csv);
    let rows: Vec<[&str; 5]> = match kind {
        Some(_) => csv.rows(["day", "country", "invoices", "amount", "kind"]),
        None => csv.rows(["day", "country", "invoices", "amount", "day"]),
    };
    let wanted = rows.into_iter().filter(|r| kind.is_none_or(|k| k == r[4]));
    wanted.map(|r| ((r[0][..10].to_owned(), r[1].to_owned()), (r[2].parse().unwrap(), thousandths(r[3])))).collect()
}

#[test]
fn revenue_is_that_of_duckdb_to_the_cent_and_other_readers_see_the_same_tables() {
    let (Some(python), Some(csv)) = (python(), data("online-retail/online_retail.csv.gz")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let script = |name: &str| repository().join("tests/truth").join(name).display().to_string();
    let events = path("invoices.ndjson.gz");
    run_tool(&python, &[&script("retail_events.py"), csv.to_str().unwrap(), &events]);
    run_tool(&python, &[&script("retail_revenue.py"), csv.to_str().unwrap(), &path("truth.csv")]);
    let settings = write_settings(
        folder.path(),
        &format!(
            "packs = [\"{}\"]\n[storage]\nlocation = \"data\"\n[files]\npaths = [\"{events}\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[ingest]\nflush_rows = 500\n",
            pack("retail")
        ),
    );
    Tidewatch::start(&["run", "-c", settings.to_str().unwrap(), "--until-caught-up"]).wait(Duration::from_secs(300));

    let tables = folder.path().join("data");
    let truth = std::fs::read_to_string(path("truth.csv")).unwrap();
    let query = |table: &str, window: &str| {
        format!(
            "SELECT {window} AS day, country, sum(invoices) AS invoices, sum(amount) AS amount FROM {table} GROUP BY 1, 2"
        )
    };
    for (table, kind) in [("revenue", "revenue"), ("cancelled", "cancelled")] {
        let exact = money(&truth, Some(kind));
        assert!(exact.len() > 500, "{kind}: {}", exact.len());
        let ours = money(&sql(&tables, &query(table, "date_trunc('day', window_start)")), None);
        assert_same(table, &exact, &ours);
        for engine in ["duckdb", "polars", "deltalake"] {
            let theirs = read_delta(&python, &script("read_delta.py"), &tables.join(table), engine);
            assert_same(&format!("{table} by {engine}"), &exact, &theirs);
        }
    }
    let invoices =
        sql(&tables, "SELECT (SELECT sum(invoices) FROM revenue) AS o, (SELECT sum(invoices) FROM cancelled) AS c");
    assert_eq!(invoices, "o,c\n22064,3836\n");

    let tiers = script("retail_tiers.py");
    let program = env!("CARGO_BIN_EXE_tidewatch");
    let (csv, tables) = (csv.to_str().unwrap(), tables.to_str().unwrap());
    println!("{}", run_tool(&python, &[&tiers, csv, tables, program]));
    tidewatch(&["maintain", "-c", settings.to_str().unwrap()]);
    println!("{}", run_tool(&python, &[&tiers, csv, tables, program, "--maintained"]));
}

fn read_delta(python: &Path, script: &str, table: &Path, engine: &str) -> Money {
    let query = "SELECT CAST(window_start AS DATE) AS day, country, sum(invoices) AS invoices, sum(amount) AS amount FROM t WHERE NOT rolled_up GROUP BY 1, 2";
    money(&run_tool(python, &[script, table.to_str().unwrap(), query, "--engine", engine]), None)
}

fn assert_same(what: &str, exact: &Money, found: &Money) {
    for (key, value) in exact {
        assert_eq!(found.get(key), Some(value), "{what}: {key:?}");
    }
    assert_eq!(found.len(), exact.len(), "{what}");
}
