//! What a definition becomes. What is refused, and how that is said, is in `refused`.

mod refused;
mod several;

use super::*;
use crate::rollup::ValueType;
use datafusion::physical_plan::expressions::Column;

const SOURCES: &str = "
sources:
  - name: call
    topic: calls
    type: api.call.completed.v1
    fields:
      provider: string
      api: string
      outcome: {enum: [success, server_error, timeout, network_error]}
      status_code: int64
      duration_ms: int64
      shop_id: string
      cost: decimal(2)
      ratio: float64
      is_retry: boolean
      reset_at: timestamp
      customer.tier: string
  - name: refund
    topic: orders
    type: order.refunded.v1
    fields: {amount_minor: {type: int64, required: true}}
";

fn named(text: &str, name: &str) -> Vec<NamedText> {
    vec![(name.to_owned(), text.to_owned())]
}

fn parse(rollups: &str) -> Result<Catalog, Vec<DefinitionError>> {
    Catalog::parse(&named(SOURCES, "sources.yaml"), &named(rollups, "rollups.sql"))
}

/// One rollup over `call` with a ten-second window, from its SELECT list and dimensions.
fn plan_of(select: &str, dimensions: &str) -> Catalog {
    parse(&format!("CREATE ROLLUP r AS SELECT {select} FROM call GROUP BY tumble(INTERVAL '10 seconds'){dimensions};"))
        .unwrap()
}

/// Table columns as `name type`, with a question mark when they may be null.
fn columns(schema: &RollupSchema) -> Vec<String> {
    let schema = schema.arrow_schema();
    schema
        .fields()
        .iter()
        .map(|f| format!("{} {}{}", f.name(), f.data_type(), if f.is_nullable() { "?" } else { "" }))
        .collect()
}

/// The example of DESIGN.md, section 3.
const API_CALLS: &str = "
CREATE ROLLUP api_calls AS
SELECT tenant, provider, api, status_class(status_code) AS status_class,
       count(*)                                             AS requests,
       count(*) FILTER (WHERE outcome IN ('server_error','timeout','network_error')) AS errors,
       hdr(duration_ms)                                     AS duration_ms,
       approx_distinct(shop_id)                             AS shops
FROM call
GROUP BY tumble(INTERVAL '10 seconds'), tenant, provider, api, status_class(status_code);
";

#[test]
fn the_example_of_the_design_becomes_a_table() {
    let catalog = parse(API_CALLS).unwrap();
    let (source, rollup) = catalog.rollups().next().unwrap();
    assert_eq!(
        (rollup.schema.name.as_str(), rollup.schema.sources.join(" "), rollup.schema.pane_us),
        ("api_calls", "call".to_owned(), Some(10_000_000))
    );
    assert_eq!(
        columns(&rollup.schema),
        [
            "window_start Timestamp(µs, \"UTC\")",
            "tenant Utf8?",
            "provider Utf8?",
            "api Utf8?",
            "status_class Utf8?",
            "requests Int64",
            "errors Int64",
            "duration_ms Binary?",
            "shops Binary?",
            "other_series Binary?",
        ]
    );
    let kinds: Vec<_> = rollup.schema.measures.iter().map(|m| m.kind).collect();
    assert_eq!(
        kinds,
        [
            MeasureKind::Count,
            MeasureKind::Count,
            MeasureKind::Hdr { digits: 2 },
            MeasureKind::Distinct,
            MeasureKind::Distinct
        ]
    );
    let decoded: Vec<_> = source.columns.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(decoded, ["tenant", "api", "duration_ms", "outcome", "provider", "shop_id", "status_code"]);
    assert_eq!(catalog.unused.iter().map(|def| def.name.as_str()).collect::<Vec<_>>(), ["refund"]);
    assert_eq!(catalog.topics(), BTreeSet::from(["calls"]));
}

