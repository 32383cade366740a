//! The classic notation: names of ASCII letters, values with or without quotes.

use super::{MatchOp, Matcher};

/// A comma-separated list; one leading `{` and one trailing `}` are dropped, a comma at the end is allowed.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let (mut tokens, mut token) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        match character {
            ',' if !quoted => {
                tokens.push(std::mem::take(&mut token));
                continue;
            }
            // A comma leaves the escape as it is.
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
        token.push(character);
    }
    if !token.trim().is_empty() {
        tokens.push(token.trim().to_string());
    }
    tokens.iter().map(|token| matcher(token)).collect()
}

/// One matcher: name, operator, and the rest as the value.
pub(super) fn matcher(text: &str) -> Result<Matcher, String> {
    let bad = || format!("bad matcher format: {text}");
    let space = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    let rest = text.trim_start_matches(space);
    let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let rest = rest.trim_start_matches(space);
    let ops = [("=~", MatchOp::Regex), ("=", MatchOp::Equal), ("!=", MatchOp::NotEqual), ("!~", MatchOp::NotRegex)];
    let found = ops.into_iter().find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)));
    let (op, rest) = found.ok_or_else(bad)?;
    Matcher::new(op, name, unescape(rest.trim_matches(space))?)
}

/// The value without quotes and escapes: `\"`, `\\` and `\n` are escapes, any other backslash is itself.
fn unescape(raw: &str) -> Result<String, String> {
    let unexpected = || format!("matcher value contains unescaped double quote: {raw}");
    let (body, mut open) = raw.strip_prefix('"').map_or((raw, false), |body| (body, true));
    let (mut value, mut escaped) = (String::with_capacity(body.len()), false);
    for (at, character) in body.char_indices() {
        let last = at + character.len_utf8() == body.len();
        if escaped {
            escaped = false;
            match character {
                'n' => value.push('\n'),
                '"' | '\\' => value.push(character),
                other => value.extend(['\\', other]),
            }
            continue;
        }
        match character {
            '\\' if !last => escaped = true,
            '"' if !open || !last => return Err(unexpected()),
            '"' => open = false,
            other => value.push(other),
        }
    }
    if open { Err(unexpected()) } else { Ok(value) }
}
