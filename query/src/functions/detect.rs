//! `spike` and `silence`: the detectors over the rows of a partition.
//!
//! | function | gives, of each row |
//! |---|---|
//! | `spike(window_start, count [, zone])` | {expected, lift, score, excess, is_open, started, peak, ended} |
//! | `silence(window_start, count [, zone [, hours [, holidays [, rhythm]]]])` | {is_silent, since, open_seconds, expected, usual_gap_seconds} |
//!
//! ```sql
//! SELECT shop_id, window_start, s['lift'], s['started']
//! FROM (SELECT *, spike(window_start, orders) OVER (PARTITION BY shop_id) AS s FROM orders_5m)
//! WHERE s['is_open']
//! ```
//!
//! Each row is one window of one key; its rows are looked at in the order of time, however they come, so `ORDER BY` and
//! a frame change nothing. What a row says follows from the rows up to it alone. The width of a window is the largest
//! one that divides an hour and all starts. A window without a row, or with a null count, is one of which nothing is
//! known: `coalesce(count, 0)` over `time_bucket_gapfill` says that there was nothing. Fractions are rounded.
//!
//! Of a spike, `lift` (counted ÷ expected), `excess`, `started` and `peak` are those so far while it is open, and those
//! of the whole in the row that ends it, which alone has `ended`, the end of its last elevated window. `expected` and
//! `score` are those of the row's window, null while too little is known. `is_silent` is null while too little is
//! known, and false while it is closed; the other numbers of silence are those of the time since the last event.
//! Zone, hours and holidays are as [`tidewatch_detect::calendar`] reads them, the rhythm, which is learned without one, is
//! as [`Declared`] reads it; they are those of a partition's first row that has them.

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, StructArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl};
use std::sync::Arc;
use tidewatch_detect::calendar::Calendar;
use tidewatch_detect::silence::{self, Declared, Reporter};
use tidewatch_detect::spike::{self, Detector, State};
use tidewatch_detect::zone::{HOUR_MS, Zone};
use tidewatch_engine::rollup::timestamp_type;

/// Narrower windows are none: their starts are no starts of windows.
const WIDTH_MIN_MS: i64 = 1_000;

pub(super) fn all() -> [WindowUDF; 2] {
    let of =
        |name, role| WindowUDF::from(Detect { name, role, signature: Signature::user_defined(Volatility::Immutable) });
    [of("spike", Role::Spike), of("silence", Role::Silence)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Role {
    Spike,
    Silence,
}

impl Role {
    fn fields(self) -> Fields {
        let number = |name: &str| Field::new(name, DataType::Float64, true);
        let flag = |name: &str| Field::new(name, DataType::Boolean, true);
        let time = |name: &str| Field::new(name, timestamp_type(), true);
        match self {
            Self::Spike => vec![
                number("expected"),
                number("lift"),
                number("score"),
                number("excess"),
                flag("is_open"),
                time("started"),
                time("peak"),
                time("ended"),
            ],
            Self::Silence => vec![
                flag("is_silent"),
                time("since"),
                number("open_seconds"),
                number("expected"),
                number("usual_gap_seconds"),
            ],
        }
        .into()
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Spike => {
                "spike takes the start of a window, its count and perhaps a zone, as in spike(window_start, orders, \
                 'Europe/Berlin') OVER (PARTITION BY shop_id)"
            }
            Self::Silence => {
                "silence takes the start of a window, its count and perhaps a zone, opening hours, holidays and a declared \
                 rhythm, as in silence(window_start, orders, 'Europe/Berlin', 'Mo-Fr 09:00-17:00', '2026-12-25', 'every \
                 3h') OVER (PARTITION BY shop_id)"
            }
        }
    }

    fn arguments_max(self) -> usize {
        match self {
            Self::Spike => 3,
            Self::Silence => 6,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Detect {
    name: &'static str,
    role: Role,
    signature: Signature,
}

impl WindowUDFImpl for Detect {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |t: &DataType| t.is_string() || t.is_null();
        match arguments {
            [DataType::Timestamp(..) | DataType::Null, count, texts @ ..]
                if (count.is_numeric() || count.is_null())
                    && texts.iter().all(is_text)
                    && arguments.len() <= self.role.arguments_max() =>
            {
                let texts = texts.iter().map(|_| DataType::Utf8);
                Ok([timestamp_type(), DataType::Float64].into_iter().chain(texts).collect())
            }
            _ => plan_err!("{}", self.role.usage()),
        }
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Struct(self.role.fields()), true)))
    }

    fn partition_evaluator(&self, _args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Partition { role: self.role }))
    }
}

