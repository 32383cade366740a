//! The series notation of Prometheus' test scripts and rule tests: `up{job="x"} 1+2x3 _ stale {{count:3}}`.
//!
//! | notation | samples |
//! |---|---|
//! | `5` | one |
//! | `5x3` | 5, and 5 three times more |
//! | `5+2x3`, `5-2x3` | 5, then three more, each greater (less) by 2 |
//! | `_`, `_x3` | none for one (three) intervals |
//! | `stale` | the series ends here |
//! | `{{schema:1 count:3 sum:4 buckets:[1 2]}}` | a native histogram; the same repetitions apply |

use crate::histogram::{CounterReset, Histogram, Indexed, Layout};
use crate::labels::Labels;
use crate::matcher::MatchOp;
use crate::parse::parse_selector;
use crate::series::STALE;

/// What stands at one interval of the notation.
#[derive(Debug, Clone, PartialEq)]
pub enum Notated {
    /// No sample.
    Nothing,
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram {
        /// The histogram.
        histogram: Histogram,
        /// Whether the notation named a counter reset hint.
        hint_given: bool,
    },
}

/// Reads a line of the notation: labels, then one entry per interval.
///
/// # Errors
/// A sentence about what cannot be read.
pub fn parse_series(line: &str) -> Result<(Labels, Vec<Notated>), String> {
    let line = line.trim();
    let end = labels_end(line)?;
    let labels = parse_labels(&line[..end])?;
    Ok((labels, parse_values(&line[end..])?))
}

/// Reads a label set as `name{label="value"}`, either part of which may be missing.
///
/// # Errors
/// A sentence about what cannot be read.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    if text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|body| body.trim().is_empty()) {
        return Ok(Labels::empty());
    }
    let matchers = parse_selector(text).map_err(|error| error.to_string())?;
    if let Some(other) = matchers.iter().find(|matcher| matcher.op != MatchOp::Equal) {
        return Err(format!("a label set has equalities only, found {other}"));
    }
    Ok(Labels::new(matchers.into_iter().map(|matcher| (matcher.name, matcher.value))))
}

/// Where the labels end: after the closing brace, or at the first blank when there is none before it.
fn labels_end(line: &str) -> Result<usize, String> {
    let name = line.find(|character: char| character.is_whitespace() || character == '{').unwrap_or(line.len());
    let blanks = line[name..].len() - line[name..].trim_start().len();
    let brace = name + blanks;
    if !line[brace..].starts_with('{') || line[brace..].starts_with("{{") && name > 0 {
        return Ok(name);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in line[brace..].char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Ok(brace + at + 1),
            _ => {}
        }
    }
    Err(format!("the braces of {line:?} are not closed"))
}

/// Reads the entries after the labels.
///
/// # Errors
/// A sentence about what cannot be read.
pub fn parse_values(text: &str) -> Result<Vec<Notated>, String> {
    let mut values = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") { histograms(rest, &mut values)? } else { plain(rest, &mut values)? };
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(format!("expected a blank before {rest:?}"));
        }
        rest = rest.trim_start();
    }
    Ok(values)
}

fn plain<'a>(rest: &'a str, values: &mut Vec<Notated>) -> Result<&'a str, String> {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (entry, after) = rest.split_at(end);
    let wrong = || format!("cannot read {entry:?} as a value");
    if let Some(times) = entry.strip_prefix('_') {
        let times = match times.strip_prefix('x') {
            Some(times) => times.parse::<usize>().map_err(|_| wrong())?,
            None if times.is_empty() => 1,
            None => return Err(wrong()),
        };
        values.extend(std::iter::repeat_n(Notated::Nothing, times));
        return Ok(after);
    }
    if entry == "stale" {
        values.push(Notated::Float(STALE));
        return Ok(after);
    }
    let (number, times) = match entry.rsplit_once('x') {
        Some((number, times)) => (number, Some(times.parse::<usize>().map_err(|_| wrong())?)),
        None => (entry, None),
    };
    let Some(times) = times else {
        values.push(Notated::Float(crate::number::parse(number).ok_or_else(wrong)?));
        return Ok(after);
    };
    // The sign that begins the step: not the first character and not an exponent's.
    let bytes = number.as_bytes();
    let split = (1..number.len()).find(|at| b"+-".contains(&bytes[*at]) && !b"eE".contains(&bytes[at - 1]));
    let (start, step) = number.split_at(split.unwrap_or(number.len()));
    let start = crate::number::parse(start).ok_or_else(wrong)?;
    let step = if step.is_empty() { 0.0 } else { crate::number::parse(step).ok_or_else(wrong)? };
    // Added up as Prometheus does, so that rounding is the same.
    let mut value = start;
    for _ in 0..=times {
        values.push(Notated::Float(value));
        value += step;
    }
    Ok(after)
}

