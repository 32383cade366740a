//! Rows as tests write them, and how those found differ from those expected.

use anyhow::Result;
use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write as _;
use tidewatch_query::Answer;

/// Floats that differ by less, relative to the larger, are equal.
const TOLERANCE: f64 = 1e-9;

/// What stands for a null.
const NULL: &str = "NULL";

/// A cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Compared as it is written.
    Text(String),
    /// Integers and decimals: compared as numbers, exactly.
    Number(String),
    /// Compared with a tolerance.
    Float(f64),
}

/// The rows of an answer.
pub fn found(answer: &Answer) -> Result<Vec<Vec<Cell>>> {
    let options = FormatOptions::new()
        .with_null(NULL)
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let columns = batch.columns().iter().map(in_utc).collect::<Result<Vec<_>>>()?;
        let formatters =
            columns.iter().map(|c| Ok(ArrayFormatter::try_new(c, &options)?)).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let cell = |(column, formatter): (&ArrayRef, &ArrayFormatter<'_>)| {
                let text = formatter.value(row).to_string();
                match column.data_type() {
                    _ if column.is_null(row) => Cell::Text(text),
                    t if t.is_floating() => text.parse().map_or(Cell::Text(text), Cell::Float),
                    t if t.is_numeric() => Cell::Number(text),
                    _ => Cell::Text(text.trim().to_owned()),
                }
            };
            rows.push(columns.iter().zip(&formatters).map(cell).collect());
        }
    }
    Ok(rows)
}

/// Instants in whatever zone are written in UTC.
fn in_utc(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(column, &DataType::Timestamp(*unit, Some("UTC".into())))?,
        _ => column.clone(),
    })
}

/// The rows of a test's text: one per line, cells between bars.
pub fn expected(text: &str) -> Vec<Vec<String>> {
    text.lines().filter(|l| !l.trim().is_empty()).map(cells).collect()
}

/// A bar separates when blanks stand around it; one within a word belongs to the word.
fn cells(line: &str) -> Vec<String> {
    let bytes = line.as_bytes();
    let is_blank = |at: Option<usize>| at.and_then(|a| bytes.get(a)).is_none_or(|b| b.is_ascii_whitespace());
    let (mut cells, mut start) = (Vec::new(), 0);
    for (at, _) in line.match_indices('|') {
        if is_blank(at.checked_sub(1)) && is_blank(Some(at + 1)) {
            cells.push(line[start..at].trim().to_owned());
            start = at + 1;
        }
    }
    cells.push(line[start..].trim().to_owned());
    cells
}

/// Nothing when the rows are as expected, else both with `-` before those that are missing and `+`
/// before those that were not expected.
pub fn difference(expected: &[Vec<String>], found: &[Vec<Cell>]) -> Option<String> {
    let is_same = |e: usize, f: usize| {
        expected[e].len() == found[f].len() && expected[e].iter().zip(&found[f]).all(|(e, f)| equals(e, f))
    };
    if expected.len() == found.len() && (0..found.len()).all(|row| is_same(row, row)) {
        return None;
    }
    let mut text = String::new();
    let mut line = |sign: char, row: String| _ = writeln!(text, "    {sign} {row}");
    let common = longest_common(expected.len(), found.len(), is_same);
    let (mut e, mut f) = (0, 0);
    for (next_e, next_f) in common.into_iter().chain([(expected.len(), found.len())]) {
        (e..next_e).for_each(|row| line('-', expected[row].join(" | ")));
        (f..next_f).for_each(|row| line('+', shown(&found[row])));
        if next_f < found.len() {
            line(' ', shown(&found[next_f]));
        }
        (e, f) = (next_e + 1, next_f + 1);
    }
    Some(text)
}

fn equals(expected: &str, found: &Cell) -> bool {
    match found {
        Cell::Text(text) => expected == text,
        Cell::Number(number) => plain_number(expected) == plain_number(number),
        Cell::Float(found) => expected.parse::<f64>().is_ok_and(|expected| {
            expected == *found
                || (expected.is_nan() && found.is_nan())
                || (expected - found).abs() <= TOLERANCE * expected.abs().max(found.abs())
        }),
    }
}

/// A number without the zeros that say nothing.
fn plain_number(text: &str) -> &str {
    let text = text.strip_prefix('+').unwrap_or(text);
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    }
}

fn shown(row: &[Cell]) -> String {
    let text = |cell: &Cell| match cell {
        Cell::Text(text) | Cell::Number(text) => text.clone(),
        Cell::Float(value) => value.to_string(),
    };
    row.iter().map(text).collect::<Vec<_>>().join(" | ")
}

/// Index pairs of a longest common subsequence.
fn longest_common(left: usize, right: usize, is_same: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    // lengths[l][r]: of the longest one in what follows l and r.
    let mut lengths = vec![vec![0usize; right + 1]; left + 1];
    for l in (0..left).rev() {
        for r in (0..right).rev() {
            lengths[l][r] = match is_same(l, r) {
                true => lengths[l + 1][r + 1] + 1,
                false => lengths[l + 1][r].max(lengths[l][r + 1]),
            };
        }
    }
    let (mut l, mut r, mut pairs) = (0, 0, Vec::new());
    while l < left && r < right {
        if is_same(l, r) {
            pairs.push((l, r));
            (l, r) = (l + 1, r + 1);
        } else if lengths[l + 1][r] >= lengths[l][r + 1] {
            l += 1;
        } else {
            r += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Cell {
        Cell::Number(text.to_owned())
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn cells_are_cut_at_bars_that_stand_alone() {
        assert_eq!(expected("a | b\n\n  c|d |  | x y |\n"), [vec!["a", "b"], vec!["c|d", "", "x y", ""]]);
        assert!(expected("\n").is_empty());
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (expected, found, is_equal) in [
            ("4798", number("4798.00"), true),
            ("47.90", number("47.9"), true),
            ("4798", number("479800"), false),
            ("0.3", Cell::Float(0.1 + 0.2), true),
            ("1", Cell::Float(1.0), true),
            ("0.30001", Cell::Float(0.3), false),
            ("NULL", text("NULL"), true),
            ("0", text("NULL"), false),
            ("true", text("true"), true),
            ("inf", Cell::Float(f64::INFINITY), true),
        ] {
            assert_eq!(equals(expected, &found), is_equal, "{expected} {found:?}");
        }
    }

    #[test]
    fn a_difference_shows_what_is_the_same_too() {
        let rows = |lines: &[&str]| lines.iter().map(|l| cells(l)).collect::<Vec<_>>();
        let found = [vec![text("a"), number("1")], vec![text("b"), number("2")], vec![text("c"), number("3")]];
        assert_eq!(difference(&rows(&["a | 1", "b | 2", "c | 3"]), &found), None);
        let shown = difference(&rows(&["a | 1", "b | 3", "c | 3", "d | 4"]), &found).unwrap();
        assert_eq!(shown, "      a | 1\n    - b | 3\n    + b | 2\n      c | 3\n    - d | 4\n");
        assert_eq!(difference(&rows(&["a"]), &[]).unwrap(), "    - a\n");
        assert_eq!(difference(&[], &found[..1]).unwrap(), "    + a | 1\n");
    }
}
