//! Fenced blocks of Markdown, by what stands behind their language.

/// A block.
pub struct Block {
    /// Page and line of its text.
    pub place: String,
    pub kind: Kind,
    pub expect: Expect,
    /// The file that it is, in the folder of the server.
    pub file: Option<String>,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Shell,
    Sql,
    Promql,
    /// Of Tidewatch: `tidewatch.toml`.
    Settings,
    Rules,
    Routes,
    /// Only a file, which others read.
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Answer,
    NoRows,
    Refused,
    NotRun,
}

/// All blocks of a page. Panics at one that says not what it is.
pub fn read(page: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some(begin(&format!("{page}:{}", number + 2), info)),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    blocks
}

fn begin(place: &str, info: &str) -> Block {
    let (info, reason) = info.split_once(": ").unwrap_or((info, ""));
    let mut words = info.split_whitespace();
    let language = words.next().unwrap_or_else(|| panic!("{place}: a block without a language"));
    let (mut expect, mut file, mut is) = (Expect::Answer, None, None);
    for word in words {
        match (word, word.split_once('=')) {
            (_, Some(("file", name))) => file = Some(name.to_owned()),
            ("no-run", _) => {
                assert!(!reason.trim().is_empty(), "{place}: no-run without a reason");
                expect = Expect::NotRun;
            }
            ("no-rows", _) => expect = Expect::NoRows,
            ("refused", _) => expect = Expect::Refused,
            ("rules", _) => is = Some(Kind::Rules),
            ("routes", _) => is = Some(Kind::Routes),
            _ => panic!("{place}: what does {word} mean?"),
        }
    }
    let kind = match (language, is, &file) {
        ("sh", None, None) => Kind::Shell,
        ("sql", None, None) => Kind::Sql,
        ("promql", None, None) => Kind::Promql,
        ("toml", None, _) => Kind::Settings,
        ("yaml", Some(kind), None) => kind,
        ("yaml" | "sql", None, Some(_)) => Kind::File,
        _ if expect == Expect::NotRun => Kind::File,
        _ => panic!("{place}: nothing says what this {language} is"),
    };
    Block { place: place.to_owned(), kind, expect, file, text: String::new() }
}

/// As a field of a form.
pub fn form(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
