//! Go's `fmt`: how values become text.

use tidewatch_promql::number;

use super::value::{List, ListKind, Map, MapKind, Value};

/// Widest field and highest precision of a format, as in Go.
const WIDTH_MAX: usize = 1_000_000;

/// Go's `fmt.Sprint`: a blank between two operands that are both no text.
pub fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&values[at - 1]) {
            out.push(' ');
        }
        plain(value, &mut out);
    }
    out
}

/// Go's `fmt.Sprintln`: blanks between all operands and a line end.
pub fn sprintln(values: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        plain(value, &mut out);
    }
    out.push('\n');
    out
}

/// `%v`.
pub fn plain(value: &Value, out: &mut String) {
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&number::general(*value)),
        Value::Text(text) | Value::Html(text) => out.push_str(text),
        Value::Time(time) => out.push_str(&time.to_string()),
        Value::Duration(nanoseconds) => out.push_str(&duration(*nanoseconds)),
        Value::List(list) if list.kind == ListKind::Pairs => pairs(list, out),
        Value::List(list) => {
            out.push('[');
            separated(list.items.iter(), " ", out, plain);
            out.push(']');
        }
        Value::Map(map) if map.kind == MapKind::Labels => labels(map, out),
        Value::Map(map) => {
            out.push_str("map[");
            separated(map.entries.iter(), " ", out, |(key, value), out| {
                out.push_str(key);
                out.push(':');
                plain(value, out);
            });
            out.push(']');
        }
        Value::Record(record) => {
            out.push('{');
            separated(record.fields.iter(), " ", out, |(_, value), out| plain(value, out));
            out.push('}');
        }
    }
}

fn separated<T>(items: impl Iterator<Item = T>, separator: &str, out: &mut String, one: impl Fn(T, &mut String)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push_str(separator);
        }
        one(item, out);
    }
}

fn pairs(list: &List, out: &mut String) {
    separated(list.items.iter(), ", ", out, |item, out| {
        if let Value::Record(pair) = item {
            plain(&pair.get("Name").unwrap_or(Value::Nil), out);
            out.push('=');
            plain(&pair.get("Value").unwrap_or(Value::Nil), out);
        }
    });
}

fn labels(map: &Map, out: &mut String) {
    separated(super::notification::sorted(map).into_iter(), ", ", out, |(key, value), out| {
        out.push_str(&key);
        out.push('=');
        plain(&value, out);
    });
}

