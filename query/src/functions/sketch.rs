//! The accumulator behind all sketch aggregates: one sketch per group, merged in place.

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Builder, UInt64Builder};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use std::fmt::Debug;
use std::sync::Arc;
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

impl Finish<Distinct> for Estimate {
    fn finish(self, sketches: &[Distinct]) -> ArrayRef {
        let mut builder = UInt64Builder::with_capacity(sketches.len());
        sketches.iter().for_each(|s| builder.append_value(s.0.as_ref().map_or(0, DistinctSketch::estimate)));
        Arc::new(builder.finish())
    }
}

/// Sketches by group. Without groups it is one group.
#[derive(Debug)]
pub(super) struct SketchAccumulator<S, F> {
    sketches: Vec<S>,
    bytes: usize,
    finish: F,
}

impl<S: Sketch, F: Finish<S>> SketchAccumulator<S, F> {
    pub fn new(finish: F) -> Self {
        Self { sketches: Vec::new(), bytes: 0, finish }
    }

    fn merge(
        &mut self,
        values: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        let Some(column) = values.first().and_then(|v| v.as_binary_opt::<i32>()) else {
            return exec_err!("a sketch column is binary, found {:?}", values.first().map(|v| v.data_type().clone()));
        };
        let grown = groups.saturating_sub(self.sketches.len());
        self.bytes += grown * size_of::<S>();
        self.sketches.resize_with(groups.max(self.sketches.len()), S::default);
        for row in 0..column.len() {
            if column.is_null(row) || filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            let sketch = &mut self.sketches[group_of(row)];
            let before = sketch.size_bytes();
            sketch.merge_bytes(column.value(row)).map_err(|e| DataFusionError::External(Box::new(e)))?;
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

impl<S: Sketch, F: Finish<S>> GroupsAccumulator for SketchAccumulator<S, F> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.merge(values, |row| groups[row], filter, total)
    }
    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.merge(values, |row| groups[row], None, total)
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
        // A stored sketch is its own state.
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

impl<S: Sketch, F: Finish<S>> Accumulator for SketchAccumulator<S, F> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.merge(values, |_| 0, None, 1)
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(states, |_| 0, None, 1)
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
