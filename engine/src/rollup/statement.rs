//! Cuts a `rollups.sql` into its `CREATE ROLLUP name [WITH (…)] AS SELECT … [UNION ALL BY NAME SELECT …]`.

use super::DefinitionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// One definition: its name, its options, and what is counted into it.
#[derive(Debug)]
pub(super) struct Definition {
    pub file: String,
    pub name: String,
    /// Line and column of the name.
    pub position: (u64, u64),
    /// `key = 'value'` of `WITH (…)`, each with the place of its key.
    pub options: Vec<(String, String, (u64, u64))>,
    /// One `SELECT` per branch of a `UNION ALL BY NAME`; at least one.
    pub branches: Vec<Statement>,
}

impl Definition {
    /// A mistake of the definition as a whole.
    pub fn error(&self, at: (u64, u64), message: impl Into<String>) -> DefinitionError {
        DefinitionError::new(&self.file, at, format!("rollup {}: {}", self.name, message.into()))
    }
}

/// One `SELECT` of a definition.
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
pub(super) fn split(file: &str, text: &str) -> (Vec<Definition>, Vec<DefinitionError>) {
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
                Ok(statement) => statements.push(statement),
                Err(at) => errors.push(
                    DefinitionError::new(
                        file,
                        position(at.unwrap_or(first)),
                        "expected CREATE ROLLUP name [WITH (key = 'value')] AS SELECT …",
                    )
                    .hint("each statement of this file defines one rollup and ends with a semicolon"),
                ),
            },
        }
    }
    (statements, errors)
}

/// Reads one definition; the token that does not fit, if one can be named.
fn read<'t>(file: &str, text: &str, part: &'t [TokenWithSpan]) -> Result<Definition, Option<&'t TokenWithSpan>> {
    let word = |at: usize| match &part.get(at)?.token {
        Token::Word(word) => Some(word),
        _ => None,
    };
    let is = |at: usize, keyword: &str| word(at).is_some_and(|w| w.value.eq_ignore_ascii_case(keyword));
    let (true, true, Some(name)) = (is(0, "create"), is(1, "rollup"), word(2)) else { return Err(None) };
    let name_text = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    let (options, at) = if is(3, "with") { read_options(part, 4)? } else { (Vec::new(), 3) };
    if !(is(at, "as") && is(at + 1, "select")) {
        return Err(part.get(at));
    }
    let branches = split_union(&part[at + 1..]).into_iter().map(|branch| Statement {
        file: file.to_owned(),
        name: name_text.clone(),
        position: position(&part[2]),
        query: padded(text, branch),
        tokens: branch.to_vec(),
    });
    let branches = branches.collect();
    Ok(Definition { file: file.to_owned(), name: name_text.clone(), position: position(&part[2]), options, branches })
}

type Options = Vec<(String, String, (u64, u64))>;

/// Reads `(key = 'value', …)` from token `at` on; returns the token after it, too.
fn read_options(part: &[TokenWithSpan], mut at: usize) -> Result<(Options, usize), Option<&TokenWithSpan>> {
    let mut options = Options::new();
    let is = |at: usize, token: &Token| part.get(at).is_some_and(|t| t.token == *token);
    if !is(at, &Token::LParen) {
        return Err(part.get(at));
    }
    loop {
        match (part.get(at + 1).map(|t| &t.token), part.get(at + 3).map(|t| &t.token)) {
            (Some(Token::Word(key)), Some(Token::SingleQuotedString(value))) if is(at + 2, &Token::Eq) => {
                options.push((key.value.to_lowercase(), value.clone(), position(&part[at + 1])));
            }
            _ => return Err(part.get(at + 1)),
        }
        at += 4;
        match part.get(at).map(|t| &t.token) {
            Some(Token::Comma) => {}
            Some(Token::RParen) => return Ok((options, at + 1)),
            _ => return Err(part.get(at)),
        }
    }
}

/// The parts between `UNION ALL BY NAME` outside of parentheses.
fn split_union(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let is = |at: usize, keyword: &str| matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(w)) if w.value.eq_ignore_ascii_case(keyword));
    let (mut depth, mut start) = (0usize, 0);
    let mut parts = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && is(at, "union") && is(at + 1, "all") && is(at + 2, "by") && is(at + 3, "name") => {
                parts.push(&tokens[start..at]);
                start = (at + 4).min(tokens.len());
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts
}

/// The text of some tokens, preceded by as many line breaks and blanks as stand before it in the file.
fn padded(text: &str, tokens: &[TokenWithSpan]) -> String {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return String::new() };
    let (start, end) = (first.span.start, last.span.end);
    let query = &text[byte_at(text, start.line, start.column)..byte_at(text, end.line, end.column)];
    "\n".repeat(start.line.saturating_sub(1) as usize) + &" ".repeat(start.column.saturating_sub(1) as usize) + query
}

/// Byte position of a line and a column (characters), both from 1.
fn byte_at(text: &str, line: u64, column: u64) -> usize {
    let line_start = text.split_inclusive('\n').take(line.saturating_sub(1) as usize).map(str::len).sum::<usize>();
    let rest = text.get(line_start..).unwrap_or_default();
    line_start + rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(rest.len(), |(at, _)| at)
}
