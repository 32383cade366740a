//! Which rows come out: those that came in and those that are missing, group by group in the order of time.

use super::ROWS_MAX;
use super::node::{Columns, Fill, Grid, ZoneOf};
use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_err, internal_err};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One row that comes out.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// The row that came in; `None`: it was missing.
    from: Option<u64>,
    /// A row of the same group; `None`: the group of no rows.
    group: Option<u64>,
    bucket: Option<i64>,
}

/// All rows that come out.
#[derive(Debug, Default)]
pub(super) struct Filled {
    rows: Vec<Row>,
    /// Rows of each group.
    groups: Vec<Range<usize>>,
}

impl Filled {
    /// Finds the missing rows of a batch.
    pub fn of(batch: &RecordBatch, grid: &Grid, columns: &Columns) -> Result<Self> {
        let Some(buckets) = batch.column(columns.bucket).as_primitive_opt::<TimestampMicrosecondType>() else {
            return internal_err!("a bucket is a timestamp");
        };
        let bucket_of = |row: usize| buckets.is_valid(row).then(|| buckets.value(row));
        let mut filled = Self::default();
        let mut grids = Grids { grid, known: HashMap::new() };
        let others: Vec<ArrayRef> =
            (0..columns.grouped).filter(|&at| at != columns.bucket).map(|at| Arc::clone(batch.column(at))).collect();
        if others.is_empty() {
            let mut order: Vec<usize> = (0..batch.num_rows()).collect();
            order.sort_by_key(|&row| bucket_of(row));
            filled.group(&order, bucket_of, grids.of(None)?)?;
            return Ok(filled);
        }
        let fields = others.iter().map(|c| SortField::new(c.data_type().clone())).collect();
        let keys = RowConverter::new(fields)?.convert_columns(&others)?;
        let mut order: Vec<usize> = (0..batch.num_rows()).collect();
        order.sort_by(|&a, &b| keys.row(a).cmp(&keys.row(b)).then_with(|| bucket_of(a).cmp(&bucket_of(b))));
        for group in order.chunk_by(|&a, &b| keys.row(a) == keys.row(b)) {
            let zone = match grid.zone {
                ZoneOf::Column(at) => text(batch.column(at), group[0]),
                _ => None,
            };
            let starts = grids.of(zone)?;
            filled.group(group, bucket_of, starts)?;
        }
        Ok(filled)
    }

    /// Adds a group: its rows in the order of time, those without a time first, and the buckets it should have.
    fn group(&mut self, rows: &[usize], bucket_of: impl Fn(usize) -> Option<i64>, starts: &[i64]) -> Result<()> {
        let begin = self.rows.len();
        let group = rows.first().map(|&row| row as u64);
        let mut missing = starts.iter().copied().peekable();
        for &row in rows {
            let bucket = bucket_of(row);
            while let Some(start) = missing.next_if(|start| bucket.is_some_and(|b| *start < b)) {
                self.rows.push(Row { from: None, group, bucket: Some(start) });
            }
            missing.next_if(|start| Some(*start) == bucket);
            self.rows.push(Row { from: Some(row as u64), group, bucket });
        }
        self.rows.extend(missing.map(|start| Row { from: None, group, bucket: Some(start) }));
        if self.rows.len() > ROWS_MAX {
            return exec_err!("{}", too_many());
        }
        self.groups.push(begin..self.rows.len());
        Ok(())
    }

    /// The columns that came in, with the missing rows: keys repeated, everything else null.
    pub fn columns(&self, batch: &RecordBatch, columns: &Columns) -> Result<Vec<ArrayRef>> {
        let from: UInt64Array = self.rows.iter().map(|r| r.from).collect();
        let group: UInt64Array = self.rows.iter().map(|r| r.group).collect();
        let buckets: TimestampMicrosecondArray = self.rows.iter().map(|r| r.bucket).collect();
        let column = |at: usize| -> Result<ArrayRef> {
            Ok(match at {
                at if at == columns.bucket => Arc::new(buckets.clone().with_timezone("UTC")),
                at if at < columns.grouped => take(batch.column(at), &group, None)?,
                at => take(batch.column(at), &from, None)?,
            })
        };
        (0..batch.num_columns()).map(column).collect()
    }

    /// A column over the rows that come out, with what fills its nulls.
    pub fn fill(&self, fill: Fill, column: &ArrayRef) -> Result<ArrayRef> {
        match fill {
            Fill::Locf => {
                let mut from: Vec<Option<u64>> = Vec::with_capacity(self.rows.len());
                for group in &self.groups {
                    let mut last = None;
                    for row in group.clone() {
                        if column.is_valid(row) {
                            last = Some(row as u64);
                        }
                        from.push(last);
                    }
                }
                Ok(take(column, &UInt64Array::from(from), None)?)
            }
            Fill::Interpolate => {
                let Some(values) = column.as_primitive_opt::<Float64Type>() else {
                    return internal_err!("interpolated values are floats");
                };
                let mut lines: Vec<Option<f64>> = values.iter().collect();
                self.groups.iter().for_each(|group| self.interpolate(group.clone(), &mut lines));
                Ok(Arc::new(Float64Array::from(lines)))
            }
        }
    }

    fn interpolate(&self, group: Range<usize>, values: &mut [Option<f64>]) {
        let known: Vec<(usize, i64, f64)> =
            group.filter_map(|row| Some((row, self.rows[row].bucket?, values[row]?))).collect();
        for pair in known.windows(2) {
            let ((before, from, low), (after, to, high)) = (pair[0], pair[1]);
            let between = self.rows[before..after].iter().zip(&mut values[before..after]).skip(1);
            for (row, value) in between {
                *value = row.bucket.filter(|_| to > from).map(|at| {
                    let share = (at - from) as f64 / (to - from) as f64;
                    low + (high - low) * share
                });
            }
        }
    }
}

/// The buckets of each zone, made once.
struct Grids<'a> {
    grid: &'a Grid,
    known: HashMap<Option<String>, Vec<i64>>,
}

impl Grids<'_> {
    fn of(&mut self, zone: Option<&str>) -> Result<&[i64]> {
        let zone = match &self.grid.zone {
            ZoneOf::Utc => None,
            ZoneOf::Named(name) => Some(name.clone()),
            ZoneOf::Column(_) => zone.map(str::to_owned),
        };
        if !self.known.contains_key(&zone) {
            // A zone that does not exist has no times, and so no buckets.
            let parsed = zone.as_deref().map(str::parse::<Tz>);
            let starts = match parsed {
                Some(Err(_)) => Some(Vec::new()),
                Some(Ok(tz)) => self.grid.width.starts(self.grid.from_us, self.grid.to_us, Some(&tz), ROWS_MAX),
                None => self.grid.width.starts(self.grid.from_us, self.grid.to_us, None, ROWS_MAX),
            };
            let Some(starts) = starts else { return exec_err!("{}", too_many()) };
            self.known.insert(zone.clone(), starts);
        }
        Ok(self.known.get(&zone).map_or(&[], Vec::as_slice))
    }
}

fn too_many() -> String {
    format!(
        "time_bucket_gapfill would make more than {ROWS_MAX} rows\n  hint: ask for less time, \
         wider buckets or fewer groups"
    )
}

fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    column
        .as_string_opt::<i32>()
        .map(|c| c.value(row))
        .or_else(|| column.as_string_view_opt().map(|c| c.value(row)))
        .or_else(|| column.as_string_opt::<i64>().map(|c| c.value(row)))
}
