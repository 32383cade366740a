//! `rules.yaml` of packs: Prometheus rule files, and whether what they read is there.

use super::Mistakes;
use std::collections::BTreeSet;
use tidewatch_alerting::rules::{Group, LoadOptions, Rule, load as load_file, selected};
use tidewatch_query::Definitions;
use tidewatch_query::promql::known_names;

/// What the evaluation of rules writes itself.
const WRITTEN: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];
/// Names in a hint.
const NAMES_MAX: usize = 12;

/// The groups of all files.
///
/// Errors: every mistake, with file, line and column.
pub fn load(texts: &[(String, String)]) -> Result<Vec<Group>, Mistakes> {
    let (mut groups, mut mistakes) = (Vec::new(), Vec::new());
    for (file, text) in texts {
        match load_file(file, text, LoadOptions::default()) {
            Ok(loaded) => groups.extend(loaded.groups),
            Err(errors) => mistakes.extend(errors.0.iter().map(ToString::to_string)),
        }
    }
    if mistakes.is_empty() { Ok(groups) } else { Err(Mistakes(mistakes)) }
}

/// Names that rules ask for and that look like those of a rollup or view, which has no such metric. Others may be
/// pushed by somebody.
pub fn unknown_names(texts: &[(String, String)], groups: &[Group], definitions: &Definitions) -> Vec<String> {
    let known = known_names(definitions);
    let all = || groups.iter().flat_map(|group| &group.rules);
    let recorded: BTreeSet<&str> =
        all().filter(|rule| matches!(rule, Rule::Recording(_))).map(|rule| rule.name().as_ref()).collect();
    let is_there = |name: &str| known.contains(name) || recorded.contains(name) || WRITTEN.contains(&name);
    let mut warnings = Vec::new();
    for (file, text) in texts {
        let of_file = groups.iter().filter(|group| *group.file == **file).enumerate();
        for (at_group, group) in of_file {
            for (at_rule, rule) in group.rules.iter().enumerate() {
                for name in selected::names(rule.query()).iter().filter(|name| !is_there(name)) {
                    let Some(owner) = owner(name, definitions) else { continue };
                    let (line, column) = selected::place_of(text, at_group, at_rule);
                    let own: Vec<&str> =
                        known.iter().map(String::as_str).filter(|k| has(owner, k)).take(NAMES_MAX).collect();
                    let hint = if own.is_empty() { "nothing that is a number".to_owned() } else { own.join(", ") };
                    let (group, rule) = (&group.name, rule.name());
                    warnings.push(format!(
                        "{file}:{line}:{column}: group {group:?}, rule {rule:?}: nothing is named {name}\n  hint: of {owner} there is {hint}"
                    ));
                }
            }
        }
    }
    warnings
}

/// The table or view whose metric a name looks like: that with the longest name.
fn owner<'d>(name: &str, definitions: &'d Definitions) -> Option<&'d str> {
    definitions.names().into_iter().filter(|owner| has(owner, name)).max_by_key(|owner| owner.len())
}

fn has(owner: &str, name: &str) -> bool {
    name.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}
