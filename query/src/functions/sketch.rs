//! The accumulator behind all sketch aggregates: one sketch per group, merged in place.

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Builder, ListBuilder, UInt64Builder};
use arrow::datatypes::Int64Type;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use std::fmt::Debug;
use std::sync::Arc;
use tidewatch_engine::samples::SampleSet;
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch, SketchError};

/// A sketch that learns its layout from the first bytes it meets.
pub(super) trait Sketch: Debug + Default + Send + Sync + 'static {
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), SketchError>;
    /// `None` when nothing was merged.
    fn to_bytes(&self) -> Option<Vec<u8>>;
    fn size_bytes(&self) -> usize;
}

#[derive(Debug, Default)]
pub(super) struct Hdr(pub Option<HdrSketch>);

#[derive(Debug, Default)]
pub(super) struct Distinct(pub Option<DistinctSketch>);

#[derive(Debug, Default)]
pub(super) struct Samples(pub Option<SampleSet>);

impl Sketch for Hdr {
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), SketchError> {
        match &mut self.0 {
            Some(sketch) => sketch.merge_v2(bytes),
            None => {
                self.0 = Some(HdrSketch::from_v2(bytes)?);
                Ok(())
            }
        }
    }
    fn to_bytes(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(HdrSketch::to_v2)
    }
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.0.as_ref().map_or(0, HdrSketch::size_bytes)
    }
}

impl Sketch for Distinct {
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), SketchError> {
        self.0.get_or_insert_default().merge_bytes(bytes)
    }
    fn to_bytes(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(DistinctSketch::to_bytes)
    }
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.0.as_ref().map_or(0, DistinctSketch::size_bytes)
    }
}

impl Sketch for Samples {
    fn merge_bytes(&mut self, bytes: &[u8]) -> Result<(), SketchError> {
        self.0.get_or_insert_default().merge_bytes(bytes)
    }
    fn to_bytes(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(SampleSet::to_bytes)
    }
    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.0.as_ref().map_or(0, SampleSet::size_bytes)
    }
}

/// What a row of the argument adds to the sketch of its group.
pub(super) trait Input<S>: Debug + Copy + Send + Sync + 'static {
    /// Is a row its own state, as stored sketches are?
    const IS_STATE: bool;

    /// Adds a row that is not null.
    fn add(self, column: &ArrayRef, row: usize, sketch: &mut S) -> Result<()>;
}

/// Stored sketches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored;

/// Plain integers, counted into a histogram. It has no bucket for negative ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    pub digits: u8,
}

impl<S: Sketch> Input<S> for Stored {
    const IS_STATE: bool = true;

    fn add(self, column: &ArrayRef, row: usize, sketch: &mut S) -> Result<()> {
        let Some(sketches) = column.as_binary_opt::<i32>() else {
            return exec_err!("a sketch column is binary, found {}", column.data_type());
        };
        sketch.merge_bytes(sketches.value(row)).map_err(|e| DataFusionError::External(Box::new(e)))
    }
}

impl Input<Hdr> for Values {
    const IS_STATE: bool = false;

    fn add(self, column: &ArrayRef, row: usize, sketch: &mut Hdr) -> Result<()> {
        let Some(values) = column.as_primitive_opt::<Int64Type>() else {
            return exec_err!("hdr counts integers, found {}", column.data_type());
        };
        if let Ok(value) = u64::try_from(values.value(row)) {
            sketch.0.get_or_insert_with(|| HdrSketch::new(self.digits)).record_n(value, 1);
        }
        Ok(())
    }
}

/// What becomes of the merged sketches.
pub(super) trait Finish<S>: Debug + Copy + Send + Sync + 'static {
    fn finish(self, sketches: &[S]) -> ArrayRef;
}

/// The bytes of the merged sketch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes;

/// The value at rank ⌈q·n⌉.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantile(pub f64);

/// Quantiles that one call may ask for.
const QUANTILES_MAX: usize = 16;

/// The values at several ranks, in the order they were asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantiles {
    asked: [f64; QUANTILES_MAX],
    count: usize,
}

impl Quantiles {
    /// `None` when there are none or too many.
    pub fn of(quantiles: &[f64]) -> Option<Self> {
        let mut asked = [0.0; QUANTILES_MAX];
        asked.get_mut(..quantiles.len())?.copy_from_slice(quantiles);
        (!quantiles.is_empty()).then_some(Self { asked, count: quantiles.len() })
    }
}

/// The share of values up to a bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct FractionBelow(pub f64);

/// The number of distinct values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate;

impl<S: Sketch> Finish<S> for Bytes {
    fn finish(self, sketches: &[S]) -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        sketches.iter().for_each(|s| builder.append_option(s.to_bytes()));
        Arc::new(builder.finish())
    }
}

