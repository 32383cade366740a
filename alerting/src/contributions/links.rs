//! Pages that annotations name.

use std::collections::BTreeMap;

/// Ending of the names of annotations that hold an address.
const ENDING: &str = "_url";
/// The page that says what to do has a place of its own.
const RUNBOOK: &str = "runbook_url";

/// The addresses of annotations whose names end in `_url`, by title: `grafana_board_url` is "grafana board".
pub fn links<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let is_page = |address: &str| address.starts_with("http://") || address.starts_with("https://");
    let named = annotations.into_iter().filter(|(name, address)| *name != RUNBOOK && is_page(address));
    named
        .filter_map(|(name, address)| {
            let title = name.strip_suffix(ENDING).filter(|title| !title.is_empty())?;
            Some((title.replace('_', " "), address.to_string()))
        })
        .collect()
}