#[test]
fn each_measure_keeps_its_exact_type() {
    let second = MeasureKind::Sum { scale: 2 };
    for (select, kind, stored) in [
        ("count(*) AS m", MeasureKind::Count, &["m Int64"][..]),
        ("count(provider) AS m", MeasureKind::Count, &["m Int64"]),
        ("sum(duration_ms) AS m", MeasureKind::Sum { scale: 0 }, &["m Decimal128(38, 0)?"]),
        ("sum(cost) AS m", second, &["m Decimal128(38, 2)?"]),
        ("sum(duration_ms * cost) AS m", second, &["m Decimal128(38, 2)?"]),
        ("avg(duration_ms) AS m", MeasureKind::Avg { scale: 0 }, &["m_sum Decimal128(38, 0)?", "m_count Int64"]),
        ("avg(cost) AS m", MeasureKind::Avg { scale: 2 }, &["m_sum Decimal128(38, 2)?", "m_count Int64"]),
        ("min(duration_ms) AS m", MeasureKind::Min { value: ValueType::Int64 }, &["m Int64?"]),
        ("max(ratio) AS m", MeasureKind::Max { value: ValueType::Float64 }, &["m Float64?"]),
        ("max(cost) AS m", MeasureKind::Max { value: ValueType::Decimal { scale: 2 } }, &["m Decimal128(38, 2)?"]),
        ("min(reset_at) AS m", MeasureKind::Min { value: ValueType::Timestamp }, &["m Timestamp(µs, \"UTC\")?"]),
        ("hdr(duration_ms, 3) AS m", MeasureKind::Hdr { digits: 3 }, &["m Binary?"]),
        ("approx_distinct(is_retry) AS m", MeasureKind::Distinct, &["m Binary?"]),
    ] {
        let catalog = plan_of(select, "");
        let schema = &catalog.sources[0].rollups[0].schema;
        assert_eq!(schema.measures[0].kind, kind, "{select}");
        assert_eq!(columns(schema)[1..], *stored, "{select}");
    }
}

#[test]
fn dimensions_are_text_integers_and_booleans() {
    let select = "lower(api) AS api, customer_tier, is_retry, date_part('minute', event_time) AS minute, count(*) AS n";
    let catalog = plan_of(select, ", lower(api), customer_tier, is_retry, date_part('minute', event_time)");
    assert_eq!(
        columns(&catalog.sources[0].rollups[0].schema)[1..5],
        ["api Utf8?", "customer_tier Utf8?", "is_retry Boolean?", "minute Int64?"]
    );
}

