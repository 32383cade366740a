//! Cuts a `views.sql` into its `CREATE VIEW name AS SELECT …` statements.

use crate::definitions::DeclaredTable;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::rollup::DefinitionError;

/// What a statement of this file looks like.
const EXPECTED: &str = "expected CREATE VIEW name AS SELECT …";

/// One statement as it stands in its file.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub file: String,
    pub name: String,
    /// Line and column of the name.
    pub position: (u64, u64),
    /// The `SELECT`, preceded by as many line breaks and blanks as stand before it in the file, so
    /// that positions in messages about it are positions in the file.
    pub query: String,
    /// Words of the query and where they stand.
    words: Vec<(String, (u64, u64))>,
}

impl Text {
    /// A mistake at a place, or at the view's name when there is none.
    pub fn error_at(&self, place: Option<(u64, u64)>, message: impl AsRef<str>) -> DefinitionError {
        let message = format!("view {}: {}", self.name, message.as_ref());
        DefinitionError::new(&self.file, place.unwrap_or(self.position), message)
    }

    /// Where a word stands for the first time in the query.
    pub fn place_of(&self, word: &str) -> Option<(u64, u64)> {
        self.words.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, place)| *place)
    }

    /// Why this view cannot have its name; a name that is fine is added to `taken`.
    pub fn refused_name(
        &self,
        tables: &BTreeMap<String, DeclaredTable>,
        taken: &mut BTreeSet<String>,
    ) -> Option<DefinitionError> {
        let name = &self.name;
        let refused = |message: String| DefinitionError::new(&self.file, self.position, message);
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !is_plain {
            let hint = "lower-case letters, digits and underscores";
            return Some(refused(format!("a view cannot be named `{name}`")).hint(hint));
        }
        if let Some(table) = tables.get(name) {
            let kind = if table.rollup.is_some() { "a rollup" } else { "a table" };
            let hint = "rollups and views are named alike in queries: use another name";
            return Some(refused(format!("view {name} has the name of {kind}")).hint(hint));
        }
        (!taken.insert(name.clone())).then(|| refused(format!("view {name} is defined twice")))
    }
}

fn position(token: &TokenWithSpan) -> (u64, u64) {
    (token.span.start.line, token.span.start.column)
}

/// All statements of a file, and all mistakes found while cutting it up.
pub(super) fn split(file: &str, text: &str) -> (Vec<Text>, Vec<DefinitionError>) {
    let tokens = match Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(TokenizerError { message, location }) => {
            return (Vec::new(), vec![DefinitionError::new(file, (location.line, location.column), message)]);
        }
    };
    let lines = Lines::of(text);
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for part in tokens.split(|t| t.token == Token::SemiColon) {
        let part: Vec<&TokenWithSpan> =
            part.iter().filter(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF)).collect();
        if part.is_empty() {
            continue;
        }
        match read(file, text, &lines, &part) {
            Ok(found) => texts.push(found),
            Err(error) => errors.push(error),
        }
    }
    (texts, errors)
}

fn read(file: &str, text: &str, lines: &Lines, part: &[&TokenWithSpan]) -> Result<Text, DefinitionError> {
    let word = |at: usize| match part.get(at).map(|t| &t.token) {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    };
    let is = |at: usize, keyword: &str| word(at).is_some_and(|w| w.value.eq_ignore_ascii_case(keyword));
    let place_of = |at: usize| part.get(at).or(part.last()).map_or((0, 0), |t| position(t));
    let unexpected = |at: usize, hint: &str| DefinitionError::new(file, place_of(at), EXPECTED).hint(hint);
    if !is(0, "create") {
        return Err(unexpected(0, "each statement of this file defines one view and ends with a semicolon"));
    }
    if is(1, "or") {
        return Err(unexpected(1, "a pack defines a view once; leave out OR REPLACE"));
    }
    if is(1, "rollup") {
        return Err(unexpected(1, "rollups stand in rollups.sql"));
    }
    if !is(1, "view") {
        return Err(unexpected(1, "this file holds views only"));
    }
    let Some(name) = word(2) else { return Err(unexpected(2, "a view has a name")) };
    if !is(3, "as") {
        return Err(unexpected(3, "columns are named in the SELECT, with AS"));
    }
    let name_text = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
    let starts_query = is(4, "select") || is(4, "with") || part.get(4).is_some_and(|t| t.token == Token::LParen);
    let (true, Some(first), Some(last)) = (starts_query, part.get(4), part.last()) else {
        let message = format!("view {name_text}: a view is a SELECT");
        return Err(DefinitionError::new(file, place_of(4), message).hint(EXPECTED));
    };
    let (start, end) = (first.span.start, last.span.end);
    let query = &text[lines.byte_at(text, start.line, start.column)..lines.byte_at(text, end.line, end.column)];
    let padding =
        "\n".repeat(start.line.saturating_sub(1) as usize) + &" ".repeat(start.column.saturating_sub(1) as usize);
    let words = part[4..].iter().filter_map(|t| match &t.token {
        Token::Word(word) => Some((word.value.clone(), position(t))),
        _ => None,
    });
    Ok(Text {
        file: file.to_owned(),
        name: name_text,
        position: place_of(2),
        query: padding + query,
        words: words.collect(),
    })
}

/// Where the lines of a text start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Byte position of a line and a column (characters), both from 1.
    fn byte_at(&self, text: &str, line: u64, column: u64) -> usize {
        let start = self.0.get(line.saturating_sub(1) as usize).copied().unwrap_or(text.len());
        let rest = text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column.saturating_sub(1) as usize).map_or(rest.len(), |(at, _)| at)
    }
}
