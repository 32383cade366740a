//! Cuts a `rollups.sql` into its `CREATE ROLLUP name AS SELECT …` statements.

use super::DefinitionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// One statement, with the query that it wraps.
#[derive(Debug)]
pub(super) struct Statement {
    pub file: String,
    pub name: String,
    /// Line and column of the name.
    pub position: (u64, u64),
    /// The `SELECT`, preceded by as many line breaks and blanks as stand before it in the file, so
    /// that positions in messages about it are positions in the file.
    pub query: String,
    tokens: Vec<TokenWithSpan>,
}

impl Statement {
    /// Where a word stands for the first time in the query, else where the statement's name stands.
    pub fn locate(&self, word: &str) -> (u64, u64) {
        self.tokens
            .iter()
            .find(|t| matches!(&t.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word)))
            .map_or(self.position, position)
    }

    /// A mistake at a word of the query.
    pub fn error(&self, word: &str, message: impl Into<String>) -> DefinitionError {
        DefinitionError::new(&self.file, self.locate(word), format!("rollup {}: {}", self.name, message.into()))
    }
}

fn position(token: &TokenWithSpan) -> (u64, u64) {
    (token.span.start.line, token.span.start.column)
}

/// All statements of a file, and all mistakes found while cutting it up.
pub(super) fn split(file: &str, text: &str) -> (Vec<Statement>, Vec<DefinitionError>) {
    let tokens = match Tokenizer::new(&GenericDialect {}, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(TokenizerError { message, location }) => {
            let at = (location.line, location.column);
            return (Vec::new(), vec![DefinitionError::new(file, at, message)]);
        }
    };
    let (mut statements, mut errors) = (Vec::new(), Vec::new());
    for part in tokens.split(|t| t.token == Token::SemiColon) {
        let part: Vec<TokenWithSpan> =
            part.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).cloned().collect();
        match part.first() {
            None => {}
            Some(first) => match read(file, text, &part) {
                Some(statement) => statements.push(statement),
                None => errors.push(
                    DefinitionError::new(file, position(first), "expected CREATE ROLLUP name AS SELECT …")
                        .hint("each statement of this file defines one rollup and ends with a semicolon"),
                ),
            },
        }
    }
    (statements, errors)
}

fn read(file: &str, text: &str, part: &[TokenWithSpan]) -> Option<Statement> {
    let word = |at: usize| match &part.get(at)?.token {
        Token::Word(word) => Some(word),
        _ => None,
    };
    let is = |at: usize, keyword: &str| word(at).is_some_and(|w| w.value.eq_ignore_ascii_case(keyword));
    if !(is(0, "create") && is(1, "rollup") && is(3, "as") && is(4, "select")) {
        return None;
    }
    let name = word(2)?;
    let name_text = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    let start = part[4].span.start;
    let end = part.last()?.span.end;
    let query = &text[byte_at(text, start.line, start.column)..byte_at(text, end.line, end.column)];
    let padding =
        "\n".repeat(start.line.saturating_sub(1) as usize) + &" ".repeat(start.column.saturating_sub(1) as usize);
    Some(Statement {
        file: file.to_owned(),
        name: name_text,
        position: position(&part[2]),
        query: padding + query,
        tokens: part[4..].to_vec(),
    })
}

/// Byte position of a line and a column (characters), both from 1.
fn byte_at(text: &str, line: u64, column: u64) -> usize {
    let line_start = text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum::<usize>();
    let rest = text.get(line_start..).unwrap_or_default();
    line_start + rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(rest.len(), |(at, _)| at)
}
