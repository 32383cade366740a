//! From what was typed to a filter.

use crate::cli::Which;
use anyhow::{Result, bail};
use chrono::DateTime;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::decode::Reason;
use tidewatch_ingest::letters::LetterFilter;

impl Which {
    /// Is nothing asked for?
    pub fn is_empty(&self) -> bool {
        let Self { reasons, topic, since, event_type, source } = self;
        reasons.is_empty() && [topic, since, event_type, source].iter().all(|o| o.is_none())
    }

    /// The filter; `catalog` knows the sources.
    pub fn filter(&self, catalog: &Catalog, now_us: i64) -> Result<LetterFilter> {
        let known: Vec<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        if let Some(unknown) = self.reasons.iter().find(|r| !known.contains(&r.as_str())) {
            bail!("--reason {unknown}: there is no such reason\n  hint: one of {}", known.join(", "));
        }
        let event_type = match &self.source {
            Some(source) => Some(event_type(catalog, source)?),
            None => self.event_type.clone(),
        };
        Ok(LetterFilter {
            reasons: self.reasons.clone(),
            topic: self.topic.clone(),
            since_us: self.since.as_deref().map(|text| since_us(text, now_us)).transpose()?,
            event_type,
            ..LetterFilter::default()
        })
    }
}

fn event_type(catalog: &Catalog, source: &str) -> Result<String> {
    let all = || catalog.sources.iter().map(|s| &s.def).chain(&catalog.unused);
    match all().find(|def| def.name == source) {
        Some(def) => Ok(def.event_type.clone()),
        None => {
            let mut names: Vec<&str> = all().map(|def| def.name.as_str()).collect();
            names.sort_unstable();
            bail!("--source {source}: there is no such source in the packs\n  hint: one of {}", names.join(", "))
        }
    }
}

/// Microseconds since the epoch of a time or of so long ago.
pub fn since_us(text: &str, now_us: i64) -> Result<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_micros());
    }
    match humantime_serde::re::humantime::parse_duration(text) {
        Ok(ago) => Ok(now_us.saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))),
        Err(_) => bail!("--since {text}: expected a time as 2026-03-14T18:00:00Z, or how long ago as 30m or 7d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now = 1_773_511_200_000_000;
        assert_eq!(since_us("2026-03-14T18:00:00Z", 0).unwrap(), now);
        assert_eq!(since_us("2026-03-14T19:00:00.5+01:00", 0).unwrap(), now + 500_000);
        assert_eq!(since_us("30m", now).unwrap(), now - 1_800_000_000);
        assert_eq!(since_us("7d", now).unwrap(), now - 7 * 86_400_000_000);
        assert!(since_us("yesterday", now).unwrap_err().to_string().contains("30m or 7d"));
    }
}
