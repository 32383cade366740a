//! Go's predefined template functions, except `and` and `or`, which need not evaluate all their arguments.

use std::cmp::Ordering;

use super::print;
use super::value::Value;

/// Names of all predefined functions.
pub const NAMES: [&str; 19] = [
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// The value of a predefined function, `None` when `name` is none.
pub fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    Some(match name {
        "eq" => equal(args),
        "ne" => two(name, args).and_then(|(left, right)| Ok(Value::Bool(!same(left, right)?))),
        "lt" => compare(name, args).map(|order| Value::Bool(order == Some(Ordering::Less))),
        "le" => compare(name, args).map(|order| Value::Bool(matches!(order, Some(Ordering::Less | Ordering::Equal)))),
        "gt" => two(name, args)
            .and_then(|(left, right)| order(left, right).map(|order| Value::Bool(order == Some(Ordering::Greater)))),
        "ge" => two(name, args).and_then(|(left, right)| {
            order(left, right).map(|order| Value::Bool(matches!(order, Some(Ordering::Greater | Ordering::Equal))))
        }),
        "not" => match args {
            [one] => Ok(Value::Bool(!one.is_true())),
            _ => Err(wrong_count(name, 1, args.len())),
        },
        "len" => length(args),
        "index" => index(args),
        "slice" => slice(args),
        "print" => Ok(Value::text(print::sprint(args))),
        "println" => Ok(Value::text(print::sprintln(args))),
        "printf" => match args.split_first() {
            Some((Value::Text(format), values)) => Ok(Value::text(print::sprintf(format, values))),
            Some((other, _)) => Err(format!("wrong type for value; expected string; got {}", other.kind())),
            None => Err("wrong number of args for printf: want at least 1 got 0".to_string()),
        },
        "html" => Ok(Value::text(html(&all_text(args)))),
        "js" => Ok(Value::text(js(&all_text(args)))),
        "urlquery" => Ok(Value::text(url_query(&all_text(args)))),
        "call" => Err("call: there are no values that are functions".to_string()),
        _ => return None,
    })
}

/// The complaint about a number of arguments.
pub fn wrong_count(name: &str, wanted: usize, found: usize) -> String {
    format!("wrong number of args for {name}: want {wanted} got {found}")
}

fn two<'a>(name: &str, args: &'a [Value]) -> Result<(&'a Value, &'a Value), String> {
    match args {
        [left, right] => Ok((left, right)),
        _ => Err(wrong_count(name, 2, args.len())),
    }
}

fn equal(args: &[Value]) -> Result<Value, String> {
    let Some((first, others)) = args.split_first() else {
        return Err("wrong number of args for eq: want at least 1 got 0".to_string());
    };
    if others.is_empty() {
        return Err("error calling eq: missing argument for comparison".to_string());
    }
    for other in others {
        if same(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn same(left: &Value, right: &Value) -> Result<bool, String> {
    Ok(match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Nil, other) | (other, Value::Nil) => {
            comparable(other)?;
            false
        }
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => left == right,
        (Value::Float(left), Value::Float(right)) => left == right,
        (Value::Text(left) | Value::Html(left), Value::Text(right) | Value::Html(right)) => left == right,
        (Value::Time(left), Value::Time(right)) => left == right,
        (Value::Record(left), Value::Record(right)) => left == right,
        (left, right) => {
            comparable(left)?;
            comparable(right)?;
            return Err("incompatible types for comparison".to_string());
        }
    })
}

fn comparable(value: &Value) -> Result<(), String> {
    match value {
        Value::List(_) | Value::Map(_) => Err(format!("non-comparable type {}", value.kind())),
        _ => Ok(()),
    }
}

fn compare(name: &str, args: &[Value]) -> Result<Option<Ordering>, String> {
    let (left, right) = two(name, args)?;
    order(left, right)
}

fn order(left: &Value, right: &Value) -> Result<Option<Ordering>, String> {
    let is_basic = |value: &Value| {
        matches!(
            value,
            Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Html(_) | Value::Duration(_) | Value::Bool(_)
        )
    };
    match (left, right) {
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => {
            Ok(Some(left.cmp(right)))
        }
        (Value::Float(left), Value::Float(right)) => Ok(left.partial_cmp(right)),
        (Value::Text(left) | Value::Html(left), Value::Text(right) | Value::Html(right)) => Ok(Some(left.cmp(right))),
        (left, right) if is_basic(left) && is_basic(right) && left.kind() != right.kind() => {
            let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Float(_));
            let hint = if is_number(left) && is_number(right) { " (write 5.0 to compare with a float)" } else { "" };
            Err(format!("incompatible types for comparison{hint}"))
        }
        _ => Err("invalid type for comparison".to_string()),
    }
}

fn length(args: &[Value]) -> Result<Value, String> {
    let [one] = args else { return Err(wrong_count("len", 1, args.len())) };
    let length = match one {
        Value::Text(text) | Value::Html(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        other => return Err(format!("error calling len: len of type {}", other.kind())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let Some((first, keys)) = args.split_first() else {
        return Err("wrong number of args for index: want at least 1 got 0".to_string());
    };
    let fail = |message: String| Err(format!("error calling index: {message}"));
    let mut value = first.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::List(list), Value::Int(at)) => match usize::try_from(*at).ok().and_then(|at| list.items.get(at)) {
                Some(item) => item.clone(),
                None => return fail(format!("index out of range: {at}")),
            },
            (Value::Text(text), Value::Int(at)) => {
                match usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at)) {
                    Some(byte) => Value::Int(i64::from(*byte)),
                    None => return fail(format!("index out of range: {at}")),
                }
            }
            (Value::Map(map), Value::Text(key)) => map.get(key),
            (Value::List(_) | Value::Text(_), key) => {
                return fail(format!("cannot index slice/array with type {}", key.kind()));
            }
            (Value::Map(_), key) => return fail(format!("value has type {}; should be string", key.kind())),
            (Value::Nil, _) => return fail("index of untyped nil".to_string()),
            (other, _) => return fail(format!("can't index item of type {}", other.kind())),
        };
    }
    Ok(value)
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let fail = |message: String| Err(format!("error calling slice: {message}"));
    let Some((first, bounds)) = args.split_first() else {
        return Err("wrong number of args for slice: want at least 1 got 0".to_string());
    };
    if bounds.len() > 3 {
        return fail(format!("too many slice indexes: {}", bounds.len()));
    }
    let length = match first {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return fail(format!("can't slice item of type {}", other.kind())),
    };
    let mut ends = [0, length];
    for (end, bound) in ends.iter_mut().zip(bounds) {
        match bound {
            Value::Int(at) => match usize::try_from(*at).ok().filter(|at| *at <= length) {
                Some(at) => *end = at,
                None => return fail(format!("index out of range: {at}")),
            },
            other => return fail(format!("cannot index slice/array with type {}", other.kind())),
        }
    }
    let [from, to] = ends;
    if from > to {
        return fail(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match first {
        Value::Text(text) => Value::text(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned()),
        Value::List(list) => Value::list_of(list.kind, list.items[from..to].to_vec()),
        other => other.clone(),
    })
}

fn all_text(args: &[Value]) -> String {
    match args {
        [Value::Text(text) | Value::Html(text)] => text.to_string(),
        _ => print::sprint(args),
    }
}

/// Go's `template.HTMLEscapeString`.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// Go's `template.JSEscapeString`.
pub fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            control if u32::from(control) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out
}

/// Go's `url.QueryEscape`.
pub fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
