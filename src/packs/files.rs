//! The files of packs.

use super::{BUILTIN, Mistakes};
use std::io::ErrorKind;
use std::path::Path;

const SOURCES: &str = "sources.yaml";
const ROLLUPS: &str = "rollups.sql";
const VIEWS: &str = "views.sql";
const RULES: &str = "rules.yaml";
/// Rules with functions that Prometheus does not have, apart from those that promtool reads.
const DETECTORS: &str = "detectors.yaml";
/// How tests of rules end, which `promtool` reads as well: `rules_test.yaml`, `rules_more_test.yaml`.
const TEST_OF_RULES: (&str, &str) = ("rules_", "test.yaml");

/// Packs that are compiled in.
const BUILTINS: [Builtin; 4] = [
    Builtin {
        name: "creatorflow",
        sources: include_str!("../../packs/creatorflow/sources.yaml"),
        rollups: include_str!("../../packs/creatorflow/rollups.sql"),
        views: include_str!("../../packs/creatorflow/views.sql"),
        rules: include_str!("../../packs/creatorflow/rules.yaml"),
        detectors: include_str!("../../packs/creatorflow/detectors.yaml"),
    },
    Builtin {
        name: "platform",
        sources: include_str!("../../packs/platform/sources.yaml"),
        rollups: include_str!("../../packs/platform/rollups.sql"),
        views: include_str!("../../packs/platform/views.sql"),
        rules: include_str!("../../packs/platform/rules.yaml"),
        detectors: "",
    },
    Builtin {
        name: "prometheus",
        sources: include_str!("../../packs/prometheus/sources.yaml"),
        rollups: include_str!("../../packs/prometheus/rollups.sql"),
        views: "",
        rules: "",
        detectors: "",
    },
    Builtin {
        name: "engine",
        sources: "",
        rollups: "",
        views: "",
        rules: include_str!("../../packs/engine/rules.yaml"),
        detectors: "",
    },
];

struct Builtin {
    name: &'static str,
    sources: &'static str,
    rollups: &'static str,
    views: &'static str,
    rules: &'static str,
    detectors: &'static str,
}

/// The texts of some packs, each with the name of its file for messages.
#[derive(Debug, Default)]
pub struct Texts {
    /// `sources.yaml`
    pub sources: Vec<(String, String)>,
    /// `rollups.sql`
    pub rollups: Vec<(String, String)>,
    /// `views.sql`
    pub views: Vec<(String, String)>,
    /// `rules.yaml` and `detectors.yaml`
    pub rules: Vec<(String, String)>,
}

impl Texts {
    /// Reads packs: folders, or `builtin:name`.
    pub fn read(packs: &[String]) -> Result<Self, Mistakes> {
        let (mut texts, mut mistakes) = (Self::default(), Vec::new());
        for pack in packs {
            let read = match pack.strip_prefix(BUILTIN) {
                Some(name) => texts.add_builtin(pack, name),
                None => texts.add_folder(Path::new(pack)),
            };
            mistakes.extend(read.err());
        }
        if mistakes.is_empty() { Ok(texts) } else { Err(Mistakes(mistakes)) }
    }

    fn add_builtin(&mut self, pack: &str, name: &str) -> Result<(), String> {
        let Some(found) = BUILTINS.iter().find(|b| b.name == name) else {
            let names = BUILTINS.map(|b| b.name).join(", ");
            return Err(format!("{pack}: there is no built-in pack `{name}`\n  hint: there is {names}"));
        };
        let files = [
            (&mut self.sources, SOURCES, found.sources),
            (&mut self.rollups, ROLLUPS, found.rollups),
            (&mut self.views, VIEWS, found.views),
        ];
        // A pack has what it needs of them.
        let add = |texts: &mut Vec<(String, String)>, file: &str, text: &str| {
            if !text.is_empty() {
                texts.push((format!("{pack}/{file}"), text.to_owned()));
            }
        };
        for (texts, file, text) in files {
            add(texts, file, text);
        }
        add(&mut self.rules, RULES, found.rules);
        add(&mut self.rules, DETECTORS, found.detectors);
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), String> {
        let hint = format!("a pack is a folder with {SOURCES}, {ROLLUPS}, {VIEWS}, {RULES}, {DETECTORS}");
        let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}\n  hint: {hint}", folder.display()))?;
        for entry in entries {
            let name = entry.map_err(|e| format!("{}: {e}", folder.display()))?.file_name();
            let name = name.to_string_lossy();
            // A file with a slip in its name would be left out without a word.
            let is_ours = [".sql", ".yaml", ".yml"].iter().any(|end| name.ends_with(end));
            let is_test = name.starts_with(TEST_OF_RULES.0) && name.ends_with(TEST_OF_RULES.1);
            if is_ours && !is_test && ![SOURCES, ROLLUPS, VIEWS, RULES, DETECTORS].contains(&&*name) {
                let path = folder.join(&*name);
                return Err(format!(
                    "{}: nothing reads this file\n  hint: {hint}, rules_test.yaml and tests/",
                    path.display()
                ));
            }
        }
        let mut found = 0;
        for file in [SOURCES, ROLLUPS, VIEWS, RULES, DETECTORS] {
            let path = folder.join(file);
            let texts = match file {
                SOURCES => &mut self.sources,
                ROLLUPS => &mut self.rollups,
                VIEWS => &mut self.views,
                _ => &mut self.rules,
            };
            match std::fs::read_to_string(&path) {
                Ok(text) => texts.push((path.display().to_string(), text)),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
            found += 1;
        }
        if found == 0 { Err(format!("{}: nothing is defined here\n  hint: {hint}", folder.display())) } else { Ok(()) }
    }
}
