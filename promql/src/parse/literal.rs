//! String literals: Go's escapes in single and double quotes, none in backquotes.

use super::ast::Text;

/// What a literal, quotes included, stands for; `Err` with the offending text otherwise.
pub fn unquote(literal: &str) -> Result<Text, String> {
    let quote = literal.chars().next().unwrap_or('"');
    let body = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if quote == '`' {
        return Ok(Text { text: body.to_string(), broken: None });
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(character) = rest.chars().next() {
        if character != '\\' {
            bytes.extend_from_slice(&rest.as_bytes()[..character.len_utf8()]);
            rest = &rest[character.len_utf8()..];
            continue;
        }
        rest = escape(&rest[1..], quote, &mut bytes).ok_or_else(|| format!("invalid escape sequence in {literal}"))?;
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Text { text, broken: None },
        Err(error) => {
            let bytes = error.into_bytes();
            Text { text: String::from_utf8_lossy(&bytes).into_owned(), broken: Some(quote_bytes(&bytes)) }
        }
    })
}

/// Reads one escape after its backslash; what follows it.
fn escape<'a>(rest: &'a str, quote: char, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = rest.chars().next()?;
    let after = &rest[kind.len_utf8()..];
    let digits = |from: &'a str, count: usize, radix: u32| -> Option<(u32, &'a str)> {
        let number = u32::from_str_radix(from.get(..count)?, radix).ok()?;
        Some((number, &from[count..]))
    };
    let plain = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        _ if kind == quote => quote as u8,
        'x' => {
            let (number, after) = digits(after, 2, 16)?;
            bytes.push(u8::try_from(number).ok()?);
            return Some(after);
        }
        '0'..='7' => {
            let (number, after) = digits(rest, 3, 8)?;
            bytes.push(u8::try_from(number).ok()?);
            return Some(after);
        }
        'u' | 'U' => {
            let (number, after) = digits(after, if kind == 'u' { 4 } else { 8 }, 16)?;
            bytes.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(after);
        }
        _ => return None,
    };
    bytes.push(plain);
    Some(after)
}

fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let valid = crate::labels::quote(chunk.valid());
        quoted.push_str(&valid[1..valid.len() - 1]);
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}
