//! Answers of chosen tiers equal those of the finest.

use super::*;
use crate::functions;
use crate::live::NoLiveStates;
use crate::promql::PromEngine;
use crate::snapshot::Snapshots;
use crate::table::merged_table;
use crate::testing::{
    FakePiece, FakeWorkers, Partial, batch, commit, declared, engine, partition, prom_limits, rollup, store,
};
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::prelude::SessionConfig;
use std::collections::BTreeMap;
use tidewatch_engine::commit::OffsetRange;
use tidewatch_engine::life_cycle::{Life, Task, outputs, tiers_of};
use tidewatch_engine::rollup::{RollupSchema, Tier, WINDOW_START};
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use tidewatch_promql::parse::ast::ValueType;
use tidewatch_promql::parse::functions::FUNCTIONS;
use tidewatch_promql::{Grammar, Options, Query, Value};
use tidewatch_storage::{FilesExec, Part, Replacement, Rows, Store, Table};

fn tier(pane_us: i64) -> Tier {
    Tier { pane_us, retain_us: None }
}

fn tiers() -> Vec<Tier> {
    [10 * SECOND_US, MINUTE_US, HOUR_US, DAY_US].map(tier).into()
}

fn tiered() -> RollupSchema {
    RollupSchema { tiers: tiers(), ..rollup() }
}

fn segment(tier: usize, from: i64, to: i64) -> Segment {
    let some = |t: i64| (t != i64::MIN && t != i64::MAX).then_some(t);
    Segment { tier, from: some(from), to: some(to) }
}

#[test]
fn whole_windows_are_answered_by_coarse_tiers_and_ends_by_finer_ones() {
    let (none, all) = (vec![None; 4], (i64::MIN, i64::MAX));
    assert_eq!(segments(&tiers(), &none, 0, None, None), [segment(0, all.0, all.1)]);
    assert_eq!(segments(&tiers(), &none, 3, None, None), [segment(3, all.0, all.1)]);
    let (from, to) = (DAY_US - 2 * HOUR_US - 30 * SECOND_US, 2 * DAY_US + MINUTE_US);
    let expected = [
        segment(0, from, DAY_US - 2 * HOUR_US),
        segment(2, DAY_US - 2 * HOUR_US, DAY_US),
        segment(3, DAY_US, 2 * DAY_US),
        segment(1, 2 * DAY_US, to),
    ];
    assert_eq!(segments(&tiers(), &none, 3, Some(from), Some(to)), expected);
    assert_eq!(segments(&tiers(), &none, 3, Some(5), Some(5)), []);
}

#[test]
fn times_that_fine_tiers_are_not_kept_for_are_answered_by_coarser_ones() {
    let kept = vec![Some(20 * DAY_US), Some(10 * DAY_US), None, None];
    let fine =
        [segment(0, 20 * DAY_US, i64::MAX), segment(1, 10 * DAY_US, 20 * DAY_US), segment(2, i64::MIN, 10 * DAY_US)];
    assert_eq!(segments(&tiers(), &kept, 0, None, None), fine);
    let from = 10 * DAY_US + 30 * SECOND_US;
    let expected = [
        segment(2, 20 * DAY_US, i64::MAX),
        segment(1, 10 * DAY_US + MINUTE_US, 10 * DAY_US + HOUR_US),
        segment(2, 10 * DAY_US + HOUR_US, 20 * DAY_US),
    ];
    assert_eq!(segments(&tiers(), &kept, 2, Some(from), None), expected);
    // A boundary of the last tier hides what is older; one that lags behind hides nothing twice.
    let kept = vec![Some(5 * DAY_US), Some(9 * DAY_US), None, Some(DAY_US)];
    let fine = [segment(0, 5 * DAY_US, i64::MAX), segment(2, i64::MIN, 5 * DAY_US)];
    assert_eq!(segments(&tiers(), &kept, 0, None, None), fine);
    assert_eq!(segments(&tiers()[..1], &[Some(7)], 0, None, None), [segment(0, 10 * SECOND_US, i64::MAX)]);
}

