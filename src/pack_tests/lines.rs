//! Where the items of a YAML list stand: the parser knows it for mistakes only, and people want it for
//! every event and query.

/// Line numbers, from 1, of the items of the list under a top-level key; as many as the list has, or
/// none at all when the text is laid out in a way that we do not see through.
pub fn of_items(text: &str, key: &str, items: usize) -> Vec<usize> {
    let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !is_key(line)).skip(1);
    let mut found = Vec::new();
    let mut indent = None;
    for (number, line) in &mut lines {
        let content = line.trim_start();
        let depth = line.len() - content.len();
        let is_item = content == "-" || content.starts_with("- ");
        match indent {
            _ if content.is_empty() || content.starts_with('#') => {}
            None if is_item => {
                indent = Some(depth);
                found.push(number + 1);
            }
            Some(own) if is_item && depth == own => found.push(number + 1),
            Some(own) if depth > own => {}
            _ => break,
        }
    }
    if found.len() == items { found } else { Vec::new() }
}

/// The documents of a text, cut at lines of `---`, with the number of lines before each.
pub fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(0, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line.trim_end() == "---" {
            documents.push((number + 1, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let says_nothing = |text: &str| text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
    documents.retain(|(_, text)| !says_nothing(text));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_however_deep_they_go() {
        let text = "name: x\nevents:\n  # the first\n  - a: {x: 1}\n\n  - b:\n      - no\n    more: 1\n  -\n    c: 1\nqueries:\n- sql: 1\n- sql: |\n    - 2\nafter: 1\n";
        assert_eq!(of_items(text, "events", 3), [4, 6, 9]);
        assert_eq!(of_items(text, "queries", 2), [12, 13]);
        assert!(of_items(text, "queries", 3).is_empty());
        assert!(of_items("events: [a, b]", "events", 2).is_empty());
        assert!(of_items("", "events", 0).is_empty());
    }

    #[test]
    fn documents_know_where_they_begin() {
        let found = documents("# head\n---\nname: a\n---\n\nname: b\n");
        assert_eq!(found, [(2, "name: a\n".to_owned()), (4, "\nname: b\n".to_owned())]);
    }
}
