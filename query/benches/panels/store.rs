//! A store as a month of counting and maintenance leaves it, written directly.

use arrow::array::{ArrayRef, BinaryArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind, RollupSchema, Tier, ValueType};
use tidewatch_engine::sketch::HdrSketch;
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, width_name};
use tidewatch_query::DeclaredTable;
use tidewatch_storage::{Part, Replacement, Store, Table};

/// The end of everything, exclusive: 2026-03-15T00:00:00Z.
pub const END_US: i64 = 1_773_532_800_000_000;
/// Different sketches; rows share them.
const SKETCHES: usize = 256;

/// How much there is.
pub struct Shape {
    /// Days of minutes, hours and days.
    pub days: usize,
    /// Hours of panes of 10 s.
    pub pane_hours: usize,
    pub shops: usize,
    pub endpoints: usize,
}

/// What was written.
pub struct Filled {
    pub store: Store,
    pub rows: u64,
    pub bytes: u64,
    /// Tier and path below the table.
    pub files: Vec<(String, String)>,
}

fn rollup() -> RollupSchema {
    let measure = |name: &str, kind| Measure { name: name.to_owned(), kind };
    let dimension = |name: &str| Dimension { name: name.to_owned(), value: DimensionType::Utf8 };
    let widths = [10 * SECOND_US, MINUTE_US, HOUR_US, DAY_US];
    RollupSchema {
        name: "calls".to_owned(),
        sources: vec!["call".to_owned()],
        pane_us: Some(widths[0]),
        dimensions: vec![dimension("shop"), dimension("endpoint")],
        measures: vec![
            measure("requests", MeasureKind::Count),
            measure("errors", MeasureKind::Count),
            measure("cost_micro", MeasureKind::Sum { scale: 0 }),
            measure("slowest_ms", MeasureKind::Max { value: ValueType::Int64 }),
            measure("duration_ms", MeasureKind::Hdr { digits: 2 }),
        ],
        definition: "from call".to_owned(),
        tiers: widths.map(|pane_us| Tier { pane_us, retain_us: None }).into(),
        retain_us: None,
    }
}

/// The table as a pack declares it.
pub fn declared() -> DeclaredTable {
    DeclaredTable { schema: rollup().arrow_schema(), rollup: Some(rollup()) }
}

/// Numbers that look like chance, the same every time.
fn scrambled(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn chance(at: i64, shop: usize, endpoint: usize) -> u64 {
    scrambled(at as u64 ^ ((shop * 1000 + endpoint) as u64) << 20)
}

/// Requests, errors and cost of one series from the epoch to a moment.
///
/// Windows are differences of these totals, so that wider windows are the sums of narrower ones without anyone
/// adding them up. A pane of 10 s has 5 to 15 requests and 0 to 2 errors.
fn total(at: i64, shop: usize, endpoint: usize) -> (i64, i64, i64) {
    let (seconds, chance) = (at / SECOND_US, chance(at, shop, endpoint));
    let below = |shift: u32, bound: u64| ((chance >> shift) % bound) as i64;
    (seconds + below(0, 6), seconds / 10 + below(16, 2), seconds * 5_000 + below(32, 20_000))
}

/// Requests, errors and cost of one window of one series.
pub fn counted(width: i64, start: i64, shop: usize, endpoint: usize) -> (i64, i64, i64) {
    let (from, to) = (total(start, shop, endpoint), total(start + width, shop, endpoint));
    (to.0 - from.0, to.1 - from.1, to.2 - from.2)
}

fn sketches(events: u64) -> Vec<Vec<u8>> {
    let one = |seed: u64| {
        let mut sketch = HdrSketch::new(2);
        (0..events).for_each(|n| sketch.record_n(20 + scrambled(seed * 1000 + n) % 400, 1));
        sketch.to_v2()
    };
    (0..SKETCHES as u64).map(one).collect()
}

/// Writes the tiers: the widest is not rolled up, and of each narrower one everything is. Maxima and sketches of
/// wider windows are made up, as nobody compares them.
pub async fn fill(folder: &Path, shape: &Shape) -> Filled {
    let store = Store::open(folder.to_str().unwrap(), HashMap::new()).unwrap();
    let mut table = Table::open_rollup(&store, &rollup()).await.unwrap();
    let begin = END_US - shape.days as i64 * DAY_US;
    let pane_begin = END_US - shape.pane_hours as i64 * HOUR_US;
    for (width, from, events) in
        [(10 * SECOND_US, pane_begin, 5), (MINUTE_US, begin, 20), (HOUR_US, begin, 60), (DAY_US, begin, 100)]
    {
        let sketches = sketches(events);
        // A file per day, per month of hours, or one of days: about as maintenance makes them.
        let span = if width < HOUR_US { DAY_US } else { 30 * DAY_US };
        let mut at = from;
        while at < END_US {
            let to = (at + span).min(END_US);
            let batch = rows(shape, width, at, to, &sketches);
            let part = Part { tier: Some(width_name(width)), rolled_up: width < DAY_US, batch };
            table.replace(&Replacement { add: vec![part], ..Replacement::default() }).await.unwrap();
            at = to;
        }
    }
    let files = table.files(None).unwrap();
    Filled {
        store,
        rows: files.iter().map(|f| f.rows).sum(),
        bytes: files.iter().map(|f| f.bytes).sum(),
        files: files.into_iter().map(|f| (f.tier.unwrap_or_default(), f.path)).collect(),
    }
}

fn rows(shape: &Shape, width: i64, from: i64, to: i64, sketches: &[Vec<u8>]) -> RecordBatch {
    let windows = ((to - from) / width) as usize;
    let count = windows * shape.shops * shape.endpoints;
    let (mut starts, mut shops, mut endpoints) = (Vec::new(), Vec::new(), Vec::new());
    let (mut requests, mut errors, mut cost, mut slowest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut states: Vec<&[u8]> = Vec::with_capacity(count);
    for window in 0..windows {
        let start = from + window as i64 * width;
        for shop in 0..shape.shops {
            for endpoint in 0..shape.endpoints {
                let (chance, counted) = (chance(start, shop, endpoint), counted(width, start, shop, endpoint));
                starts.push(start);
                shops.push(format!("shop-{shop}"));
                endpoints.push(format!("endpoint-{endpoint}"));
                requests.push(counted.0);
                errors.push(counted.1);
                cost.push(i128::from(counted.2));
                slowest.push((chance >> 20) as i64 % 2_000);
                states.push(&sketches[(chance >> 8) as usize % sketches.len()]);
            }
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(starts).with_timezone("UTC")),
        Arc::new(StringArray::from(shops)),
        Arc::new(StringArray::from(endpoints)),
        Arc::new(Int64Array::from(requests)),
        Arc::new(Int64Array::from(errors)),
        Arc::new(Decimal128Array::from(cost).with_precision_and_scale(38, 0).unwrap()),
        Arc::new(Int64Array::from(slowest)),
        Arc::new(BinaryArray::from(states)),
    ];
    RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap()
}
