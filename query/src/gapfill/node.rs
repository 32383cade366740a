//! The node of a plan that adds rows for buckets that have none.

use crate::functions::zone::bucket::Width;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// What buckets there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Grid {
    pub width: Width,
    /// Half-open, microseconds since the epoch.
    pub from_us: i64,
    pub to_us: i64,
    pub zone: ZoneOf,
}

/// Whose calendar cuts the buckets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ZoneOf {
    Utc,
    Named(String),
    /// A column of the group.
    Column(usize),
}

/// What stands in a bucket without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fill {
    Locf,
    Interpolate,
}

/// Which columns of the input are what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Columns {
    /// The bucket.
    pub bucket: usize,
    /// So many first columns are those of GROUP BY, the bucket among them.
    pub grouped: usize,
}

/// The input with the rows that are missing, and the filled columns after its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    pub input: LogicalPlan,
    pub grid: Grid,
    pub columns: Columns,
    pub fills: Vec<(Fill, Expr)>,
    pub schema: DFSchemaRef,
}

impl GapFill {
    pub fn new(input: LogicalPlan, grid: Grid, columns: Columns, fills: Vec<(Fill, Expr)>) -> Result<Self> {
        let own = input.schema().iter().enumerate().map(|(at, (qualifier, field))| {
            let is_filled = at >= columns.grouped;
            let field = match is_filled {
                true => Arc::new(field.as_ref().clone().with_nullable(true)),
                false => Arc::clone(field),
            };
            (qualifier.cloned(), field)
        });
        let mut fields: Vec<_> = own.collect();
        for (at, (fill, expr)) in fills.iter().enumerate() {
            let data_type = match fill {
                Fill::Interpolate => DataType::Float64,
                Fill::Locf => expr.get_type(input.schema())?,
            };
            fields.push((None, Arc::new(Field::new(Self::name_of(at), data_type, true))));
        }
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, grid, columns, fills, schema: Arc::new(schema) })
    }

    /// Name of the column of a fill.
    pub fn name_of(fill: usize) -> String {
        format!("__fill_{fill}")
    }
}

/// There is no order of plans; equal ones are equal.
impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.fills.iter().map(|(_, expr)| expr.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grid { width, from_us, to_us, zone } = &self.grid;
        write!(f, "GapFill: width={width:?}, from={from_us} µs, to={to_us} µs, zone={zone:?}, fills=[")?;
        for (at, (fill, expr)) in self.fills.iter().enumerate() {
            write!(f, "{}{fill:?}({expr})", if at == 0 { "" } else { ", " })?;
        }
        write!(f, "]")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Some(input), true) = (inputs.pop(), exprs.len() == self.fills.len()) else {
            return internal_err!("a gap filling has one input and as many expressions as before");
        };
        let fills = self.fills.iter().zip(exprs).map(|((fill, _), expr)| (*fill, expr)).collect();
        Self::new(input, self.grid.clone(), self.columns.clone(), fills)
    }

    /// All of the input: its columns are found by their places.
    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}
