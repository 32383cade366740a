//! DataFusion's messages, cut down to the part that helps whoever wrote the query.

/// The message without the names of its errors' kinds and of the catalogue that all tables are in.
pub(crate) fn plain(message: &str) -> String {
    let prefixes =
        ["Error during planning: ", "SQL error: ", "Schema error: ", "Execution error: ", "External error: "];
    let mut rest = message;
    while let Some(stripped) = prefixes.iter().find_map(|p| rest.strip_prefix(p)) {
        rest = stripped;
    }
    own_words(rest).replace("tidewatch.public.", "")
}

/// A message and the hint that stands on a line of its own below it, as ours do.
pub(crate) fn with_hint(message: &str) -> (&str, Option<&str>) {
    match message.split_once(HINT) {
        Some((message, hint)) => (message, Some(hint)),
        None => (message, None),
    }
}

/// What stands before a hint.
const HINT: &str = "\n  hint: ";

/// A function that refuses its arguments says why in its own words, which DataFusion wraps into
/// others: a list of candidates that says less.
fn own_words(message: &str) -> &str {
    let Some((_, own)) = message.split_once("user-defined coercion failed with: Error during planning: ") else {
        return message;
    };
    own.split(" No function matches the given name").next().unwrap_or(own)
}

/// `ParserError("…")` in words, and where it stands (line and column, from 1) when it says so.
pub(crate) fn syntax(message: &str) -> (&str, Option<(u64, u64)>) {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    let Some((words, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let place = place.split_once(", Column: ").and_then(|(line, column)| {
        let column = column.trim_end_matches(|c: char| !c.is_ascii_digit());
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    (words, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_says_is_left() {
        let wrapped = "Error during planning: Function 'quantile' user-defined coercion failed with: Error during planning: quantile takes two things. No function matches the given name and argument types 'quantile(Int64)'. You might need to add explicit type casts.\n\tCandidate functions:\n\tquantile(UserDefined)";
        assert_eq!(plain(wrapped), "quantile takes two things.");
        assert_eq!(plain("Error during planning: table 'tidewatch.public.a' not found"), "table 'a' not found");
    }

    #[test]
    fn syntax_errors_have_a_place() {
        assert_eq!(
            syntax("sql parser error: Expected: x, found: y at Line: 3, Column: 14"),
            ("Expected: x, found: y", Some((3, 14)))
        );
        assert_eq!(syntax("Expected: x, found: EOF"), ("Expected: x, found: EOF", None));
    }
}