/// A session over the tables of a store.
async fn session(store: &Store, rule: ChooseTiers, live: bool) -> SessionContext {
    let snapshots = match live {
        false => Snapshots::new(store.clone(), Arc::new(NoLiveStates)),
        true => {
            let workers = FakeWorkers::default();
            *workers.pieces.lock().unwrap() =
                vec![FakePiece::of(1_000_000, 1_000_010, &[Partial(2 * 86_400 + 30, Some("orders"), &[77], &["z"])])];
            Snapshots::new(store.clone(), Arc::new(workers))
        }
    };
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().execution.parquet.schema_force_view_types = false;
    let context = SessionContext::new_with_config(config);
    functions::register(&context).unwrap();
    install_first(&context, Arc::new(rule));
    let snapshot = snapshots.take(&["calls".to_owned()]).await.unwrap();
    context.register_table("calls", merged_table("calls", &snapshot.tables["calls"]).unwrap()).unwrap();
    context
}

async fn answer(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}")).collect().await;
    let text = pretty_format_batches(&batches.unwrap_or_else(|e| panic!("{sql}: {e}"))).unwrap().to_string();
    // Rows in no particular order.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Rolls every fresh file of a tier, as maintenance does.
async fn roll(store: &Store, tier: usize, boundaries: &[Option<i64>]) {
    let (mut table, schema) = (store.table("calls").await.unwrap().unwrap(), tiered());
    let name = tiers()[tier].name();
    let files = table.files(Some(WINDOW_START)).unwrap();
    let fresh: Vec<_> = files.into_iter().filter(|f| f.tier.as_ref() == Some(&name) && !f.rolled_up).collect();
    let mut batches = Vec::new();
    for file in &fresh {
        batches.extend(table.read(&file.path, schema.arrow_schema()).await.unwrap());
    }
    let life = Life::Windows { tiers: tiers_of(&schema), boundaries: boundaries.to_vec() };
    let task = Task::Roll { tier, files: Vec::new() };
    let parts = outputs(&life, &task, Some(&schema), None, &batches).unwrap();
    let part = |o: tidewatch_engine::life_cycle::Output| Part {
        tier: o.tier.map(|t| tiers()[t].name()),
        rolled_up: o.rolled_up,
        batch: o.batch,
    };
    let remove = fresh.into_iter().map(|f| f.path).collect();
    let replacement = Replacement { remove, add: parts.into_iter().map(part).collect(), ..Replacement::default() };
    table.replace(&replacement).await.unwrap();
}

