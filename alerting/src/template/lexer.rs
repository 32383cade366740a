//! Cuts a template into texts and the tokens of its actions.

/// A token with the byte at which it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub at: usize,
}

/// The kinds of tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Plain text between actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// Blanks within an action, which separate arguments.
    Space,
    /// A keyword or the name of a function.
    Word(String),
    /// `.Name`, without the dot.
    Field(String),
    /// `$name`, with the dollar; `$` alone.
    Variable(String),
    /// `.`
    Dot,
    /// A number or character literal as written.
    Number(String),
    /// A string literal, unquoted.
    Quoted(String),
    /// `|`
    Pipe,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `,`
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// The end of the template.
    End,
}

/// A mistake at a byte.
pub type Mistake = (usize, String);

/// Cuts `text` into tokens, ending with [`Kind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token>, Mistake> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), parens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    /// Where the parentheses that are open stand.
    parens: Vec<usize>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, at: usize) {
        self.tokens.push(Token { kind, at });
    }

    fn run(&mut self) -> Result<(), Mistake> {
        let mut trim_left = false;
        loop {
            let begin = self.at;
            let found = self.rest().find("{{");
            let end = found.map_or(self.text.len(), |offset| begin + offset);
            let trims = found.is_some() && is_trim(&self.text[end + 2..]);
            let mut body = &self.text[begin..end];
            if trim_left {
                body = body.trim_start_matches(BLANKS);
            }
            if trims {
                body = body.trim_end_matches(BLANKS);
            }
            if !body.is_empty() {
                let body = body.to_string();
                self.push(Kind::Text(body), begin);
            }
            if found.is_none() {
                self.push(Kind::End, self.text.len());
                return Ok(());
            }
            self.at = end + 2 + if trims { 2 } else { 0 };
            trim_left = if self.rest().starts_with("/*") { self.comment(end)? } else { self.action(end)? };
        }
    }

    /// Passes a comment; whether it trims the text after it.
    fn comment(&mut self, open: usize) -> Result<bool, Mistake> {
        let Some(length) = self.rest().find("*/") else { return Err((open, "unclosed comment".to_string())) };
        self.at += length + 2;
        for (closing, trims) in [("}}", false), (" -}}", true), ("\t-}}", true), ("\n-}}", true), ("\r-}}", true)] {
            if self.rest().starts_with(closing) {
                self.at += closing.len();
                return Ok(trims);
            }
        }
        Err((open, "comment ends before closing delimiter".to_string()))
    }

    /// Cuts the inside of an action; whether it trims the text after it.
    fn action(&mut self, open: usize) -> Result<bool, Mistake> {
        self.push(Kind::Open, open);
        self.parens.clear();
        loop {
            let at = self.at;
            let rest = self.rest();
            let trims = rest.starts_with(BLANKS) && rest[1..].starts_with("-}}");
            if trims || rest.starts_with("}}") {
                if let Some(paren) = self.parens.last() {
                    return Err((*paren, "unclosed left paren".to_string()));
                }
                self.at += if trims { 4 } else { 2 };
                self.push(Kind::Close, at);
                return Ok(trims);
            }
            let Some(first) = rest.chars().next() else { return Err((open, "unclosed action".to_string())) };
            self.token(first, at)?;
        }
    }

    fn token(&mut self, first: char, at: usize) -> Result<(), Mistake> {
        let single = |kind: Kind| (kind, first.len_utf8());
        let next = self.rest()[first.len_utf8()..].chars().next();
        let (kind, length) = match first {
            _ if BLANKS.contains(&first) => {
                let mut length = self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
                // A blank before a trimming end belongs to it.
                if length > 1 && self.rest()[length..].starts_with("-}}") {
                    length -= 1;
                }
                (Kind::Space, length)
            }
            '|' => single(Kind::Pipe),
            ',' => single(Kind::Comma),
            '=' => single(Kind::Assign),
            ':' if next == Some('=') => (Kind::Declare, 2),
            ':' => return Err((at, "expected :=".to_string())),
            '(' => {
                self.parens.push(at);
                single(Kind::LeftParen)
            }
            ')' => {
                if self.parens.pop().is_none() {
                    return Err((at, "unexpected right paren".to_string()));
                }
                single(Kind::RightParen)
            }
            '"' | '`' => self.quoted(first, at)?,
            '\'' => self.character(at)?,
            '$' => {
                let length = 1 + word_length(&self.rest()[1..]);
                (Kind::Variable(self.rest()[..length].to_string()), length)
            }
            '.' if !next.is_some_and(|digit| digit.is_ascii_digit()) => match word_length(&self.rest()[1..]) {
                0 => single(Kind::Dot),
                length => (Kind::Field(self.rest()[1..=length].to_string()), length + 1),
            },
            _ if first.is_ascii_digit() || matches!(first, '+' | '-' | '.') => self.number(at)?,
            _ if first.is_alphanumeric() || first == '_' => {
                let length = word_length(self.rest());
                (Kind::Word(self.rest()[..length].to_string()), length)
            }
            _ => return Err((at, format!("unexpected {first:?} in action"))),
        };
        self.at += length;
        let ends_word = matches!(kind, Kind::Word(_) | Kind::Field(_) | Kind::Variable(_));
        if ends_word && !self.is_at_terminator() {
            let found = self.rest().chars().next().unwrap_or_default();
            return Err((self.at, format!("bad character {found:?}")));
        }
        self.push(kind, at);
        Ok(())
    }

    /// What may follow a name without a blank.
    fn is_at_terminator(&self) -> bool {
        self.rest().starts_with("}}")
            || match self.rest().chars().next() {
                None => true,
                Some(next) => BLANKS.contains(&next) || matches!(next, '.' | ',' | '|' | ':' | ')' | '(' | '='),
            }
    }

    fn quoted(&self, delimiter: char, at: usize) -> Result<(Kind, usize), Mistake> {
        let body = &self.rest()[1..];
        let mut escaped = false;
        for (offset, character) in body.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' if delimiter == '"' => escaped = true,
                '\n' if delimiter == '"' => break,
                found if found == delimiter => {
                    let inner = &body[..offset];
                    let text = match delimiter {
                        '`' => inner.replace('\r', ""),
                        _ => unescape(inner).ok_or_else(|| (at, "invalid syntax in quoted string".to_string()))?,
                    };
                    return Ok((Kind::Quoted(text), offset + 2));
                }
                _ => {}
            }
        }
        let what = if delimiter == '`' { "unterminated raw quoted string" } else { "unterminated quoted string" };
        Err((at, what.to_string()))
    }

    fn character(&self, at: usize) -> Result<(Kind, usize), Mistake> {
        let wrong = || (at, "unterminated character constant".to_string());
        let body = &self.rest()[1..];
        let mut end = 0;
        loop {
            match body[end..].chars().next().ok_or_else(wrong)? {
                '\\' => end += 1 + body[end + 1..].chars().next().ok_or_else(wrong)?.len_utf8(),
                '\'' => break,
                '\n' => return Err(wrong()),
                other => end += other.len_utf8(),
            }
        }
        let inner = unescape(&body[..end].replace("\\'", "'")).ok_or_else(wrong)?;
        let mut characters = inner.chars();
        match (characters.next(), characters.next()) {
            (Some(one), None) => Ok((Kind::Number(u32::from(one).to_string()), end + 2)),
            _ => Err((at, format!("malformed character constant: '{}'", &body[..end]))),
        }
    }

    fn number(&self, at: usize) -> Result<(Kind, usize), Mistake> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let hexadecimal = rest[sign..].starts_with("0x") || rest[sign..].starts_with("0X");
        let mut length = sign;
        let bytes = rest.as_bytes();
        while length < bytes.len() {
            let byte = bytes[length];
            let after_exponent = !hexadecimal && length > sign && matches!(bytes[length - 1], b'e' | b'E');
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || after_exponent && b"+-".contains(&byte) {
                length += 1;
            } else {
                break;
            }
        }
        let literal = &rest[..length];
        if number(literal).is_none() {
            return Err((at, format!("bad number syntax: {literal:?}")));
        }
        Ok((Kind::Number(literal.to_string()), length))
    }
}