#[test]
fn equal_expressions_of_all_rollups_are_evaluated_once() {
    let catalog = parse("
        CREATE ROLLUP a AS SELECT tenant, upper(api) AS api, sum(duration_ms) AS total FROM call WHERE is_retry
        GROUP BY tumble(INTERVAL '1 second'), tenant, upper(api);
        CREATE ROLLUP b AS SELECT upper(api) AS endpoint, tenant, avg(duration_ms) AS mean, count(*) FILTER (WHERE is_retry) AS n FROM call
        GROUP BY tumble(INTERVAL '15 minutes'), upper(api), tenant;").unwrap();
    let source = &catalog.sources[0];
    assert_eq!(source.exprs.len(), 4, "tenant, upper(api), duration_ms, is_retry");
    assert_eq!(source.exprs.iter().filter(|e| e.downcast_ref::<Column>().is_some()).count(), 3);
    assert_eq!(source.dimensions.len(), 2);
    let [a, b] = &source.rollups[..] else { panic!("two rollups") };
    assert_eq!(a.dimensions, [b.dimensions[1], b.dimensions[0]]);
    let of = |rollup: &RollupPlan, measure: usize| rollup.measures[measure].clone().unwrap();
    assert_eq!(of(a, 0).arguments, of(b, 0).arguments);
    assert_eq!(a.predicate, of(b, 1).filter);
    assert_eq!((a.schema.pane_us, b.schema.pane_us), (Some(1_000_000), Some(900_000_000)));
}

#[test]
fn definitions_that_count_equally_are_equal_whatever_their_layout() {
    let definition = |text: &str| parse(text).unwrap().sources[0].rollups[0].schema.definition.clone();
    let one = definition(
        "CREATE ROLLUP r AS SELECT api, count(*) AS n FROM call WHERE status_code >= 500 GROUP BY tumble(INTERVAL '60 seconds'), api;",
    );
    let same = definition(
        "create rollup R as -- errors\n  select api, COUNT(*) n\n  from call where (STATUS_CODE >= 500)\n  group by api, tumble(interval '1 minute')",
    );
    let other = definition(
        "CREATE ROLLUP r AS SELECT api, count(*) AS n FROM call WHERE status_code > 500 GROUP BY tumble(INTERVAL '60 seconds'), api;",
    );
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn the_stored_property_reads_back() {
    let catalog = parse(API_CALLS).unwrap();
    let schema = &catalog.sources[0].rollups[0].schema;
    let text = serde_yaml_ng::to_string(schema).unwrap();
    assert_eq!(serde_yaml_ng::from_str::<RollupSchema>(&text).unwrap(), *schema);
}

#[test]
fn the_example_of_the_format_page_is_true() {
    let page = include_str!("../../../FORMAT.md");
    let block = |language: &str| {
        page.split_once(&format!("```{language}\n")).and_then(|(_, rest)| rest.split("```").next()).unwrap()
    };
    let catalog = parse(block("sql")).unwrap();
    // JSON is YAML, but for the spelling of enums.
    let json = serde_yaml_ng::Deserializer::from_str(block("json"));
    let stored: RollupSchema = serde_yaml_ng::with::singleton_map_recursive::deserialize(json).unwrap();
    assert_eq!(stored, catalog.sources[0].rollups[0].schema);
}

#[test]
fn packs_are_planned_together() {
    let sources = [
        ("a.yaml".to_owned(), "sources: [{name: a, topic: t, type: a}]".to_owned()),
        ("b.yaml".to_owned(), "sources: [{name: b, topic: t, type: b}]".to_owned()),
    ];
    let rollup = |name: &str| {
        (
            format!("{name}.sql"),
            format!(
                "CREATE ROLLUP {name}_events AS SELECT count(*) AS n FROM {name} GROUP BY tumble(INTERVAL '1 second');"
            ),
        )
    };
    let catalog = Catalog::parse(&sources, &[rollup("b"), rollup("a")]).unwrap();
    let tables: Vec<_> = catalog.rollups().map(|(s, r)| format!("{} {}", s.def.name, r.schema.name)).collect();
    assert_eq!(tables, ["a a_events", "b b_events"]);
    assert_eq!(Catalog::parse(&sources, &[]).unwrap().unused.len(), 2);
}

#[test]
fn a_key_is_personal_in_every_source_of_every_pack() {
    let sources = [
        (
            "a.yaml".to_owned(),
            "personal: {drop: [Email], hash: [handle]}\nsources: [{name: a, topic: t, type: a, fields: {customer.name: {type: string, personal: hash}}}]".to_owned(),
        ),
        ("b.yaml".to_owned(), "sources: [{name: b, topic: t, type: b, fields: {Handle: string, NAME: string, other: string}}]".to_owned()),
    ];
    let catalog = Catalog::parse(&sources, &[]).unwrap();
    let keys: Vec<_> = catalog.personal.iter().map(|(key, action)| format!("{} {key}", action.as_str())).collect();
    assert_eq!(keys, ["drop email", "hash handle", "hash name"]);
    assert!(catalog.personal.any_hashed());
    let hashed: Vec<_> = catalog
        .unused
        .iter()
        .flat_map(|s| &s.fields)
        .filter(|(_, f)| f.is_hashed)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(hashed, ["customer.name", "Handle", "NAME"]);
}