fn histograms<'a>(rest: &'a str, values: &mut Vec<Notated>) -> Result<&'a str, String> {
    let (first, hint_given, mut after) = histogram(rest)?;
    let mut step = None;
    for sign in ['+', '-'] {
        if let Some(body) = after.strip_prefix(sign).filter(|body| body.starts_with("{{")) {
            let (amount, _, next) = histogram(body)?;
            step = Some((sign, amount));
            after = next;
        }
    }
    let mut times = 0;
    if let Some(body) = after.strip_prefix('x') {
        let digits = body.bytes().take_while(u8::is_ascii_digit).count();
        times = body[..digits].parse().map_err(|_| format!("expected a number of times before {body:?}"))?;
        after = &body[digits..];
    }
    let mut value = first;
    for _ in 0..=times {
        values.push(Notated::Histogram { histogram: value.clone(), hint_given });
        if let Some((sign, amount)) = &step {
            let hint = value.counter_reset;
            let result = if *sign == '+' { value.add(amount) } else { value.subtract(amount) };
            result.map_err(|error| error.to_string())?;
            value.counter_reset = hint;
        }
    }
    Ok(after)
}

/// Reads `{{key:value …}}`; the histogram, whether a hint was named, and what follows.
fn histogram(text: &str) -> Result<(Histogram, bool, &str), String> {
    let end = text.find("}}").ok_or_else(|| format!("the braces of {text:?} are not closed"))?;
    let (body, after) = (&text[2..end], &text[end + 2..]);
    let mut read = Fields::default();
    let mut rest = body.trim_start();
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':').ok_or_else(|| format!("expected a key in {rest:?}"))?;
        let length = match value.strip_prefix('[') {
            Some(list) => list.find(']').ok_or_else(|| format!("the list {value:?} is not closed"))? + 2,
            None => value.find(char::is_whitespace).unwrap_or(value.len()),
        };
        read.set(key, &value[..length])?;
        rest = value[length..].trim_start();
    }
    let hint_given = read.hint.is_some();
    Ok((read.histogram(), hint_given, after))
}

#[derive(Default)]
struct Fields {
    schema: i32,
    sum: f64,
    count: f64,
    zero_count: f64,
    zero_width: f64,
    custom_values: Vec<f64>,
    buckets: Vec<f64>,
    offset: i32,
    negative_buckets: Vec<f64>,
    negative_offset: i32,
    hint: Option<CounterReset>,
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("cannot read {value:?} as {key:?} of a histogram");
        let number = || crate::number::parse(value).ok_or_else(wrong);
        let whole = || value.parse::<i32>().map_err(|_| wrong());
        let list = || {
            let body = value.trim_matches(|character| character == '[' || character == ']');
            body.split_whitespace()
                .map(|item| crate::number::parse(item).ok_or_else(wrong))
                .collect::<Result<Vec<f64>, String>>()
        };
        match key {
            "schema" => self.schema = whole()?,
            "sum" => self.sum = number()?,
            "count" => self.count = number()?,
            "z_bucket" => self.zero_count = number()?,
            "z_bucket_w" => self.zero_width = number()?,
            "custom_values" => self.custom_values = list()?,
            "buckets" => self.buckets = list()?,
            "offset" => self.offset = whole()?,
            "n_buckets" => self.negative_buckets = list()?,
            "n_offset" => self.negative_offset = whole()?,
            "counter_reset_hint" => {
                self.hint = Some(match value {
                    "unknown" => CounterReset::Unknown,
                    "reset" => CounterReset::Reset,
                    "not_reset" => CounterReset::NotReset,
                    "gauge" => CounterReset::Gauge,
                    _ => return Err(wrong()),
                });
            }
            _ => return Err(format!("a histogram has no {key:?}")),
        }
        Ok(())
    }

    fn histogram(self) -> Histogram {
        let layout = if self.schema == crate::histogram::CUSTOM_SCHEMA {
            Layout::Custom { bounds: self.custom_values.into() }
        } else {
            Layout::Exponential { schema: self.schema }
        };
        let indexed = |offset: i32, counts: &[f64]| -> Vec<Indexed> {
            (offset..).zip(counts).map(|(index, count)| Indexed { index, count: *count }).collect()
        };
        let mut histogram = Histogram::empty(layout);
        histogram.counter_reset = self.hint.unwrap_or_default();
        (histogram.sum, histogram.count) = (self.sum, self.count);
        (histogram.zero_count, histogram.zero_threshold) = (self.zero_count, self.zero_width);
        histogram.positive = indexed(self.offset, &self.buckets);
        histogram.negative = indexed(self.negative_offset, &self.negative_buckets);
        histogram.compact();
        histogram
    }
}

#[cfg(test)]
mod tests;