/// Go's `time.Duration.String`: `1h2m3.5s`, and below a second `1.5ms`, `2µs`, `3ns`.
pub fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| -> String {
        let rest = value % unit;
        if rest == 0 {
            return (value / unit).to_string();
        }
        let width = unit.to_string().len() - 1;
        format!("{}.{}", value / unit, format!("{rest:0width$}").trim_end_matches('0'))
    };
    match total {
        0 => "0s".to_string(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(total, 1_000_000)),
        _ => {
            let (minutes, seconds) = (total / 60_000_000_000, fraction(total % 60_000_000_000, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// Go's `%g` with a precision: that many significant digits.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return number::general(value);
    }
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or(0);
    if power < -4 || power >= i32::try_from(digits).unwrap_or(i32::MAX) {
        return format!("{}{}", without_zeros(mantissa), go_exponent(power));
    }
    let decimals = usize::try_from(i32::try_from(digits).unwrap_or(0) - 1 - power).unwrap_or(0);
    without_zeros(&format!("{value:.decimals$}")).to_string()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn go_exponent(power: i32) -> String {
    format!("e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

#[derive(Debug, Default, Clone, Copy)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go's `fmt.Sprintf`. As there, what does not fit becomes part of the text: `%!d(string=x)`.
pub fn sprintf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = format;
    let mut next = 0;
    let mut reordered = false;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let mut spec = Spec::default();
        while let Some(flag) = rest.chars().next().filter(|flag| "+-# 0".contains(*flag)) {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
            rest = &rest[1..];
        }
        reordered |= index(&mut rest, &mut next);
        spec.width = amount(&mut rest, values, &mut next, &mut out, "WIDTH", &mut spec.minus);
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            reordered |= index(&mut rest, &mut next);
            let mut negative = false;
            spec.precision = amount(&mut rest, values, &mut next, &mut out, "PREC", &mut negative).or(Some(0));
        }
        reordered |= index(&mut rest, &mut next);
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
        } else if let Some(value) = values.get(next) {
            next += 1;
            one(verb, spec, value, &mut out);
        } else {
            out.push_str(
                &format!("%!{verb}(BADINDEX)").replace("BADINDEX", if reordered { "BADINDEX" } else { "MISSING" }),
            );
        }
    }
    out.push_str(rest);
    if !reordered && next < values.len() {
        out.push_str("%!(EXTRA ");
        separated(values[next..].iter(), ", ", &mut out, |value, out| {
            if *value == Value::Nil {
                return out.push_str("<nil>");
            }
            out.push_str(value.kind());
            out.push('=');
            plain(value, out);
        });
        out.push(')');
    }
    out
}

/// Reads `[n]`.
fn index(rest: &mut &str, next: &mut usize) -> bool {
    let Some((digits, after)) = rest.strip_prefix('[').and_then(|body| body.split_once(']')) else { return false };
    let Ok(place) = digits.parse::<usize>() else { return false };
    *next = place.saturating_sub(1);
    *rest = after;
    true
}

/// Reads a width or precision: digits, or `*` for the next value.
fn amount(
    rest: &mut &str,
    values: &[Value],
    next: &mut usize,
    out: &mut String,
    what: &str,
    minus: &mut bool,
) -> Option<usize> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        let found = values.get(*next);
        *next += 1;
        return match found {
            Some(Value::Int(value)) if value.unsigned_abs() <= WIDTH_MAX as u64 => {
                *minus |= *value < 0;
                Some(value.unsigned_abs() as usize)
            }
            _ => {
                out.push_str(&format!("%!(BAD{what})"));
                None
            }
        };
    }
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = &rest[..length];
    *rest = &rest[length..];
    digits.parse().ok().map(|width: usize| width.min(WIDTH_MAX))
}

fn one(verb: char, spec: Spec, value: &Value, out: &mut String) {
    if verb == 'T' {
        return pad(value.kind(), spec, out);
    }
    match formatted(verb, spec, value) {
        Some((text, is_number)) => {
            if is_number && spec.zero && !spec.minus {
                zero_pad(&text, spec, out);
            } else {
                pad(&text, spec, out);
            }
        }
        None if *value == Value::Nil => out.push_str(&format!("%!{verb}(<nil>)")),
        None => {
            out.push_str(&format!("%!{verb}({}=", value.kind()));
            plain(value, out);
            out.push(')');
        }
    }
}

fn pad(text: &str, spec: Spec, out: &mut String) {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    let fill =
        |out: &mut String| out.extend(std::iter::repeat_n(if spec.zero && !spec.minus { '0' } else { ' ' }, missing));
    if !spec.minus {
        fill(out);
    }
    out.push_str(text);
    if spec.minus {
        out.extend(std::iter::repeat_n(' ', missing));
    }
}

fn zero_pad(text: &str, spec: Spec, out: &mut String) {
    let body = text.strip_prefix(['+', '-', ' ']).unwrap_or(text);
    if body.starts_with(|first: char| first.is_ascii_alphabetic()) && !body.starts_with("0x") {
        return pad(text, Spec { zero: false, ..spec }, out);
    }
    out.push_str(&text[..text.len() - body.len()]);
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    out.extend(std::iter::repeat_n('0', missing));
    out.push_str(body);
}

