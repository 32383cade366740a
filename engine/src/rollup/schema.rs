//! What a rollup looks like as a table: the columns of its partials and what each one means.
//!
//! The schema is stored as a property of the table itself, so that a reader needs no pack to know
//! which column is a sketch and how two rows of one window merge.

use crate::time::width_name;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Name of the first column of every rollup: inclusive start of the window, UTC, microseconds.
pub const WINDOW_START: &str = "window_start";

/// Precision of every stored decimal sum: the most that Arrow, Parquet and Delta can hold in 128 bits.
pub const SUM_PRECISION: u8 = 38;

/// Arrow type of every stored instant: microseconds since the epoch, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Name of the column of every keyed table that holds the newest event time of its key.
pub const UPDATED_AT: &str = "updated_at";

/// Name of the measure that counts the distinct series that were folded into a row for want of budget.
pub const OTHER_SERIES: &str = "other_series";

/// The table of one rollup: of windows, or of keys alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupSchema {
    /// Table name.
    pub name: String,
    /// Sources whose events it aggregates, in the order of the definition, each once.
    pub sources: Vec<String>,
    /// Width of a window, in microseconds; `None` for a keyed table, whose rows last as long as their key.
    pub pane_us: Option<i64>,
    /// Columns that, together with [`WINDOW_START`] if there are windows, identify a row after merging.
    pub dimensions: Vec<Dimension>,
    /// Mergeable columns.
    pub measures: Vec<Measure>,
    /// Canonical text of the definition; two definitions with equal text give equal numbers.
    pub definition: String,
    /// Widths that windows are kept in, finest first; the first is `pane_us`. Empty for a keyed table.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// How long a key that gets no events is kept, in microseconds; `None`: for ever. Keyed tables only.
    #[serde(default)]
    pub retain_us: Option<i64>,
}

/// One width in which a rollup keeps its windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Width in microseconds; divides that of the next tier.
    pub pane_us: i64,
    /// How long windows of this width are kept, in microseconds; `None`: for ever.
    pub retain_us: Option<i64>,
}

impl Tier {
    /// Its name in the store: `10s`, `1m`, `1h`, `1d`.
    pub fn name(&self) -> String {
        width_name(self.pane_us)
    }
}

/// A column of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// Column name.
    pub name: String,
    /// Column type.
    pub value: DimensionType,
}

/// Types a dimension may have. Floats are missing on purpose: their equality is not a grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DimensionType {
    /// Text.
    Utf8,
    /// Integer.
    Int64,
    /// True or false.
    Boolean,
    /// Microseconds since the epoch, UTC.
    Timestamp,
}

/// A mergeable column (two columns for [`MeasureKind::Avg`], three for [`MeasureKind::Last`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Name given in the definition.
    pub name: String,
    /// How it is kept.
    pub kind: MeasureKind,
}

/// What is kept of a measure, and so how two partials of it merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// `Int64`, merged by `sum`.
    Count,
    /// `Decimal128(38, scale)`, null when no value was seen, merged by `sum`.
    Sum {
        /// Digits after the point.
        scale: i8,
    },
    /// Smallest value, null when none was seen, merged by `min`.
    Min {
        /// Type of the value.
        value: ValueType,
    },
    /// Largest value, null when none was seen, merged by `max`.
    Max {
        /// Type of the value.
        value: ValueType,
    },
    /// `<name>_sum` as in `Sum` and `<name>_count` as in `Count`; the mean is their quotient.
    Avg {
        /// Digits after the point of the sum.
        scale: i8,
    },
    /// HDR histogram as HdrHistogram V2 bytes in `Binary`, null when no value was seen.
    Hdr {
        /// Significant decimal digits, 1 to 3.
        digits: u8,
    },
    /// Distinct values as `Binary` (see FORMAT.md), null when no value was seen.
    Distinct,
    /// Every value with its time as `Binary` (see FORMAT.md), null when no value was seen, merged by union.
    Samples,
    /// The value of the newest event that has one: greatest by sequence, then event time, then value.
    /// `<name>`, `<name>_at` (event time) and `<name>_seq` (sequence), null when none was seen.
    Last {
        /// Type of the value.
        value: ValueType,
    },
}

/// Types of which a smallest, a largest or a newest value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// 64-bit integer.
    Int64,
    /// 64-bit float in IEEE 754 total order.
    Float64,
    /// Microseconds since the epoch, UTC.
    Timestamp,
    /// Exact decimal with 38 digits.
    Decimal {
        /// Digits after the point.
        scale: i8,
    },
    /// Text, compared by its UTF-8 bytes.
    Utf8,
    /// False before true.
    Boolean,
}

impl ValueType {
    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Timestamp => timestamp_type(),
            Self::Decimal { scale } => DataType::Decimal128(SUM_PRECISION, scale),
            Self::Utf8 => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
        }
    }
}

impl DimensionType {
    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Utf8 => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => timestamp_type(),
        }
    }
}

impl Measure {
    /// Suffix of the column that holds the sum of an average.
    pub const SUM_SUFFIX: &'static str = "_sum";
    /// Suffix of the column that holds the count of an average.
    pub const COUNT_SUFFIX: &'static str = "_count";
    /// Suffix of the column that holds the event time of a newest value.
    pub const AT_SUFFIX: &'static str = "_at";
    /// Suffix of the column that holds the sequence of a newest value.
    pub const SEQUENCE_SUFFIX: &'static str = "_seq";

    /// The columns that hold this measure's state, in table order.
    pub fn state_fields(&self) -> Vec<Field> {
        let name = self.name.as_str();
        let decimal = |scale| DataType::Decimal128(SUM_PRECISION, scale);
        match self.kind {
            MeasureKind::Count => vec![Field::new(name, DataType::Int64, false)],
            MeasureKind::Sum { scale } => vec![Field::new(name, decimal(scale), true)],
            MeasureKind::Min { value } | MeasureKind::Max { value } => {
                vec![Field::new(name, value.data_type(), true)]
            }
            MeasureKind::Avg { scale } => vec![
                Field::new(format!("{name}{}", Self::SUM_SUFFIX), decimal(scale), true),
                Field::new(format!("{name}{}", Self::COUNT_SUFFIX), DataType::Int64, false),
            ],
            MeasureKind::Hdr { .. } | MeasureKind::Distinct | MeasureKind::Samples => {
                vec![Field::new(name, DataType::Binary, true)]
            }
            MeasureKind::Last { value } => vec![
                Field::new(name, value.data_type(), true),
                Field::new(format!("{name}{}", Self::AT_SUFFIX), timestamp_type(), true),
                Field::new(format!("{name}{}", Self::SEQUENCE_SUFFIX), DataType::Int64, true),
            ],
        }
    }
}

impl RollupSchema {
    /// Columns of the key: the window if there is one, then the dimensions in the order of the definition.
    pub fn key_fields(&self) -> Vec<Field> {
        let window = self.pane_us.map(|_| Field::new(WINDOW_START, timestamp_type(), false));
        window
            .into_iter()
            .chain(self.dimensions.iter().map(|d| Field::new(&d.name, d.value.data_type(), true)))
            .collect()
    }

    /// The whole table: key columns, then the state columns of every measure.
    pub fn arrow_schema(&self) -> SchemaRef {
        let mut fields = self.key_fields();
        fields.extend(self.measures.iter().flat_map(Measure::state_fields));
        Arc::new(Schema::new(fields))
    }
}