/// Cuts a tier: its rolled files that are older go.
async fn expire(store: &Store, tier: usize, boundary: i64) {
    let mut table = store.table("calls").await.unwrap().unwrap();
    let name = tiers()[tier].name();
    let files = table.files(Some(WINDOW_START)).unwrap();
    let old = files.iter().filter(|f| f.tier.as_ref() == Some(&name) && f.rolled_up && f.times.unwrap().1 < boundary);
    let remove = old.map(|f| f.path.clone()).collect();
    let retained = Some((name, boundary));
    table.replace(&Replacement { remove, retained, changes_data: true, ..Replacement::default() }).await.unwrap();
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const APIS: [Option<&str>; 3] = [Some("orders"), Some("carts"), None];
const USERS: [&[&str]; 4] = [&["a"], &["b", "c"], &[], &["a", "d"]];
const DURATIONS: [&[u64]; 4] = [&[5, 7, 900], &[11], &[], &[3, 3_000]];

/// Four days of commits, some rolled up, some not, some tiers cut.
async fn random_store(chance: &mut Chance) -> (tempfile::TempDir, Store) {
    let (folder, store) = store();
    Table::open_rollup(&store, &tiered()).await.unwrap();
    let mut boundaries = vec![None; 4];
    for round in 0..8 {
        let partials: Vec<Partial> = (0..40)
            .map(|_| {
                let second = chance.below(4 * 8640) as i64 * 10;
                Partial(second, APIS[chance.below(3)], DURATIONS[chance.below(4)], USERS[chance.below(4)])
            })
            .collect();
        let mut table = store.table("calls").await.unwrap().unwrap();
        let ranges = [(partition(), OffsetRange { from: round * 10 - 1, to: round * 10 + 9 })].into();
        let rows = Rows { batch: Some(batch(&partials)), ranges, watermarks: BTreeMap::new() };
        table.append(&rows).await.unwrap();
        match chance.below(6) {
            0 | 1 => roll(&store, 0, &boundaries).await,
            2 => {
                roll(&store, 0, &boundaries).await;
                roll(&store, 1, &boundaries).await;
            }
            3 => {
                for tier in 0..3 {
                    roll(&store, tier, &boundaries).await;
                }
            }
            4 if boundaries[0].is_none() => {
                boundaries[0] = Some(DAY_US);
                expire(&store, 0, DAY_US).await;
            }
            _ => {}
        }
    }
    (folder, store)
}

/// Queries that some coarse tier may answer, and some that none may.
fn random_query(chance: &mut Chance) -> String {
    let measures = [
        "sum(requests)",
        "sum(cost)",
        "max(slowest)",
        "sum(mean_sum) / nullif(sum(mean_count), 0)",
        "quantile(duration_ms, 0.9)",
        "approx_distinct(users)",
        "count(DISTINCT api)",
        "sum(requests) FILTER (WHERE api = 'orders')",
        "count(*)",
        "max(requests)",
        "max(window_start)",
        "sum(CASE WHEN requests > 1 THEN 1 ELSE 0 END)",
    ];
    let groups = [
        "1",
        "api",
        "date_trunc('hour', window_start)",
        "date_trunc('day', window_start)",
        "date_trunc('week', window_start)",
        "date_bin(INTERVAL '5 minutes', window_start)",
        "date_bin(INTERVAL '2 hours', window_start, TIMESTAMP '1970-01-01T01:00:00Z')",
        "date_bin(INTERVAL '90 seconds', window_start, TIMESTAMP '1970-01-01T00:00:30Z')",
        "date_trunc('day', window_start AT TIME ZONE 'Asia/Kathmandu')",
        "date_trunc('day', window_start AT TIME ZONE 'America/New_York')",
        "CAST(window_start AS DATE)",
        "time_bucket(INTERVAL '1 day', window_start, 'Europe/Berlin')",
        "time_bucket(INTERVAL '36 hours', window_start)",
        "time_bucket(INTERVAL '1 month', window_start, CASE WHEN api = 'carts' THEN 'Asia/Kolkata' ELSE 'UTC' END)",
        "date_trunc('day', local_time(window_start, 'Asia/Kolkata'))",
        "window_start",
        "extract(hour FROM window_start)",
    ];
    let mut instant = || {
        let second = chance.below(4 * 86_400);
        let second = [second, second / 10 * 10, second / 3600 * 3600][chance.below(3)];
        let (day, rest) = (second / 86_400 + 1, second % 86_400);
        format!("TIMESTAMP '1970-01-{day:02}T{:02}:{:02}:{:02}Z'", rest / 3600, rest / 60 % 60, rest % 60)
    };
    let ranges = [
        "true".to_owned(),
        format!("window_start >= {}", instant()),
        format!("window_start > {} AND window_start <= {}", instant(), instant()),
        format!("window_start BETWEEN {} AND {}", instant(), instant()),
        format!("{} > window_start AND api = 'orders'", instant()),
        format!("window_start < {} OR api IS NULL", instant()),
        format!("date_trunc('day', window_start) = '1970-01-02T00:00:00Z' AND window_start < {}", instant()),
        format!("requests > 0 AND window_start < {}", instant()),
        "window_start > now() - INTERVAL '100 years'".to_owned(),
    ];
    let (measure, group, range) =
        (chance.of(&measures), chance.of(&groups), chance.of(&ranges.each_ref().map(String::as_str)));
    match chance.below(4) {
        0 => format!("SELECT {measure} AS m FROM calls WHERE {range}"),
        1 => format!("SELECT {group} AS g, {measure} AS m FROM (SELECT * FROM calls WHERE {range}) AS t GROUP BY 1"),
        2 => format!(
            "WITH days AS (SELECT {group} AS g, {measure} AS m FROM calls AS c WHERE {range} GROUP BY 1)
             SELECT d.g, d.m, o.n FROM days d CROSS JOIN (SELECT count(*) AS n FROM calls) AS o"
        ),
        _ => format!("SELECT {group} AS g, api AS a, {measure} AS m FROM calls WHERE {range} GROUP BY 1, 2"),
    }
}

#[tokio::test]
async fn answers_equal_those_of_the_finest_tier() {
    let seed = std::env::var("TIDEWATCH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(88_172_645_463_325_252);
    let mut chance = Chance(seed);
    let queries = std::env::var("TIDEWATCH_QUERIES").ok().and_then(|q| q.parse().ok()).unwrap_or(10);
    let mut coarse_plans = 0;
    for _ in 0..3 {
        let (_folder, store) = random_store(&mut chance).await;
        let live = chance.below(2) == 0;
        let chosen = session(&store, ChooseTiers { is_fine: false }, live).await;
        let finest = session(&store, ChooseTiers { is_fine: true }, live).await;
        for _ in 0..queries {
            let sql = random_query(&mut chance);
            assert_eq!(answer(&chosen, &sql).await, answer(&finest, &sql).await, "seed {seed}: {sql}");
            coarse_plans += usize::from(width_of(&chosen, &sql).await > 1);
        }
    }
    assert!(coarse_plans > queries / 2, "coarse tiers answered {coarse_plans} of {} queries", 3 * queries);
}

/// Label set, time and number of every sample; of a histogram its count and sum.
fn samples(value: Value) -> Vec<(String, i64, f64)> {
    let Value::Matrix(series) = value else { panic!("{value:?}") };
    let mut all = Vec::new();
    for series in series {
        let labels = series.labels.to_string();
        all.extend(series.floats.into_iter().map(|(time_ms, value)| (labels.clone(), time_ms, value)));
        for (time_ms, histogram) in series.histograms {
            all.push((format!("{labels} count"), time_ms, histogram.count));
            all.push((format!("{labels} sum"), time_ms, histogram.sum));
        }
    }
    all.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    all
}

/// Two hours, in windows of 10 s and rolled up into minutes and hours.
#[tokio::test]
async fn every_function_of_promql_over_a_range_says_of_rolled_up_windows_what_it_says_of_fine_ones() {
    let mut chance = Chance(7);
    let partials: Vec<Partial> = (0..300)
        .map(|_| {
            let second = chance.below(720) as i64 * 10;
            Partial(second, APIS[chance.below(3)], DURATIONS[chance.below(4)], USERS[chance.below(4)])
        })
        .collect();
    let ((_fine, fine), (_rolled, rolled)) = (store(), store());
    commit(&fine, -1, 9, &partials).await;
    let mut table = Table::open_rollup(&rolled, &tiered()).await.unwrap();
    let ranges = [(partition(), OffsetRange { from: -1, to: 9 })].into();
    table.append(&Rows { batch: Some(batch(&partials)), ranges, watermarks: BTreeMap::new() }).await.unwrap();
    for tier in 0..3 {
        roll(&rolled, tier, &[None; 4]).await;
    }
    let engines = [fine, rolled].map(|store| {
        let engine = engine(&store, Arc::new(FakeWorkers::default()));
        engine.snapshots().define(declared());
        PromEngine::new(Arc::new(engine), prom_limits())
    });
    let ask = async |engine: &PromEngine, text: &str, (start_s, end_s, step_s): (i64, i64, i64)| {
        let query = Query::parse(text, Grammar::default()).unwrap();
        let plan = query.range(start_s * 1000, end_s * 1000, step_s * 1000, &Options::default());
        samples(engine.answer(plan.unwrap(), None).await.unwrap_or_else(|e| panic!("{text}: {e}")).value)
    };
    let over_ranges = FUNCTIONS.iter().filter(|f| f.args.contains(&ValueType::Matrix) && !f.experimental);
    let own = ["spike_", "silence_"];
    let (mut compared, mut numbers) = (0, 0);
    for function in
        over_ranges.filter(|f| f.returns == ValueType::Vector && !own.iter().any(|own| f.name.starts_with(own)))
    {
        for metric in ["calls_requests_total", "calls_cost_total", "calls_duration_seconds", "calls_slowest"] {
            for (range, span) in [
                ("1m", (600, 1200, 60)),
                ("10m", (3600, 7200, 600)),
                ("1h", (3600, 7200, 3600)),
                ("90s", (600, 1200, 45)),
            ] {
                let argument = |kind: &ValueType| match kind {
                    ValueType::Matrix => format!("{metric}[{range}]"),
                    _ => "0.5".to_owned(),
                };
                let arguments: Vec<String> = function.args.iter().map(argument).collect();
                let text = format!("{}({})", function.name, arguments.join(", "));
                let (a, b) = (ask(&engines[0], &text, span).await, ask(&engines[1], &text, span).await);
                let near = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-9 * x.abs();
                let same =
                    a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| (&x.0, x.1) == (&y.0, y.1) && near(x.2, y.2));
                assert!(same, "{text} at {span:?}:\n{a:?}\n{b:?}");
                compared += 1;
                numbers += a.len();
            }
        }
    }
    assert!(compared > 200 && numbers > 5 * compared, "{numbers} numbers of {compared} queries");
}

/// What stands in the place of tables.
async fn tier_rows(context: &SessionContext, sql: &str) -> Vec<TierRows> {
    let plan = context.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.extend(source_as_provider(&scan.source).unwrap().downcast_ref::<TierRows>().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    found
}

/// The coarsest tier that answers a query.
async fn width_of(context: &SessionContext, sql: &str) -> usize {
    let found = tier_rows(context, sql).await;
    found.iter().flat_map(TierRows::segments).map(|segment| segment.tier).max().unwrap_or(0)
}

#[tokio::test]
async fn the_coarsest_tier_that_answers_exactly_is_chosen() {
    let (_folder, store) = store();
    Table::open_rollup(&store, &tiered()).await.unwrap();
    let context = session(&store, ChooseTiers { is_fine: false }, false).await;
    context.sql("CREATE VIEW hourly AS SELECT date_trunc('hour', window_start) AS hour, sum(requests) AS n, quantile(duration_ms, 0.5) AS p FROM calls GROUP BY 1").await.unwrap();
    for (sql, width) in [
        ("SELECT sum(requests) FROM calls", 3),
        ("SELECT api, quantile(duration_ms, 0.9) FROM calls GROUP BY 1", 3),
        ("SELECT hour, n FROM hourly", 2),
        ("SELECT sum(n) FROM hourly", 2),
        ("SELECT date_bin(INTERVAL '15 minutes', window_start) AS w, sum(cost) FROM calls GROUP BY 1", 1),
        ("SELECT date_trunc('day', window_start AT TIME ZONE '+02:00') AS d, sum(requests) FROM calls GROUP BY 1", 2),
        ("SELECT date_trunc('day', window_start AT TIME ZONE '+05:30') AS d, sum(requests) FROM calls GROUP BY 1", 1),
        (
            "SELECT time_bucket(INTERVAL '1 day', window_start, 'Europe/Berlin') AS d, sum(requests) FROM calls GROUP BY 1",
            2,
        ),
        ("SELECT time_bucket(INTERVAL '2 days', window_start) AS d, sum(requests) FROM calls GROUP BY 1", 3),
        ("SELECT time_bucket(INTERVAL '1 day', window_start, api) AS d, sum(requests) FROM calls GROUP BY 1", 1),
        ("SELECT CAST(local_time(window_start, 'Europe/Berlin') AS DATE) AS d, sum(requests) FROM calls GROUP BY 1", 2),
        ("SELECT count(*) FROM calls", 0),
        ("SELECT window_start, sum(requests) FROM calls GROUP BY 1", 0),
        ("SELECT max(requests) FROM calls", 0),
        ("SELECT sum(requests) FROM calls WHERE requests > 5", 0),
        ("SELECT * FROM calls", 0),
    ] {
        assert_eq!(width_of(&context, sql).await, width, "{sql}");
    }
}

#[tokio::test]
async fn what_merges_states_gets_them_as_they_are_stored() {
    let (_folder, store) = store();
    Table::open_rollup(&store, &tiered()).await.unwrap();
    let context = session(&store, ChooseTiers { is_fine: false }, false).await;
    for (sql, shape) in [
        ("SELECT sum(requests), quantile(duration_ms, 0.9), approx_distinct(users) FROM calls", Shape::Partials),
        ("SELECT window_start, completeness, sum(mean_sum) FROM calls GROUP BY 1, 2", Shape::Partials),
        (
            "SELECT extract(hour FROM window_start) AS h, max(slowest) FROM calls WHERE window_end > now() GROUP BY 1",
            Shape::Partials,
        ),
        ("SELECT max(requests) FROM calls", Shape::Windows),
        ("SELECT count(*) FROM calls", Shape::Windows),
        ("SELECT sum(requests) FROM calls WHERE requests > 5", Shape::Windows),
        ("SELECT sum(requests) FROM calls WHERE mean > 5", Shape::Windows),
        ("SELECT requests, count(*) FROM calls GROUP BY 1", Shape::Windows),
        ("SELECT * FROM calls", Shape::Windows),
    ] {
        assert_eq!(tier_rows(&context, sql).await[0].shape(), shape, "{sql}");
    }
}

/// Files that a plan reads.
async fn files_read(context: &SessionContext, sql: &str) -> usize {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let mut count = 0;
    plan.apply(|node| {
        count += node.downcast_ref::<FilesExec>().map_or(0, |files| files.paths().len());
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    count
}

#[tokio::test]
async fn only_files_of_the_tier_and_the_time_are_read() {
    let (_folder, store) = store();
    Table::open_rollup(&store, &tiered()).await.unwrap();
    for day in 0..10 {
        let mut table = store.table("calls").await.unwrap().unwrap();
        let ranges = [(partition(), OffsetRange { from: day - 1, to: day })].into();
        let rows =
            batch(&[Partial(day * 86_400, Some("orders"), &[5], &["a"]), Partial(day * 86_400 + 70, None, &[5], &[])]);
        table.append(&Rows { batch: Some(rows), ranges, ..Rows::default() }).await.unwrap();
        for tier in 0..2 {
            roll(&store, tier, &[None; 4]).await;
        }
    }
    let context = session(&store, ChooseTiers { is_fine: false }, false).await;
    let day = "window_start >= '1970-01-04T00:00:00Z' AND window_start < '1970-01-05T00:00:00Z'";
    for (group, files) in
        [("window_start", 1), ("date_trunc('minute', window_start)", 1), ("date_trunc('hour', window_start)", 1)]
    {
        let sql = format!("SELECT {group}, sum(requests) FROM calls WHERE {day} GROUP BY 1");
        assert_eq!(files_read(&context, &sql).await, files, "{sql}");
    }
    assert_eq!(files_read(&context, "SELECT sum(requests) FROM calls").await, 10, "fresh hours");
    // What only divides the files is no column.
    assert!(context.sql("SELECT tier FROM calls").await.is_err());
    assert!(context.sql("SELECT rolled_up FROM calls").await.is_err());
}