/// The text of a verb and whether it is a number's; `None` when the verb does not fit the value.
fn formatted(verb: char, spec: Spec, value: &Value) -> Option<(String, bool)> {
    match (verb, value) {
        ('v', Value::Float(_)) => formatted('g', spec, value),
        ('v', Value::Int(_)) => formatted('d', spec, value),
        ('v', Value::Nil) => Some(("<nil>".to_string(), false)),
        ('v', Value::Text(text)) if spec.sharp => Some((tidewatch_promql::labels::quote(text), false)),
        ('v', _) => {
            let mut text = String::new();
            plain(value, &mut text);
            Some((text, false))
        }
        ('t', Value::Bool(_)) => Some((sprint(std::slice::from_ref(value)), false)),
        ('s' | 'q' | 'x' | 'X', Value::Text(text) | Value::Html(text)) => Some((textual(verb, spec, text), false)),
        ('s', Value::Time(_) | Value::Duration(_)) => Some((sprint(std::slice::from_ref(value)), false)),
        ('s', Value::List(_) | Value::Map(_) | Value::Record(_)) => Some((sprint(std::slice::from_ref(value)), false)),
        ('q', Value::List(list)) => {
            let items: Option<Vec<String>> =
                list.items.iter().map(|item| Some(formatted('q', spec, item)?.0)).collect();
            Some((format!("[{}]", items?.join(" ")), false))
        }
        (_, Value::Int(number) | Value::Duration(number)) => integer(verb, spec, *number).map(|text| (text, true)),
        (_, Value::Float(number)) => floating(verb, spec, *number).map(|text| (text, true)),
        _ => None,
    }
}

fn textual(verb: char, spec: Spec, text: &str) -> String {
    let cut: String = match spec.precision {
        Some(length) => text.chars().take(length).collect(),
        None => text.to_string(),
    };
    let hexadecimal = |upper: bool| -> String {
        cut.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    match verb {
        'q' if spec.sharp && !cut.contains('`') => format!("`{cut}`"),
        'q' => tidewatch_promql::labels::quote(&cut),
        'x' => hexadecimal(false),
        'X' => hexadecimal(true),
        _ => cut,
    }
}

fn signed(negative: bool, body: String, spec: Spec) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    format!("{sign}{body}")
}

fn integer(verb: char, spec: Spec, value: i64) -> Option<String> {
    let size = value.unsigned_abs();
    let digits = match verb {
        'd' => size.to_string(),
        'b' => format!("{size:b}"),
        'o' | 'O' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        'c' => return char::from_u32(u32::try_from(value).unwrap_or(0xfffd)).map(String::from),
        'q' => return char::from_u32(u32::try_from(value).unwrap_or(0xfffd)).map(|one| format!("'{one}'")),
        'U' => return Some(format!("U+{value:04X}")),
        _ => return None,
    };
    let width = spec.precision.unwrap_or(0);
    let prefix = match verb {
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        'b' if spec.sharp => "0b",
        'o' if spec.sharp => "0",
        'O' => "0o",
        _ => "",
    };
    Some(signed(value < 0, format!("{prefix}{digits:0>width$}"), spec))
}

fn floating(verb: char, spec: Spec, value: f64) -> Option<String> {
    let size = value.abs();
    let negative = value.is_sign_negative() && !value.is_nan();
    if !value.is_finite() {
        let body = if value.is_nan() { "NaN" } else { "Inf" };
        // Go prints +Inf with its sign where the shortest form is asked for, too.
        let plus = spec.plus || (!value.is_nan() && !spec.space);
        return "eEfFgGvxX".contains(verb).then(|| signed(negative, body.to_string(), Spec { plus, ..spec }));
    }
    let body = match verb {
        'e' | 'E' => {
            let scientific = format!("{size:.*e}", spec.precision.unwrap_or(6));
            let (mantissa, exponent) = scientific.split_once('e')?;
            format!("{mantissa}{}", go_exponent(exponent.parse().ok()?))
        }
        'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
        'g' | 'G' => match spec.precision {
            Some(digits) => significant(size, digits),
            None => number::general(size),
        },
        _ => return None,
    };
    let body = if verb.is_ascii_uppercase() { body.to_ascii_uppercase() } else { body };
    Some(signed(negative, body, spec))
}
