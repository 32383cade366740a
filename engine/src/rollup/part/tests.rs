use super::*;

const SOURCES: &str = "sources:
  - name: click
    topic: clicks
    type: test.click
    fields: { page: string, ms: int64, bot: boolean }
  - name: click_too
    topic: clicks
    type: test.click
    fields: { page: string }
  - name: view
    topic: views
    type: test.view
    fields: { page: string }
";
const ROLLUPS: &str = "
CREATE ROLLUP bots AS SELECT bot, lower(page) AS low, count(*) AS n FROM click
  GROUP BY tumble(INTERVAL '10 seconds'), bot, lower(page);
CREATE ROLLUP clicks AS SELECT page, count(*) FILTER (WHERE bot) AS bots, max(ms) AS slowest FROM click WHERE ms > 0
  GROUP BY tumble(INTERVAL '10 seconds'), page;
CREATE ROLLUP pages AS SELECT page, count(*) AS n FROM click_too GROUP BY tumble(INTERVAL '10 seconds'), page;
CREATE ROLLUP views AS SELECT page, count(*) AS n FROM view GROUP BY tumble(INTERVAL '10 seconds'), page;";

fn catalog() -> Catalog {
    Catalog::parse(&[("s".to_owned(), SOURCES.to_owned())], &[("r".to_owned(), ROLLUPS.to_owned())]).unwrap()
}

#[test]
fn one_table_is_left_with_the_columns_and_sources_that_decide_about_events() {
    let whole = catalog();
    let part = whole.part("clicks", false, &|_| true);
    let names: Vec<&str> = part.sources.iter().map(|s| s.def.name.as_str()).collect();
    assert_eq!(names, ["click", "click_too"]);
    assert_eq!(part.unused.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["view"]);
    assert_eq!(part.tables().len(), 1);
    let click = &part.sources[0];
    assert_eq!(click.columns, whole.sources[0].columns);
    assert_eq!(click.dimensions.len(), 1);
    assert!(click.exprs.len() < whole.sources[0].exprs.len());
    let rollup = &click.rollups[0];
    let text = |e: usize| click.exprs[e].to_string();
    assert!(text(click.dimensions[rollup.dimensions[0]].0).contains("page"));
    assert!(text(rollup.predicate.unwrap()).contains("ms"));
    let slowest = rollup.measures[1].as_ref().unwrap();
    assert!(text(slowest.arguments[0]).contains("ms"));
    assert!(part.sources[1].rollups.is_empty() && part.sources[1].exprs.is_empty());
}

#[test]
fn measures_that_are_not_filled_have_no_plan() {
    let part = catalog().part("clicks", false, &|name| name == "slowest");
    let rollup = &part.sources[0].rollups[0];
    assert!(rollup.measures[0].is_none() && rollup.measures[1].is_some());
    assert_eq!(rollup.schema.measures.len(), 3);
}

#[test]
fn the_digest_of_the_table_is_left_with_it_when_asked_for() {
    let texts = |text: &str| [("t".to_owned(), text.to_owned())];
    let whole = Catalog::with_digests(&texts(SOURCES), &texts(ROLLUPS)).unwrap();
    let names = |part: &Catalog| part.rollups().map(|(_, r)| r.schema.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&whole.part("clicks", true, &|_| true)), ["clicks", DIGESTS]);
    assert_eq!(names(&whole.part("clicks", false, &|_| true)), ["clicks"]);
    let part = whole.part("clicks", true, &|_| true);
    let click = &part.sources[0];
    assert_eq!(click.digests(&click.rollups[1]).as_deref(), Some("clicks"));
}