#[derive(Debug)]
struct Partition {
    role: Role,
}

impl PartitionEvaluator for Partition {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> Result<ArrayRef> {
        let windows = Windows::read(self.role, values)?;
        let (calendar, declared) = awaited(self.role, values.get(2..).unwrap_or_default())?;
        let columns = match self.role {
            Role::Spike => spikes(&windows, calendar.zone, num_rows)?,
            Role::Silence => silences(&windows, calendar, declared, num_rows)?,
        };
        Ok(Arc::new(StructArray::try_new(self.role.fields(), columns, None)?))
    }
}

/// The windows of one key, in order.
struct Windows {
    width_ms: i64,
    /// Row, start in ms, count.
    rows: Vec<(usize, i64, u64)>,
}

impl Windows {
    fn read(role: Role, values: &[ArrayRef]) -> Result<Self> {
        let columns = match values {
            [starts, counts, ..] => {
                starts.as_primitive_opt::<TimestampMicrosecondType>().zip(counts.as_primitive_opt::<Float64Type>())
            }
            _ => None,
        };
        let Some((starts, counts)) = columns else { return exec_err!("{}", role.usage()) };
        let mut rows = Vec::with_capacity(starts.len());
        for (row, (start_us, count)) in starts.iter().zip(counts.iter()).enumerate() {
            let (Some(start_us), Some(count)) = (start_us, count) else { continue };
            if start_us.rem_euclid(1_000) != 0 {
                return exec_err!(
                    "expected the start of a window, found one within a millisecond\n  hint: {}",
                    role.usage()
                );
            }
            let count = count.round();
            if !count.is_finite() || count < 0.0 {
                return exec_err!("expected a count of events, found {count}\n  hint: {}", role.usage());
            }
            rows.push((row, start_us / 1_000, count as u64));
        }
        rows.sort_unstable_by_key(|&(row, start_ms, _)| (start_ms, row));
        let same = |pair: &&[(usize, i64, u64)]| matches!(pair, [before, after] if before.1 == after.1);
        if let Some([(_, start_ms, _), ..]) = rows.windows(2).find(same) {
            return exec_err!(
                "two rows of a partition have one window, {start_ms} ms\n  hint: PARTITION BY what tells them apart, or \
                 add them up first"
            );
        }
        let width_ms = rows.iter().fold(HOUR_MS, |width_ms, (_, start_ms, _)| common_divisor(width_ms, *start_ms));
        if width_ms < WIDTH_MIN_MS {
            return exec_err!(
                "expected windows whose starts are multiples of a width that divides an hour, found a common divisor of \
                 {width_ms} ms\n  hint: time_bucket(INTERVAL '5 minutes', …) cuts such windows"
            );
        }
        Ok(Self { width_ms, rows })
    }
}

fn common_divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b.rem_euclid(a));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Zone, hours and holidays of a partition, and its declared rhythm.
fn awaited(role: Role, texts: &[ArrayRef]) -> Result<(Calendar, Option<Declared>)> {
    let first = |at: usize| {
        let texts = texts.get(at)?.as_string_opt::<i32>()?;
        texts.iter().flatten().map(str::trim).next().filter(|text| !text.is_empty())
    };
    let mut calendar = Calendar::default();
    if let Some(name) = first(0) {
        match Zone::named(name) {
            Ok(zone) => calendar.zone = zone,
            Err(error) => return exec_err!("{error}\n  hint: {}", role.usage()),
        }
    }
    let read = |calendar: &mut Calendar| {
        first(1).map_or(Ok(()), |text| calendar.set_hours(text))?;
        first(2).map_or(Ok(()), |text| calendar.set_holidays(text))
    };
    if let Err(error) = read(&mut calendar) {
        return exec_err!("{error}\n  hint: {}", role.usage());
    }
    match first(3).map(str::parse::<Declared>).transpose() {
        Ok(declared) => Ok((calendar, declared)),
        Err(error) => exec_err!("{error}\n  hint: {}", role.usage()),
    }
}

