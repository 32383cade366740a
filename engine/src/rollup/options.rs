//! `WITH (…)` of a definition: in which widths windows are kept, and how long.

use super::Tier;
use crate::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// Widths beyond the rollup's own, and how long each is kept, unless the definition says otherwise.
const DEFAULT_TIERS: [(i64, i64); 3] = [(MINUTE_US, 30 * DAY_US), (HOUR_US, 400 * DAY_US), (DAY_US, 1830 * DAY_US)];
/// How long windows of the rollup's own width are kept by default, if a wider one follows.
const DEFAULT_FINEST_US: i64 = 2 * DAY_US;

/// The tiers of a rollup whose definition names none.
pub(super) fn default_tiers(pane_us: i64) -> Vec<Tier> {
    let wider = DEFAULT_TIERS.iter().filter(|(width, _)| *width > pane_us && width % pane_us == 0);
    let wider = wider.map(|&(pane_us, retain_us)| Tier { pane_us, retain_us: Some(retain_us) });
    let own = DEFAULT_TIERS.iter().find(|(width, _)| *width == pane_us).map_or(DEFAULT_FINEST_US, |t| t.1);
    std::iter::once(Tier { pane_us, retain_us: Some(own) }).chain(wider).collect()
}

/// Reads `10s 2d, 1m 30d, 1d forever`: widths, finest first, each with the time it is kept.
pub(super) fn parse_tiers(text: &str, pane_us: i64) -> Result<Vec<Tier>, String> {
    let mut tiers: Vec<Tier> = Vec::new();
    for part in text.split(',') {
        let words: Vec<&str> = part.split_whitespace().collect();
        let [width, retain] = words[..] else {
            return Err(format!("`{}` is not a width and how long it is kept", part.trim()));
        };
        let pane_us = parse_duration(width).ok_or_else(|| format!("`{width}` is not a width"))?;
        let retain_us = parse_retention(retain)?;
        if let Some(finer) = tiers.last() {
            if pane_us <= finer.pane_us || pane_us % finer.pane_us != 0 {
                return Err(format!("{width} is not a multiple of the width before it"));
            }
            if retain_us.is_some_and(|r| finer.retain_us.is_none_or(|f| r < f)) {
                return Err(format!("{width} is kept for a shorter time than the finer width before it"));
            }
        }
        tiers.push(Tier { pane_us, retain_us });
    }
    match tiers.first() {
        Some(first) if first.pane_us == pane_us => {}
        _ => return Err("the first width must be that of tumble(…)".to_owned()),
    }
    // Days are the widest merge of windows that every reader can cut: weeks and months are made of days.
    match tiers.iter().find(|t| DAY_US % t.pane_us != 0) {
        Some(_) => Err("every width must divide a day".to_owned()),
        None => Ok(tiers),
    }
}

/// Reads a time to keep something: a duration or `forever` (`None`).
pub(super) fn parse_retention(text: &str) -> Result<Option<i64>, String> {
    match text.trim() {
        "forever" => Ok(None),
        text => parse_duration(text).map(Some).ok_or_else(|| format!("`{text}` is not a time such as 30d, or forever")),
    }
}

/// Reads `10s`, `5m`, `1h`, `30d` or `5y` (of 366 days) into microseconds.
fn parse_duration(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND_US,
        'm' => MINUTE_US,
        'h' => HOUR_US,
        'd' => DAY_US,
        'y' => 366 * DAY_US,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    (number > 0).then(|| number.checked_mul(unit)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::width_name;

    #[test]
    fn tiers_are_read_and_default_to_wider_ones() {
        let names = |tiers: &[Tier]| {
            let name =
                |t: &Tier| format!("{} {}", width_name(t.pane_us), t.retain_us.map_or("forever".into(), width_name));
            tiers.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(names(&default_tiers(10 * SECOND_US)), "10s 2d, 1m 30d, 1h 400d, 1d 1830d");
        assert_eq!(names(&default_tiers(MINUTE_US)), "1m 30d, 1h 400d, 1d 1830d");
        assert_eq!(names(&default_tiers(15 * MINUTE_US)), "15m 2d, 1h 400d, 1d 1830d");
        for text in ["10s 1h, 5m 30d, 1d forever", "10s forever, 1m forever"] {
            assert_eq!(names(&parse_tiers(text, 10 * SECOND_US).unwrap()), text);
        }
    }

    #[test]
    fn tiers_that_cannot_be_are_refused() {
        for (text, reason) in [
            ("1m 2d", "the first width must be that of tumble(…)"),
            ("10s", "`10s` is not a width and how long it is kept"),
            ("10s 2d, 25s 3d", "25s is not a multiple of the width before it"),
            ("10s 2d, 1m 1d", "1m is kept for a shorter time than the finer width before it"),
            ("10s forever, 1m 30d", "1m is kept for a shorter time than the finer width before it"),
            ("10s 2d, 7d forever", "every width must divide a day"),
            ("10s soon", "`soon` is not a time such as 30d, or forever"),
            ("x 2d", "`x` is not a width"),
        ] {
            assert_eq!(parse_tiers(text, 10 * SECOND_US).unwrap_err(), reason, "{text}");
        }
    }
}
