//! Finds packs and turns them into what is counted and what queries may name.
//!
//! A pack is a folder: `sources.yaml`, `rollups.sql`, `views.sql`, `rules.yaml`, `tests/`, each of them
//! optional. Packs that are loaded together are one: views may read the rollups of another pack.

mod files;
mod rules;

pub use files::Texts;

use std::fmt;
use tidewatch_alerting::rules::Group;
use tidewatch_engine::rollup::{Catalog, DefinitionError};
use tidewatch_ingest::dead_letter::{DEAD_LETTERS, dead_letter_schema};
use tidewatch_query::{Checking, DeclaredTable, Definitions};

/// What precedes the name of a pack that is compiled in.
pub const BUILTIN: &str = "builtin:";

/// Packs, read and planned together.
#[derive(Debug)]
pub struct Packs {
    /// What is counted.
    pub catalog: Catalog,
    /// What queries may name.
    pub definitions: Definitions,
    /// What raises alerts, in the order of the files.
    pub rules: Vec<Group>,
    /// What is no mistake for certain: file, line and what to look at. Only where views were planned.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with some packs: one text each, with file, line and hint.
#[derive(Debug)]
pub struct Mistakes(pub Vec<String>);

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{}\n{count} mistake{plural} in the packs", self.0.join("\n"))
    }
}

impl From<Vec<DefinitionError>> for Mistakes {
    fn from(errors: Vec<DefinitionError>) -> Self {
        Self(errors.iter().map(ToString::to_string).collect())
    }
}

/// Reads and plans packs together. The error lists every mistake found; views are looked at once the
/// rollups that they read are right, and rules once the views are.
pub async fn load(packs: &[String], views: Checking) -> Result<Packs, Mistakes> {
    let texts = Texts::read(packs)?;
    let catalog = Catalog::with_digests(&texts.sources, &texts.rollups)?;
    let dead_letters = DeclaredTable { rollup: None, schema: dead_letter_schema() };
    let definitions = Definitions::from(&catalog).with_table(DEAD_LETTERS, dead_letters);
    let definitions = definitions.with_views(&texts.views, views).await?;
    let groups = rules::load(&texts.rules)?;
    let warnings = match views {
        Checking::Plans => rules::unknown_names(&texts.rules, &groups, &definitions),
        Checking::Names => Vec::new(),
    };
    Ok(Packs { catalog, definitions, rules: groups, warnings })
}

#[cfg(test)]
mod tests;