/// A column of nulls, to be filled row by row.
#[derive(Clone)]
struct Column<T>(Vec<Option<T>>);

impl<T: Clone> Column<T> {
    fn nulls(rows: usize) -> Self {
        Self(vec![None; rows])
    }

    fn set(&mut self, row: usize, value: Option<T>) {
        if let Some(slot) = self.0.get_mut(row) {
            *slot = value;
        }
    }
}

fn numbers(column: Column<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(column.0))
}

fn flags(column: Column<bool>) -> ArrayRef {
    Arc::new(BooleanArray::from(column.0))
}

/// Of milliseconds.
fn times(column: Column<i64>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = column.0.into_iter().map(|ms| ms.map(|ms| ms * 1_000)).collect();
    Arc::new(micros.with_timezone("UTC"))
}

fn spikes(windows: &Windows, zone: Zone, rows: usize) -> Result<Vec<ArrayRef>> {
    let settings = spike::Settings { zone, ..spike::Settings::of_windows(windows.width_ms) };
    let mut detector = match Detector::new(settings) {
        Ok(detector) => detector,
        Err(error) => return exec_err!("{error}"),
    };
    let [mut expected, mut lift, mut score, mut excess] = [(); 4].map(|()| Column::nulls(rows));
    let [mut started, mut peak, mut ended] = [(); 3].map(|()| Column::nulls(rows));
    let mut is_open = Column::nulls(rows);
    for &(row, start_ms, count) in &windows.rows {
        let verdict = match detector.observe(start_ms, count) {
            Ok(verdict) => verdict,
            Err(error) => return exec_err!("{error}"),
        };
        expected.set(row, verdict.expected);
        score.set(row, verdict.expected.map(|_| verdict.score));
        is_open.set(row, Some(verdict.is_open()));
        let (spike, end_ms) = match verdict.state {
            State::Opened(spike) | State::Open(spike) => (spike, None),
            State::Ended(spike, _) => (spike, Some(spike.end_ms)),
            State::Learning | State::Quiet => continue,
        };
        lift.set(row, Some(spike.lift()));
        excess.set(row, Some(spike.excess()));
        started.set(row, Some(spike.start_ms));
        peak.set(row, Some(spike.peak_ms));
        ended.set(row, end_ms);
    }
    Ok(vec![
        numbers(expected),
        numbers(lift),
        numbers(score),
        numbers(excess),
        flags(is_open),
        times(started),
        times(peak),
        times(ended),
    ])
}

fn silences(windows: &Windows, calendar: Calendar, declared: Option<Declared>, rows: usize) -> Result<Vec<ArrayRef>> {
    let settings =
        silence::Settings { window_ms: windows.width_ms, calendar, declared, ..silence::Settings::default() };
    let mut reporter = match Reporter::new(settings) {
        Ok(reporter) => reporter,
        Err(error) => return exec_err!("{error}"),
    };
    let mut is_silent = Column::nulls(rows);
    let mut since = Column::nulls(rows);
    let [mut open, mut expected, mut gap] = [(); 3].map(|()| Column::nulls(rows));
    let seconds = |ms: i64| ms as f64 / 1000.0;
    for &(row, start_ms, count) in &windows.rows {
        if let Err(error) = reporter.observe(start_ms, count) {
            return exec_err!("{error}");
        }
        let (silent, numbers) = match reporter.at(start_ms + windows.width_ms) {
            silence::Verdict::Unknown(_) => continue,
            silence::Verdict::Closed(_) => (false, None),
            silence::Verdict::Reporting(numbers) => (false, Some(numbers)),
            silence::Verdict::Silent(numbers) => (true, Some(numbers)),
        };
        is_silent.set(row, Some(silent));
        since.set(row, numbers.map(|n| n.since_ms));
        open.set(row, numbers.map(|n| seconds(n.open_ms)));
        expected.set(row, numbers.and_then(|n| n.expected));
        gap.set(row, numbers.and_then(|n| n.usual_gap_ms).map(seconds));
    }
    Ok(vec![flags(is_silent), times(since), numbers(open), numbers(expected), numbers(gap)])
}

#[cfg(test)]
mod tests;
