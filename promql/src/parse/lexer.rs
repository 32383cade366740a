//! Cuts the text of a query into tokens.

use crate::error::ParseError;
use crate::position::Span;

use super::ast::BinaryOp;

/// What a token is; its text is the [`Token::span`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Identifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    At,
    /// `=`
    Equal,
    /// `=~`
    RegexEqual,
    /// `!~`
    RegexNotEqual,
    Operator(BinaryOp),
    End,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// All tokens of `query`, the last one being [`Kind::End`].
pub fn tokens(query: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { query, bytes: query.as_bytes(), at: 0, parens: 0, in_braces: false, in_brackets: false };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        tokens.push(token);
        if token.kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    query: &'a str,
    bytes: &'a [u8],
    at: usize,
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Token, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let Some(first) = self.peek(0) else { return self.end() };
        let kind = match first {
            b'(' => self.open_paren(),
            b')' => self.close_paren()?,
            b'{' => self.open_brace()?,
            b'}' => self.close_brace()?,
            b'[' => self.open_bracket()?,
            b']' => self.close_bracket()?,
            b',' => self.single(Kind::Comma),
            b'@' => self.single(Kind::At),
            b'"' | b'\'' | b'`' => self.string(first)?,
            b':' if self.in_brackets => self.single(Kind::Colon),
            b'=' | b'!' | b'<' | b'>' => self.comparison(first)?,
            b'+' => self.single(Kind::Operator(BinaryOp::Add)),
            b'-' => self.single(Kind::Operator(BinaryOp::Sub)),
            b'*' => self.single(Kind::Operator(BinaryOp::Mul)),
            b'/' => self.single(Kind::Operator(BinaryOp::Div)),
            b'%' => self.single(Kind::Operator(BinaryOp::Mod)),
            b'^' => self.single(Kind::Operator(BinaryOp::Pow)),
            b'0'..=b'9' => self.number_or_duration()?,
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number_or_duration()?,
            _ if first.is_ascii_alphabetic() || first == b'_' || first == b':' && !self.in_braces => self.identifier(),
            _ => return Err(self.unexpected_character()),
        };
        Ok(Token { kind, span: Span::new(start, self.at) })
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn single(&mut self, kind: Kind) -> Kind {
        self.at += 1;
        kind
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    while self.peek(0).is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn fail(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.query, Span::new(self.at, self.at), message)
    }

    fn unexpected_character(&self) -> ParseError {
        let character = self.query[self.at..].chars().next().unwrap_or('\0');
        let place = if self.in_braces {
            " inside braces"
        } else if self.in_brackets {
            " in duration expression"
        } else {
            ""
        };
        self.fail(format!("unexpected character{place}: {character:?}"))
    }

    fn end(&self) -> Result<Token, ParseError> {
        if self.in_braces {
            return Err(self.fail("unexpected end of input inside braces"));
        }
        if self.in_brackets {
            return Err(self.fail("unclosed left bracket"));
        }
        if self.parens > 0 {
            return Err(self.fail("unclosed left parenthesis"));
        }
        Ok(Token { kind: Kind::End, span: Span::new(self.at, self.at) })
    }

    fn open_paren(&mut self) -> Kind {
        self.parens += 1;
        self.single(Kind::LeftParen)
    }

    fn close_paren(&mut self) -> Result<Kind, ParseError> {
        if self.parens == 0 {
            return Err(self.fail("unexpected right parenthesis ')'"));
        }
        self.parens -= 1;
        Ok(self.single(Kind::RightParen))
    }

    fn open_brace(&mut self) -> Result<Kind, ParseError> {
        if self.in_braces {
            return Err(self.fail("unexpected left brace '{'"));
        }
        self.in_braces = true;
        Ok(self.single(Kind::LeftBrace))
    }

    fn close_brace(&mut self) -> Result<Kind, ParseError> {
        if !self.in_braces {
            return Err(self.unexpected_character());
        }
        self.in_braces = false;
        Ok(self.single(Kind::RightBrace))
    }

    fn open_bracket(&mut self) -> Result<Kind, ParseError> {
        if self.in_brackets {
            return Err(self.fail("unexpected left bracket '['"));
        }
        self.in_brackets = true;
        Ok(self.single(Kind::LeftBracket))
    }

    fn close_bracket(&mut self) -> Result<Kind, ParseError> {
        if !self.in_brackets {
            return Err(self.fail("unexpected right bracket ']'"));
        }
        self.in_brackets = false;
        Ok(self.single(Kind::RightBracket))
    }

    fn comparison(&mut self, first: u8) -> Result<Kind, ParseError> {
        let (kind, length) = match (first, self.peek(1)) {
            (b'=', Some(b'=')) => (Kind::Operator(BinaryOp::Eq), 2),
            (b'=', Some(b'~')) => (Kind::RegexEqual, 2),
            (b'=', _) => (Kind::Equal, 1),
            (b'!', Some(b'=')) => (Kind::Operator(BinaryOp::Ne), 2),
            (b'!', Some(b'~')) => (Kind::RegexNotEqual, 2),
            (b'<', Some(b'=')) => (Kind::Operator(BinaryOp::Le), 2),
            (b'<', _) => (Kind::Operator(BinaryOp::Lt), 1),
            (b'>', Some(b'=')) => (Kind::Operator(BinaryOp::Ge), 2),
            (b'>', _) => (Kind::Operator(BinaryOp::Gt), 1),
            _ => {
                let next = self.query[self.at + 1..].chars().next();
                return Err(self.fail(match next {
                    Some(next) => format!("unexpected character after '!': {next:?}"),
                    None => "unexpected character after '!': end of input".to_string(),
                }));
            }
        };
        self.at += length;
        Ok(kind)
    }

    fn string(&mut self, quote: u8) -> Result<Kind, ParseError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek(0) {
                Some(byte) if byte == quote => break,
                Some(b'\\') if quote != b'`' => self.at += 2,
                Some(b'\n') | None if quote != b'`' => {
                    return Err(ParseError::new(self.query, Span::new(start, self.at), "unterminated quoted string"));
                }
                Some(_) => self.at += 1,
                None => return Err(ParseError::new(self.query, Span::new(start, start), "unterminated raw string")),
            }
        }
        self.at += 1;
        Ok(Kind::String)
    }

    /// Digits with units are a duration, digits without a number; what is neither is refused as a whole.
    fn number_or_duration(&mut self) -> Result<Kind, ParseError> {
        let start = self.at;
        while let Some(byte) = self.peek(0) {
            let previous = self.bytes[self.at.saturating_sub(1).max(start)];
            let hexadecimal = self.query[start..self.at].to_ascii_lowercase().starts_with("0x");
            let signed_exponent = matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E') && !hexadecimal;
            if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || signed_exponent) {
                break;
            }
            self.at += 1;
        }
        let text = &self.query[start..self.at];
        if crate::number::parse(text).is_some() {
            return Ok(Kind::Number);
        }
        if text.bytes().any(|byte| byte.is_ascii_alphabetic()) && crate::duration::parse(text).is_ok() {
            return Ok(Kind::Duration);
        }
        let message = match crate::duration::parse(text) {
            Err(why) if why.contains("range") => why,
            _ => format!("bad number or duration syntax: {text:?}"),
        };
        Err(ParseError::new(self.query, Span::new(start, self.at), message))
    }

    fn identifier(&mut self) -> Kind {
        let start = self.at;
        while self.peek(0).is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':' && !self.in_brackets && !self.in_braces
        }) {
            self.at += 1;
        }
        let text = &self.query[start..self.at];
        let is_number = !self.in_braces && (text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("nan"));
        if is_number { Kind::Number } else { Kind::Identifier }
    }
}
