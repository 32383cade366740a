use super::*;
use crate::rollup::{Catalog, MeasureKind};

const SOURCES: &str = "sources:
  - name: click
    topic: clicks
    type: test.click
    fields: { page: string, ms: int64 }
";

fn schema(select: &str, rest: &str) -> RollupSchema {
    let sql = format!(
        "CREATE ROLLUP clicks AS SELECT {select} FROM click {rest} GROUP BY tumble(INTERVAL '10 seconds'), page;"
    );
    let catalog = Catalog::parse(&[("s".to_owned(), SOURCES.to_owned())], &[("r".to_owned(), sql)]).unwrap();
    catalog.tables()[0].schema.clone()
}

fn change(select: &str, rest: &str) -> DefinitionChange {
    DefinitionChange::between(&schema("page, count(*) AS n, sum(ms) AS ms", ""), &schema(select, rest))
}

#[test]
fn the_order_of_measures_and_how_long_rows_are_kept_change_nothing() {
    assert_eq!(change("page, count(*) AS n, sum(ms) AS ms", ""), DefinitionChange::Same);
    assert_eq!(change("page, sum(ms) AS ms, count(*) AS n", ""), DefinitionChange::Same);
    let stored = schema("page, count(*) AS n", "");
    let mut kept = stored.clone();
    kept.tiers.iter_mut().for_each(|t| t.retain_us = None);
    assert_eq!(DefinitionChange::between(&stored, &kept), DefinitionChange::Same);
}

#[test]
fn more_measures_widen_and_stand_after_the_old_ones() {
    let DefinitionChange::Widened { schema, added } =
        change("page, max(ms) AS slowest, count(*) AS n, sum(ms) AS ms, hdr(ms) AS times", "")
    else {
        panic!("not widened")
    };
    let names = |measures: &[Measure]| measures.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&added), ["slowest", "times"]);
    assert_eq!(names(&schema.measures), ["n", "ms", "other_series", "slowest", "times"]);
    assert!(matches!(added[1].kind, MeasureKind::Hdr { .. }));
    // Whoever defines the same later, in whatever order, finds it as it is.
    let again = self::schema("page, count(*) AS n, sum(ms) AS ms, hdr(ms) AS times, max(ms) AS slowest", "");
    assert_eq!(DefinitionChange::between(&schema, &again), DefinitionChange::Same);
}

#[test]
fn everything_else_is_another_definition() {
    let reason = |select: &str, rest: &str| match change(select, rest) {
        DefinitionChange::Other(reason) => reason,
        other => panic!("{select}: {other:?}"),
    };
    assert_eq!(reason("page, count(*) AS n", ""), "measure ms is gone");
    assert_eq!(reason("page, count(*) AS n, max(ms) AS ms", ""), "measure ms is of another kind");
    assert!(reason("page, count(*) FILTER (WHERE ms > 1) AS n, sum(ms) AS ms", "").contains("is not defined any more"));
    assert!(reason("page, count(*) AS n, sum(ms) AS ms, max(ms) AS m", "WHERE ms > 1").contains("became"));
    assert_eq!(reason("page AS p, count(*) AS n, sum(ms) AS ms", ""), "the dimensions differ");
    let (stored, mut wider) = (schema("page, count(*) AS n", ""), schema("page, count(*) AS n", ""));
    wider.tiers.pop();
    assert_eq!(
        DefinitionChange::between(&stored, &wider),
        DefinitionChange::Other("the widths of the tiers differ".to_owned())
    );
}
