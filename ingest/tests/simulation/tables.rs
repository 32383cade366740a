//! What the tables hold, read file by file as their log lists them, as text: a line per key and width.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::life_cycle::tiers_of;
use tidewatch_engine::rollup::{Measure, MeasureKind, OTHER_SERIES, RollupSchema};
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch};
use tidewatch_engine::time::{format_rfc3339, window_start};
use tidewatch_ingest::dead_letter::DEAD_LETTERS;
use tidewatch_storage::Table;

/// Bytes of an id in the table of ids.
const ID_BYTES: usize = 16;

/// A line per key.
pub type Rows = BTreeMap<String, String>;

/// A width of windows that a table holds.
#[derive(Debug, Clone)]
pub struct Width {
    pub name: String,
    pub pane_us: i64,
    /// Windows that start before are not kept in this width any more.
    pub from_us: i64,
}

/// The key of a window.
pub fn key(width: &str, start_us: i64, of: &str) -> String {
    format!("{width} {} {of}", format_rfc3339(start_us))
}

/// What is in the files of a table.
#[derive(Debug)]
pub struct Holding {
    name: String,
    schema: Option<RollupSchema>,
    pub widths: Vec<Width>,
    /// Measures by name, by key.
    cells: BTreeMap<String, BTreeMap<String, Cell>>,
    letters: Rows,
    /// By partition: how many, and which.
    ids: BTreeMap<String, (usize, BTreeSet<Vec<u8>>)>,
}

impl Holding {
    /// Reads every file that the loaded version lists.
    pub async fn of(table: &mut Table) -> Self {
        let (name, schema) = (table.name().to_owned(), table.rollup().cloned());
        let mut widths = Vec::new();
        for tier in schema.as_ref().map(tiers_of).unwrap_or_default() {
            let from_us = table.retained(&tier.name()).await.unwrap().unwrap_or(i64::MIN);
            widths.push(Width { name: tier.name(), pane_us: tier.pane_us, from_us });
        }
        let (cells, letters, ids) = (BTreeMap::new(), Rows::new(), BTreeMap::new());
        let mut holding = Self { name, schema, widths, cells, letters, ids };
        let columns = holding.schema.as_ref().map_or_else(|| table.schema(), RollupSchema::arrow_schema);
        for file in table.files(None).unwrap() {
            let own = holding.widths.iter().position(|w| Some(&w.name) == file.tier.as_ref()).unwrap_or(0);
            let rows = table.read(&file.path, columns.clone()).await;
            let rows = rows.unwrap_or_else(|e| panic!("{}: {} is listed: {e}", holding.name, file.path));
            rows.iter().for_each(|batch| holding.add(batch, own, file.rolled_up));
        }
        holding
    }

    /// Adds rows of the width `own`; those that are rolled up are in the wider ones already.
    pub fn add(&mut self, batch: &RecordBatch, own: usize, rolled_up: bool) {
        let Some(schema) = self.schema.clone() else { return self.add_plain(batch) };
        let windowed = usize::from(schema.pane_us.is_some());
        let keys = batch.column(windowed).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let mut at = vec![keys.value(row).to_owned()];
            if windowed > 0 {
                let start = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
                let holds =
                    self.widths.iter().enumerate().filter(|(index, width)| {
                        start >= width.from_us && (*index == own || (*index > own && !rolled_up))
                    });
                let of = |(_, w): (usize, &Width)| key(&w.name, window_start(start, w.pane_us), keys.value(row));
                at = holds.map(of).collect();
            }
            let mut column = windowed + schema.dimensions.len();
            for measure in &schema.measures {
                let state = &batch.columns()[column..column + measure.state_fields().len()];
                column += state.len();
                for key in at.iter().filter(|_| measure.name != OTHER_SERIES) {
                    let cell = Cell::read(measure, state, row);
                    let cells = self.cells.entry(key.clone()).or_default();
                    match cells.get_mut(&measure.name) {
                        Some(known) => known.merge(cell),
                        None => {
                            cells.insert(measure.name.clone(), cell);
                        }
                    }
                }
            }
        }
    }

    fn add_plain(&mut self, batch: &RecordBatch) {
        let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
        let numbers = batch.column_by_name("partition").unwrap().as_primitive::<Int32Type>();
        for row in 0..batch.num_rows() {
            let partition = format!("{}/{}", text("topic", row), numbers.value(row));
            if self.name == DEAD_LETTERS {
                let offset = batch.column_by_name("offset").unwrap().as_primitive::<Int64Type>().value(row);
                let letter = format!("{} {}", text("reason", row), text("disposition", row));
                let known = self.letters.entry(format!("{partition} {offset}")).or_default();
                known.push_str(&letter);
            } else {
                let ids = batch.column_by_name("ids").unwrap().as_binary::<i32>().value(row);
                let (count, known) = self.ids.entry(partition).or_default();
                *count += ids.len() / ID_BYTES;
                known.extend(ids.chunks(ID_BYTES).map(<[u8]>::to_vec));
            }
        }
    }

    pub fn rows(self) -> Rows {
        let measures = |cells: BTreeMap<String, Cell>| {
            let cells: Vec<String> = cells.iter().map(|(name, cell)| format!("{name}={}", cell.text())).collect();
            cells.join(" ")
        };
        let ids = |(count, ids): (usize, BTreeSet<Vec<u8>>)| format!("{count}, {} distinct", ids.len());
        let counted = self.cells.into_iter().map(|(key, cells)| (key, measures(cells)));
        counted.chain(self.letters).chain(self.ids.into_iter().map(|(partition, of)| (partition, ids(of)))).collect()
    }
}

