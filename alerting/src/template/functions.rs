//! Functions that Prometheus' and Alertmanager's templates share.

use regex::Regex;

use super::builtin::wrong_count;
use super::value::Value;

/// The text of argument `at`.
pub fn text(args: &[Value], at: usize) -> Result<&str, String> {
    match args.get(at) {
        Some(Value::Text(text) | Value::Html(text)) => Ok(text),
        Some(other) => Err(format!("wrong type for value; expected string; got {}", other.kind())),
        None => Err(format!("argument {} is missing", at + 1)),
    }
}

/// Exactly `N` texts.
pub fn texts<'a, const N: usize>(name: &str, args: &'a [Value]) -> Result<[&'a str; N], String> {
    if args.len() != N {
        return Err(wrong_count(name, N, args.len()));
    }
    let mut found = [""; N];
    for (at, slot) in found.iter_mut().enumerate() {
        *slot = text(args, at)?;
    }
    Ok(found)
}

/// Calls a shared function; `None` when there is none of that name.
pub fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    Some(match name {
        "toUpper" => texts(name, args).map(|[text]| Value::text(text.to_uppercase())),
        "toLower" => texts(name, args).map(|[text]| Value::text(text.to_lowercase())),
        "match" => texts(name, args).and_then(|[pattern, text]| Ok(Value::Bool(regex(pattern)?.is_match(text)))),
        "reReplaceAll" => texts(name, args)
            .and_then(|[pattern, with, text]| Ok(Value::text(regex(pattern)?.replace_all(text, with).into_owned()))),
        "safeHtml" => texts(name, args).map(|[text]| Value::Html(text.into())),
        _ => return None,
    })
}

/// Names of the shared functions.
pub const NAMES: [&str; 5] = ["toUpper", "toLower", "match", "reReplaceAll", "safeHtml"];

fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("the regular expression {pattern:?} is not valid: {error}"))
}

/// Upper case for the first letter of each word; `lower_rest` as Alertmanager does it.
pub fn title(text: &str, lower_rest: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for character in text.chars() {
        let is_letter = character.is_alphanumeric() || matches!(character, '\'' | '_' | '’');
        if is_letter && !within && character.is_alphanumeric() {
            out.extend(character.to_uppercase());
        } else if lower_rest && within {
            out.extend(character.to_lowercase());
        } else {
            out.push(character);
        }
        within = is_letter && (within || character.is_alphanumeric() || character == '_');
    }
    out
}
