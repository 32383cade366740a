//! Vectors over all steps: rows of cells.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::series::{STALE, is_stale};

/// The bits of an absent cell: those of the staleness marker, a signalling NaN, which no calculation gives.
pub const ABSENT: f64 = STALE;

/// Whether a cell's float says that there is no float.
#[inline]
pub fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// One series' values, one per step.
#[derive(Debug, Clone)]
pub struct Row {
    pub labels: Labels,
    /// Whether the metric's name goes away in the answer.
    pub drop_name: bool,
    pub cells: Cells,
}

/// One cell per step.
#[derive(Debug, Clone)]
pub struct Cells {
    /// [`ABSENT`] where there is no float.
    pub floats: Vec<f64>,
    /// As long as `floats` when some step has a histogram; a step has one or the other.
    pub histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

/// What stands at one step.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Absent,
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// What a kernel gives for one step.
#[derive(Debug, Clone)]
pub enum Output {
    Absent,
    Float(f64),
    Histogram(Histogram),
    Shared(Arc<Histogram>),
}

impl Cells {
    pub fn absent(len: usize) -> Cells {
        Cells { floats: vec![ABSENT; len], histograms: None }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.floats.len()
    }

    #[inline]
    pub fn at(&self, step: usize) -> Cell<'_> {
        let value = self.floats[step];
        if !is_absent(value) {
            return Cell::Float(value);
        }
        match self.histograms.as_ref().and_then(|all| all[step].as_ref()) {
            Some(histogram) => Cell::Histogram(histogram),
            None => Cell::Absent,
        }
    }

    #[inline]
    pub fn is_present(&self, step: usize) -> bool {
        !matches!(self.at(step), Cell::Absent)
    }

    pub fn is_all_absent(&self) -> bool {
        self.floats.iter().all(|value| is_absent(*value))
            && self.histograms.as_ref().is_none_or(|all| all.iter().all(Option::is_none))
    }

    pub fn set(&mut self, step: usize, output: Output) {
        match output {
            Output::Absent => {}
            Output::Float(value) => self.floats[step] = value,
            Output::Histogram(histogram) => self.set_histogram(step, Arc::new(histogram)),
            Output::Shared(histogram) => self.set_histogram(step, histogram),
        }
    }

    pub fn set_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        let len = self.floats.len();
        self.histograms.get_or_insert_with(|| vec![None; len])[step] = Some(histogram);
    }

    pub fn clear(&mut self, step: usize) {
        self.floats[step] = ABSENT;
        if let Some(all) = &mut self.histograms {
            all[step] = None;
        }
    }

    /// Copies the cell of another row at the same step.
    pub fn copy(&mut self, step: usize, from: &Cells) {
        match from.at(step) {
            Cell::Absent => {}
            Cell::Float(value) => self.floats[step] = value,
            Cell::Histogram(histogram) => self.set_histogram(step, histogram.clone()),
        }
    }

    /// Applies `f` to each float; histograms go away.
    pub fn map_floats(&mut self, f: impl Fn(f64) -> f64) {
        self.histograms = None;
        for value in &mut self.floats {
            if !is_absent(*value) {
                *value = f(*value);
            }
        }
    }
}

impl Row {
    pub fn new(labels: Labels, cells: Cells) -> Row {
        Row { labels, drop_name: false, cells }
    }

    /// The row of one step, for `len` steps.
    pub fn spread(self, len: usize) -> Row {
        let value = self.cells.floats.first().copied().unwrap_or(ABSENT);
        let histogram = self.cells.histograms.and_then(|mut all| all.first_mut().and_then(Option::take));
        let histograms = histogram.map(|histogram| vec![Some(histogram); len]);
        Row { labels: self.labels, drop_name: self.drop_name, cells: Cells { floats: vec![value; len], histograms } }
    }
}

/// A scalar at every step.
#[derive(Debug, Clone)]
pub enum Scalars {
    Constant(f64),
    Steps(Vec<f64>),
}

impl Scalars {
    #[inline]
    pub fn at(&self, step: usize) -> f64 {
        match self {
            Scalars::Constant(value) => *value,
            Scalars::Steps(values) => values[step],
        }
    }

    /// Applies `f`.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Scalars {
        match self {
            Scalars::Constant(value) => Scalars::Constant(f(value)),
            Scalars::Steps(values) => Scalars::Steps(values.into_iter().map(f).collect()),
        }
    }

    /// Combines two scalars step by step.
    pub fn zip(&self, other: &Scalars, len: usize, f: impl Fn(f64, f64) -> f64) -> Scalars {
        match (self, other) {
            (Scalars::Constant(left), Scalars::Constant(right)) => Scalars::Constant(f(*left, *right)),
            _ => Scalars::Steps((0..len).map(|step| f(self.at(step), other.at(step))).collect()),
        }
    }
}

/// Joins rows that have become the same series, as long as no step has two of them.
///
/// # Errors
/// [`QueryError::Execution`] when some step does.
pub fn merge_rows(rows: Vec<Row>, len: usize) -> Result<Vec<Row>, QueryError> {
    let mut place_of: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match place_of.get(&row.labels) {
            None => {
                place_of.insert(row.labels.clone(), merged.len());
                merged.push(row);
            }
            Some(place) => {
                let known = &mut merged[*place].cells;
                for step in 0..len {
                    if row.cells.is_present(step) && known.is_present(step) {
                        let message = "vector cannot contain metrics with the same labelset";
                        return Err(QueryError::Execution(message.to_string()));
                    }
                    known.copy(step, &row.cells);
                }
            }
        }
    }
    Ok(merged)
}
