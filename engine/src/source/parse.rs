//! From the text of `sources.yaml` files to checked declarations.

use super::{NamedText, SourceDef, SourcesFile};
use crate::rollup::DefinitionError;
use std::collections::{BTreeMap, BTreeSet};

/// Reads the `sources.yaml` texts of all packs together; mistakes go to `errors`.
pub(crate) fn parse_sources(files: &[NamedText], errors: &mut Vec<DefinitionError>) -> BTreeMap<String, SourceDef> {
    let mut defs: BTreeMap<String, SourceDef> = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (file, text) in files {
        let parsed: SourcesFile = match serde_yaml_ng::from_str(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let at = error.location().map_or((0, 0), |l| (l.line() as u64, l.column() as u64));
                errors.push(DefinitionError::new(file, at, strip_location(&error.to_string())));
                continue;
            }
        };
        for def in parsed.sources {
            let at = (line_of(text, &def.name), 0);
            let schema = def.full_schema();
            let names: BTreeSet<_> = schema.fields().iter().map(|f| f.name()).collect();
            let paths: BTreeSet<&str> = def.fields.keys().map(|f| def.path(f)).collect();
            let is_object =
                |path: &str| paths.iter().any(|p| p.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
            if !is_plain(&def.name) {
                errors.push(DefinitionError::new(
                    file,
                    at,
                    format!("source name `{}` must be lower-case letters, digits and underscores", def.name),
                ));
            } else if names.len() < schema.fields().len() {
                errors.push(DefinitionError::new(file, at, format!("source {}: a field has the name of an envelope column or of another field", def.name))
                    .hint("event_time, tenant, tenant_kind, tenant_id, event_id, event_source, subject and sequence come from the envelope; name the field otherwise and say where it lies with `path`"));
            } else if paths.len() < def.fields.len() {
                errors.push(
                    DefinitionError::new(
                        file,
                        at,
                        format!("source {}: two fields lie at the same place of data", def.name),
                    )
                    .hint("one field may be used under several names in a rollup"),
                );
            } else if let Some(both) = paths.iter().find(|p| is_object(p)) {
                errors.push(
                    DefinitionError::new(file, at, format!("source {}: `{both}` is a value and an object", def.name))
                        .hint(format!("`{both}` cannot have a type when there are fields `{both}.…`")),
                );
            } else if let Some(unknown) = def.time_fallback.iter().find(|f| !def.fields.contains_key(*f)) {
                errors.push(DefinitionError::new(
                    file,
                    at,
                    format!("source {}: time_fallback `{unknown}` is not one of its fields", def.name),
                ));
            } else if let Some(other) = types.insert(def.event_type.clone(), def.name.clone()) {
                errors.push(
                    DefinitionError::new(
                        file,
                        at,
                        format!("sources {other} and {} have the same type `{}`", def.name, def.event_type),
                    )
                    .hint("an event type is one source; several rollups may read it"),
                );
            } else if defs.insert(def.name.clone(), def.clone()).is_some() {
                errors.push(DefinitionError::new(file, at, format!("source {} is declared twice", def.name)));
            }
        }
    }
    defs
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

fn line_of(text: &str, name: &str) -> u64 {
    let is_name =
        |line: &str| line.split_once("name:").is_some_and(|(_, v)| v.trim().trim_matches(['"', '\'']) == name);
    text.lines().position(is_name).map_or(0, |at| at as u64 + 1)
}
