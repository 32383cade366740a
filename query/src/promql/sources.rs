//! From metrics to the sources whose events change them.

use super::PromEngine;
use std::collections::BTreeSet;

impl PromEngine {
    /// The sources of the rollups that metrics come from; all of them where the origin of one is not known, and where
    /// `names` is `None`.
    pub fn sources_of(&self, names: Option<&BTreeSet<String>>) -> BTreeSet<String> {
        let definitions = self.engine.snapshots().definitions();
        let metrics = self.metrics();
        let rollups = names.and_then(|names| {
            let rollup = |name: &String| metrics.get(name).map(|metric| metric.rollup.as_str());
            names.iter().map(rollup).collect::<Option<BTreeSet<&str>>>()
        });
        let is_read = |name: &str| rollups.as_ref().is_none_or(|rollups| rollups.contains(name));
        let read = definitions.rollups().filter(|rollup| is_read(&rollup.name));
        read.flat_map(|rollup| rollup.sources.iter().cloned()).collect()
    }
}