impl Finish<Hdr> for Quantile {
    fn finish(self, sketches: &[Hdr]) -> ArrayRef {
        let mut builder = Float64Builder::with_capacity(sketches.len());
        let quantile = |s: &Hdr| s.0.as_ref().and_then(|s| s.quantile(self.0)).map(|v| v as f64);
        sketches.iter().for_each(|s| builder.append_option(quantile(s)));
        Arc::new(builder.finish())
    }
}

impl Finish<Hdr> for Quantiles {
    fn finish(self, sketches: &[Hdr]) -> ArrayRef {
        let mut builder = ListBuilder::new(Float64Builder::new());
        for sketch in sketches {
            let values = sketch.0.as_ref().filter(|s| s.count() > 0);
            for &q in values.iter().flat_map(|_| &self.asked[..self.count]) {
                builder.values().append_option(values.and_then(|s| s.quantile(q)).map(|v| v as f64));
            }
            builder.append(values.is_some());
        }
        Arc::new(builder.finish())
    }
}

impl Finish<Hdr> for FractionBelow {
    fn finish(self, sketches: &[Hdr]) -> ArrayRef {
        let mut builder = Float64Builder::with_capacity(sketches.len());
        let fraction = |sketch: &HdrSketch| {
            let below = if self.0 < 0.0 { 0 } else { sketch.count_at_or_below(self.0 as u64) };
            (sketch.count() > 0).then(|| below as f64 / sketch.count() as f64)
        };
        sketches.iter().for_each(|s| builder.append_option(s.0.as_ref().and_then(fraction)));
        Arc::new(builder.finish())
    }
}

impl Finish<Distinct> for Estimate {
    fn finish(self, sketches: &[Distinct]) -> ArrayRef {
        let mut builder = UInt64Builder::with_capacity(sketches.len());
        sketches.iter().for_each(|s| builder.append_value(s.0.as_ref().map_or(0, DistinctSketch::estimate)));
        Arc::new(builder.finish())
    }
}

/// Sketches by group. Without groups it is one group.
#[derive(Debug)]
pub(super) struct SketchAccumulator<S, I, F> {
    sketches: Vec<S>,
    bytes: usize,
    input: I,
    finish: F,
}

impl<S: Sketch, I: Input<S>, F: Finish<S>> SketchAccumulator<S, I, F> {
    pub fn new(input: I, finish: F) -> Self {
        Self { sketches: Vec::new(), bytes: 0, input, finish }
    }

    fn add(
        &mut self,
        input: impl Input<S>,
        values: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let Some(column) = values.first() else { return exec_err!("an aggregate of sketches has an argument") };
        let grown = groups.saturating_sub(self.sketches.len());
        self.bytes += grown * size_of::<S>();
        self.sketches.resize_with(groups.max(self.sketches.len()), S::default);
        for row in 0..column.len() {
            if column.is_null(row) || filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            let sketch = &mut self.sketches[group_of(row)];
            let before = sketch.size_bytes();
            input.add(column, row, sketch)?;
            self.bytes = (self.bytes + sketch.size_bytes()).saturating_sub(before);
        }
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<S> {
        let taken = emit_to.take_needed(&mut self.sketches);
        self.bytes = self.sketches.iter().map(S::size_bytes).sum();
        taken
    }
}

impl<S: Sketch, I: Input<S>, F: Finish<S>> GroupsAccumulator for SketchAccumulator<S, I, F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.add(self.input, values, |row| groups[row], filter, total)
    }
    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.add(Stored, values, |row| groups[row], None, total)
    }
    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sketches = self.take(emit_to);
        Ok(self.finish.finish(&sketches))
    }
    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sketches = self.take(emit_to);
        Ok(vec![Bytes.finish(&sketches)])
    }
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        if !I::IS_STATE {
            let mut each = Self::new(self.input, self.finish);
            each.add(self.input, values, |row| row, filter, values[0].len())?;
            return Ok(vec![Bytes.finish(&each.sketches)]);
        }
        let column = match filter {
            None => Arc::clone(&values[0]),
            Some(filter) => {
                let is_dropped: BooleanArray =
                    (0..filter.len()).map(|row| Some(filter.is_null(row) || !filter.value(row))).collect();
                arrow::compute::nullif(&values[0], &is_dropped)?
            }
        };
        Ok(vec![column])
    }
    fn size(&self) -> usize {
        self.bytes
    }
}

impl<S: Sketch, I: Input<S>, F: Finish<S>> Accumulator for SketchAccumulator<S, I, F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(self.input, values, |_| 0, None, 1)
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(Stored, states, |_| 0, None, 1)
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.sketches.resize_with(1, S::default);
        ScalarValue::try_from_array(&self.finish.finish(&self.sketches), 0)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sketches.resize_with(1, S::default);
        Ok(vec![ScalarValue::Binary(self.sketches[0].to_bytes())])
    }
    fn size(&self) -> usize {
        self.bytes
    }
}
