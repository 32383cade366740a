//! Finds packs and turns them into a catalogue.

use anyhow::{Context, Result, bail};
use std::path::Path;
use tidewatch_engine::rollup::Catalog;

/// What precedes the name of a pack that is compiled in.
pub const BUILTIN: &str = "builtin:";

const SOURCES: &str = "sources.yaml";
const ROLLUPS: &str = "rollups.sql";

/// Packs that are compiled in: name, sources, rollups.
const BUILTINS: [(&str, &str, &str); 1] = [(
    "creatorflow",
    include_str!("../packs/creatorflow/sources.yaml"),
    include_str!("../packs/creatorflow/rollups.sql"),
)];

/// Reads and plans packs together. The error lists every mistake found.
pub fn load(packs: &[String]) -> Result<Catalog> {
    let (mut sources, mut rollups) = (Vec::new(), Vec::new());
    for pack in packs {
        if let Some(name) = pack.strip_prefix(BUILTIN) {
            let Some((_, builtin_sources, builtin_rollups)) = BUILTINS.iter().find(|b| b.0 == name) else {
                bail!("there is no built-in pack `{name}`; there is: {}", BUILTINS.map(|b| b.0).join(", "));
            };
            sources.push((format!("{pack}/{SOURCES}"), (*builtin_sources).to_owned()));
            rollups.push((format!("{pack}/{ROLLUPS}"), (*builtin_rollups).to_owned()));
            continue;
        }
        for (file, texts) in [(SOURCES, &mut sources), (ROLLUPS, &mut rollups)] {
            let path = Path::new(pack).join(file);
            let text = std::fs::read_to_string(&path).with_context(|| format!("pack file {}", path.display()))?;
            texts.push((path.display().to_string(), text));
        }
    }
    Catalog::parse(&sources, &rollups).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let count = lines.len();
        anyhow::anyhow!("{}\n{count} mistake{} in the packs", lines.join("\n"), if count == 1 { "" } else { "s" })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_built_in_packs_are_without_mistakes() {
        for (name, ..) in super::BUILTINS {
            let catalog = super::load(&[format!("builtin:{name}")]).unwrap();
            assert!(catalog.rollups().count() > 5, "{name}");
        }
        let unknown = super::load(&["builtin:nothing".to_owned()]).unwrap_err();
        assert!(unknown.to_string().contains("creatorflow"), "{unknown}");
    }
}