/// The state of one measure.
#[derive(Debug)]
enum Cell {
    Sum(i128),
    Max(Option<i64>),
    Hdr(HdrSketch),
    Distinct(DistinctSketch),
    /// Sequence, time and value.
    Last(Option<(i64, i64, String)>),
}

impl Cell {
    fn read(measure: &Measure, state: &[ArrayRef], row: usize) -> Self {
        let valid = state[0].is_valid(row).then_some(&state[0]);
        let long = |column: &ArrayRef| match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row),
            _ => column.as_primitive::<TimestampMicrosecondType>().value(row),
        };
        match measure.kind {
            MeasureKind::Count => Self::Sum(i128::from(long(&state[0]))),
            MeasureKind::Sum { .. } => Self::Sum(valid.map_or(0, |c| c.as_primitive::<Decimal128Type>().value(row))),
            MeasureKind::Max { .. } => Self::Max(valid.map(long)),
            MeasureKind::Hdr { digits } => {
                let mut sketch = HdrSketch::new(digits);
                valid.into_iter().for_each(|c| sketch.merge_v2(c.as_binary::<i32>().value(row)).unwrap());
                Self::Hdr(sketch)
            }
            MeasureKind::Distinct => {
                let mut sketch = DistinctSketch::new();
                valid.into_iter().for_each(|c| sketch.merge_bytes(c.as_binary::<i32>().value(row)).unwrap());
                Self::Distinct(sketch)
            }
            MeasureKind::Last { .. } => {
                let value = |c: &ArrayRef| c.as_string::<i32>().value(row).to_owned();
                Self::Last(valid.map(|c| (long(&state[2]), long(&state[1]), value(c))))
            }
            other => panic!("nothing here keeps {other:?}"),
        }
    }

    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Sum(all), Self::Sum(one)) => *all += one,
            (Self::Max(all), Self::Max(one)) => *all = (*all).max(one),
            (Self::Hdr(all), Self::Hdr(one)) => all.merge(&one).unwrap(),
            (Self::Distinct(all), Self::Distinct(one)) => all.merge(&one),
            (Self::Last(all), Self::Last(one)) => *all = all.take().max(one),
            (all, one) => panic!("{one:?} cannot be merged into {all:?}"),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Sum(sum) => sum.to_string(),
            Self::Max(most) => most.unwrap_or_default().to_string(),
            Self::Hdr(sketch) => {
                let bucket = |(lowest, highest, count): (u64, u64, u64)| {
                    assert_eq!(lowest, highest, "values of two digits have buckets of their own");
                    (lowest, count)
                };
                format!("{:?}", sketch.bounded_buckets().map(bucket).collect::<BTreeMap<u64, u64>>())
            }
            Self::Distinct(sketch) => sketch.estimate().to_string(),
            Self::Last(newest) => format!("{newest:?}"),
        }
    }
}

/// Panics with what differs.
pub fn assert_same(what: &str, seen: &Rows, expected: &Rows) {
    let keys: BTreeSet<&String> = seen.keys().chain(expected.keys()).collect();
    let differs = keys.into_iter().filter(|&key| seen.get(key) != expected.get(key));
    let line = |key: &String| format!("  {key}\n    holds {:?}\n    not   {:?}", seen.get(key), expected.get(key));
    let lines: Vec<String> = differs.take(10).map(line).collect();
    assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
}
