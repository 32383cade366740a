//! The newer notation: any text as a name or value, quoted where it contains reserved characters.

use super::{MatchOp, Matcher};

/// Characters that end an unquoted name or value.
pub(super) fn is_reserved(character: char) -> bool {
    character.is_whitespace() || "{}!=~,\\\"'`".contains(character)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Open,
    Close,
    Comma,
    Op(MatchOp),
    Text(&'a str),
    Quoted(&'a str),
    End,
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn error<T>(&self, expected: &str) -> Result<T, String> {
        let column = self.text.len() - self.rest.len();
        let found = self.rest.split(is_reserved).next().filter(|word| !word.is_empty());
        let found = found.or_else(|| self.rest.get(..1)).unwrap_or("the end");
        Err(format!("{column}: expected {expected}, found {found}"))
    }

    /// The next token and what follows it.
    fn peek(&self) -> Result<(Token<'a>, &'a str), String> {
        let rest = self.rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok((Token::End, rest)) };
        for (sign, token) in [
            ("{", Token::Open),
            ("}", Token::Close),
            (",", Token::Comma),
            ("=~", Token::Op(MatchOp::Regex)),
            ("=", Token::Op(MatchOp::Equal)),
            ("!=", Token::Op(MatchOp::NotEqual)),
            ("!~", Token::Op(MatchOp::NotRegex)),
        ] {
            if let Some(rest) = rest.strip_prefix(sign) {
                return Ok((token, rest));
            }
        }
        if first == '"' {
            let mut escaped = false;
            for (at, character) in rest.char_indices().skip(1) {
                match character {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => return Ok((Token::Quoted(&rest[..=at]), &rest[at + 1..])),
                    _ => {}
                }
            }
            return self.error("a closing quote");
        }
        if is_reserved(first) {
            return self.error("a name, an operator or a value");
        }
        let end = rest.find(is_reserved).unwrap_or(rest.len());
        Ok((Token::Text(&rest[..end]), &rest[end..]))
    }

    fn next(&mut self) -> Result<Token<'a>, String> {
        let (token, rest) = self.peek()?;
        self.rest = rest;
        Ok(token)
    }

    fn word(&mut self, what: &str) -> Result<String, String> {
        match self.peek()? {
            (Token::Text(text), rest) => {
                self.rest = rest;
                Ok(text.to_string())
            }
            (Token::Quoted(quoted), rest) => {
                self.rest = rest;
                unquote(quoted).ok_or_else(|| format!("{quoted}: invalid input"))
            }
            _ => self.error(what),
        }
    }
}

/// Zero or more matchers, in braces or not; a comma may follow the last.
pub(super) fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    let mut reader = Reader { text, rest: text };
    let mut found = Vec::new();
    let braces = reader.peek()?.0 == Token::Open;
    if braces {
        reader.next()?;
    } else if reader.peek()?.0 == Token::End {
        return Ok(found);
    }
    loop {
        match reader.peek()?.0 {
            Token::Close if braces => {
                reader.next()?;
                return if reader.peek()?.0 == Token::End { Ok(found) } else { reader.error("the end") };
            }
            Token::End if !braces && !found.is_empty() => return Ok(found),
            _ => {}
        }
        let name = reader.word("a label name")?;
        let Token::Op(op) = reader.next()? else { return reader.error("an operator such as =, !=, =~ or !~") };
        let value = reader.word("a label value")?;
        found.push(Matcher::new(op, name, value)?);
        match reader.peek()?.0 {
            Token::Comma => {
                reader.next()?;
            }
            Token::Close | Token::End => {}
            _ => return reader.error("a comma or close brace"),
        }
    }
}

/// A text in double quotes with Go's escapes, without them.
fn unquote(quoted: &str) -> Option<String> {
    let body = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    let push = |bytes: &mut Vec<u8>, character: char| {
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(character) = rest.next() {
        if character == '\n' {
            return None;
        }
        if character != '\\' {
            push(&mut bytes, character);
            continue;
        }
        let (digits, radix) = match rest.next()? {
            'a' => (None, 7),
            'b' => (None, 8),
            'f' => (None, 12),
            'n' => (None, 10),
            'r' => (None, 13),
            't' => (None, 9),
            'v' => (None, 11),
            '\\' => (None, 92),
            '"' => (None, 34),
            'x' => (Some((String::new(), 2)), 16),
            'u' => (Some((String::new(), 4)), 16),
            'U' => (Some((String::new(), 8)), 16),
            octal @ '0'..='7' => (Some((octal.to_string(), 3)), 8),
            _ => return None,
        };
        let Some((mut digits, length)) = digits else {
            bytes.push(u8::try_from(radix).ok()?);
            continue;
        };
        while digits.len() < length {
            digits.push(rest.next()?);
        }
        let code = u32::from_str_radix(&digits, radix).ok()?;
        match length {
            2 | 3 => bytes.push(u8::try_from(code).ok()?),
            _ => push(&mut bytes, char::from_u32(code)?),
        }
    }
    String::from_utf8(bytes).ok()
}