/// A number literal: an integer where it is one.
pub fn number(literal: &str) -> Option<Result<i64, f64>> {
    let body = literal.trim_start_matches(['+', '-']);
    let value = tidewatch_promql::number::parse(literal).filter(|value| value.is_finite())?;
    let lower = body.to_ascii_lowercase();
    let is_radix = ["0x", "0b", "0o"].iter().any(|prefix| lower.starts_with(prefix));
    let is_integer = is_radix || !lower.contains(['.', 'e']);
    if !is_integer {
        return Some(Err(value));
    }
    // Beyond 2^53 a float no longer knows the digits.
    let exact = literal.replace('_', "").parse::<i64>().ok().filter(|_| !body.starts_with('0'));
    Some(Ok(exact.unwrap_or(value as i64)))
}

fn is_trim(after: &str) -> bool {
    after.starts_with('-') && after[1..].starts_with(BLANKS)
}

fn word_length(text: &str) -> usize {
    text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len())
}

/// Resolves the escapes of Go's interpreted string literals.
pub fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let kind = characters.next()?;
        let mut digits = |radix: u32, count: usize, head: Option<char>| -> Option<u32> {
            let mut value = head.map_or(Some(0), |head| head.to_digit(radix))?;
            for _ in 0..count {
                value = value * radix + characters.next()?.to_digit(radix)?;
            }
            Some(value)
        };
        let byte = match kind {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            '"' => b'"',
            'x' => u8::try_from(digits(16, 2, None)?).ok()?,
            '0'..='7' => u8::try_from(digits(8, 2, Some(kind))?).ok()?,
            'u' | 'U' => {
                let value = digits(16, if kind == 'u' { 4 } else { 8 }, None)?;
                let mut buffer = [0; 4];
                out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut buffer).as_bytes());
                continue;
            }
            _ => return None,
        };
        out.push(byte);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}
