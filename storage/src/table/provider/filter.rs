//! Which rows of a row group fulfil what a query asks for.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, DictionaryArray, Int32Array};
use arrow::compute::{and, prep_null_mask_filter};
use arrow::datatypes::{DataType, Int32Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::sync::Arc;

/// One condition of several that must all hold.
#[derive(Debug)]
pub(super) struct Condition {
    expr: Arc<dyn PhysicalExpr>,
    /// Columns that it is about, in this order.
    schema: SchemaRef,
    /// Where these are among the columns that are read.
    pub columns: Vec<usize>,
}

impl Condition {
    /// The conditions of filters over columns that are read.
    pub fn all(state: &dyn Session, filters: &[Expr], read: &Schema) -> Result<Vec<Self>> {
        let filters = filters.iter().cloned().map(unnormalize_col);
        filters.flat_map(split_conjunction_owned).map(|expr| Self::new(state, expr, read)).collect()
    }

    fn new(state: &dyn Session, expr: Expr, read: &Schema) -> Result<Self> {
        let mut columns = expr.column_refs().iter().map(|c| read.index_of(&c.name)).collect::<Result<Vec<_>, _>>()?;
        columns.sort_unstable();
        let schema = Arc::new(read.project(&columns)?);
        let expr = state.create_physical_expr(expr, &DFSchema::try_from(Arc::clone(&schema))?)?;
        Ok(Self { expr, schema, columns })
    }

    pub fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.expr
    }

    /// The rows of which it holds. `columns`: what it is about.
    fn holds(&self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        match columns {
            [only] if is_dictionary(only.data_type()) => self.holds_of_texts(only.as_dictionary()),
            _ => self.evaluate(columns.to_vec(), rows),
        }
    }

    /// Looks at each text once, however many rows have it.
    fn holds_of_texts(&self, column: &DictionaryArray<Int32Type>) -> Result<BooleanArray> {
        let texts = column.values().len();
        let each = Int32Array::from_iter((0..texts).map(|text| i32::try_from(text).ok()).chain([None]));
        let each = DictionaryArray::<Int32Type>::try_new(each, Arc::clone(column.values()))?;
        let holds = self.evaluate(vec![Arc::new(each)], texts + 1)?;
        let keys = column.keys();
        let mut rows = BooleanBufferBuilder::new(keys.len());
        match keys.nulls() {
            None => keys.values().iter().for_each(|key| rows.append(holds.value(*key as usize))),
            Some(_) => keys.iter().for_each(|key| rows.append(holds.value(key.map_or(texts, |key| key as usize)))),
        }
        Ok(BooleanArray::new(rows.finish(), None))
    }

    fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let holds = self.expr.evaluate(&batch)?.into_array(rows)?;
        let holds = holds.as_boolean();
        // What is not known does not hold.
        Ok(if holds.null_count() > 0 { prep_null_mask_filter(holds) } else { holds.clone() })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

fn is_dictionary(of: &DataType) -> bool {
    matches!(of, DataType::Dictionary(key, _) if **key == DataType::Int32)
}

/// The rows of which all conditions hold; `None`: all rows. `known` has the columns of all conditions.
pub(super) fn chosen(
    conditions: &[Condition],
    known: &[Option<ArrayRef>],
    rows: usize,
) -> Result<Option<BooleanArray>> {
    let mut all: Option<BooleanArray> = None;
    for condition in conditions {
        let columns: Vec<ArrayRef> = condition.columns.iter().filter_map(|&at| known.get(at)?.clone()).collect();
        let holds = condition.holds(&columns, rows)?;
        all = Some(match all {
            None => holds,
            Some(all) => and(&all, &holds)?,
        });
    }
    Ok(all.filter(|all| all.true_count() < rows))
}
