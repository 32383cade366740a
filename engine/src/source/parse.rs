//! From the text of `sources.yaml` files to checked declarations.

use super::{NamedText, PersonalKeys, SourceDef, SourcesFile};
use crate::rollup::DefinitionError;
use std::collections::{BTreeMap, BTreeSet};

/// What the `sources.yaml` texts of all packs declare.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// By name.
    pub defs: BTreeMap<String, SourceDef>,
    pub personal: PersonalKeys,
}

/// Reads the `sources.yaml` texts of all packs together; mistakes go to `errors`.
pub(crate) fn parse_sources(files: &[NamedText], errors: &mut Vec<DefinitionError>) -> Sources {
    let mut sources = Sources::default();
    let mut parsed = Vec::new();
    for (file, text) in files {
        match serde_yaml_ng::from_str::<SourcesFile>(text) {
            Ok(content) => parsed.push((NamedFile { name: file, text }, content)),
            Err(error) => {
                let at = error.location().map_or((0, 0), |l| (l.line() as u64, l.column() as u64));
                errors.push(DefinitionError::new(file, at, strip_location(&error.to_string())));
            }
        }
    }
    // A key is personal in all sources, whichever file says so.
    for (file, content) in &parsed {
        let section = sources.personal.add_section(&content.personal);
        errors.extend(section.map(|mistake| mistake.at(file, file.line_of_key("personal"))));
        for def in &content.sources {
            let mistake = sources.personal.add_fields(def);
            errors.extend(mistake.map(|mistake| mistake.at(file, file.line_of_name(&def.name))));
        }
    }
    // Event type to the topic of the source that names it first.
    let mut topics: BTreeMap<String, String> = BTreeMap::new();
    for (file, content) in parsed {
        for mut def in content.sources {
            let line = file.line_of_name(&def.name);
            let mistake = check(&def)
                .or_else(|| sources.personal.mark_fields(&mut def))
                .or_else(|| check_topic(&def, &mut topics));
            let twice = || Mistake::new(format!("source {} is declared twice", def.name));
            let mistake = match mistake {
                None => sources.defs.insert(def.name.clone(), def.clone()).map(|_| twice()),
                mistake => mistake,
            };
            errors.extend(mistake.map(|mistake| mistake.at(&file, line)));
        }
    }
    sources
}

struct NamedFile<'f> {
    name: &'f str,
    text: &'f str,
}

impl NamedFile<'_> {
    /// The line that names a source.
    fn line_of_name(&self, name: &str) -> u64 {
        self.line_of(|line| line.split_once("name:").is_some_and(|(_, v)| v.trim().trim_matches(['"', '\'']) == name))
    }

    /// The line of a key at the top.
    fn line_of_key(&self, key: &str) -> u64 {
        self.line_of(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
    }

    fn line_of(&self, is_it: impl Fn(&str) -> bool) -> u64 {
        self.text.lines().position(is_it).map_or(0, |at| at as u64 + 1)
    }
}

/// What is wrong with a declaration, and what to do.
#[derive(Debug)]
pub(super) struct Mistake {
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn at(self, file: &NamedFile<'_>, line: u64) -> DefinitionError {
        DefinitionError { hint: self.hint, ..DefinitionError::new(file.name, (line, 0), self.message) }
    }
}

/// The first mistake that a declaration shows by itself.
fn check(def: &SourceDef) -> Option<Mistake> {
    let name = &def.name;
    if !is_plain(name) {
        let message = format!("source name `{name}` must be lower-case letters, digits and underscores");
        return Some(Mistake::new(message));
    }
    let schema = def.full_schema();
    let names: BTreeSet<_> = schema.fields().iter().map(|f| f.name()).collect();
    if names.len() < schema.fields().len() {
        return Some(
            Mistake::new(format!("source {name}: a field has the name of an envelope column or of another field"))
                .hint("event_time, tenant, tenant_kind, tenant_id, event_id, event_source, subject and sequence come from the envelope; name the field otherwise and say where it lies with `path`"),
        );
    }
    check_paths(def).or_else(|| check_time_fallback(def))
}

fn check_paths(def: &SourceDef) -> Option<Mistake> {
    let name = &def.name;
    let paths: BTreeSet<&str> = def.fields.keys().map(|f| def.path(f)).collect();
    if paths.len() < def.fields.len() {
        return Some(
            Mistake::new(format!("source {name}: two fields lie at the same place of data"))
                .hint("one field may be used under several names in a rollup"),
        );
    }
    let places = || paths.iter().copied().chain(def.explode.as_deref());
    if let Some(empty) = places().find(|p| p.split('.').any(str::is_empty)) {
        return Some(Mistake::new(format!("source {name}: `{empty}` is no place of data: a key is empty")));
    }
    if let Some(array) = def.explode.as_deref().filter(|array| paths.contains(array)) {
        return Some(
            Mistake::new(format!("source {name}: `{array}` is a value and the array of explode"))
                .hint(format!("fields lie below the array, as in `{array}.id`")),
        );
    }
    let both = paths.iter().find(|p| places().any(|other| is_below(other, p)))?;
    Some(
        Mistake::new(format!("source {name}: `{both}` is a value and an object"))
            .hint(format!("`{both}` cannot have a type when there are fields `{both}.…`")),
    )
}

fn check_time_fallback(def: &SourceDef) -> Option<Mistake> {
    let name = &def.name;
    if let Some(unknown) = def.time_fallback.iter().find(|f| !def.fields.contains_key(*f)) {
        return Some(Mistake::new(format!("source {name}: time_fallback `{unknown}` is not one of its fields")));
    }
    let array = def.explode.as_deref()?;
    let inside = def.time_fallback.iter().find(|f| is_below(def.path(f), array))?;
    Some(
        Mistake::new(format!("source {name}: time_fallback `{inside}` lies in the array of explode"))
            .hint("all rows of an event have one time; name a field outside of the array"),
    )
}

fn check_topic(def: &SourceDef, topics: &mut BTreeMap<String, String>) -> Option<Mistake> {
    let topic = topics.entry(def.event_type.clone()).or_insert_with(|| def.topic.clone());
    let mistake = || {
        Mistake::new(format!("type `{}` comes from the topics {topic} and {}", def.event_type, def.topic))
            .hint("sources of one type read one topic: in a file of events nothing else tells them apart")
    };
    (*topic != def.topic).then(mistake)
}

/// Does `path` lie in the object or array at `above`?
pub(super) fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

/// Names that stand in SQL without quotes and in paths.
pub(crate) fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The YAML library puts the position into its text as well; the error has it already.
fn strip_location(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |at| &message[..at])
}
