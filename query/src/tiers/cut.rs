//! Which tier answers which stretch of time.

use tidewatch_engine::rollup::Tier;
use tidewatch_engine::time::window_start;

/// Rows of one tier over one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the tier.
    pub tier: usize,
    /// First instant, inclusive, microseconds since the epoch; `None`: all there is.
    pub from: Option<i64>,
    /// End, exclusive.
    pub to: Option<i64>,
}

/// Covers the windows that start in `[from, to)` with no tier coarser than `coarsest` needs to be, and no
/// finer than are kept.
///
/// At any time the finest tier that is still kept counts as the truth; the answer of a coarser one is used
/// only for stretches that consist of its whole windows. What remains at the ends is answered by finer tiers.
pub fn segments(
    tiers: &[Tier],
    boundaries: &[Option<i64>],
    coarsest: usize,
    from: Option<i64>,
    to: Option<i64>,
) -> Vec<Segment> {
    let mut segments = Vec::new();
    // The end of what finer tiers answer, exclusive; none yet.
    let mut kept_from: Option<i64> = None;
    for (finest, _) in tiers.iter().enumerate() {
        let start = boundaries.get(finest).copied().flatten();
        let is_hidden = kept_from.is_some_and(|kept| start.is_some_and(|s| s >= kept));
        if !is_hidden {
            let zone_from = later(start, from);
            let zone_to = earlier(kept_from, to);
            cover(tiers, coarsest.max(finest), finest, zone_from, zone_to, &mut segments);
            kept_from = start;
        }
        // A tier that was never cut goes back to the beginning.
        if start.is_none() {
            break;
        }
    }
    segments
}

/// One stretch of which `finest` is the truth.
fn cover(tiers: &[Tier], tier: usize, finest: usize, from: Option<i64>, to: Option<i64>, segments: &mut Vec<Segment>) {
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return;
    }
    let width = tiers[tier].pane_us;
    if tier == finest {
        // Windows that start within are taken whole: rows of finer tiers that belong to them, too.
        let (from, to) = (from.map(|f| ceil(f, width)), to.map(|t| ceil(t, width)));
        if from.zip(to).is_none_or(|(from, to)| from < to) {
            segments.push(Segment { tier, from, to });
        }
        return;
    }
    let (first, last) = (from.map(|f| ceil(f, width)), to.map(|t| window_start(t, width)));
    if first.zip(last).is_some_and(|(first, last)| first >= last) {
        return cover(tiers, tier - 1, finest, from, to, segments);
    }
    if from != first {
        cover(tiers, tier - 1, finest, from, first, segments);
    }
    segments.push(Segment { tier, from: first, to: last });
    if last != to {
        cover(tiers, tier - 1, finest, last, to, segments);
    }
}

fn ceil(time_us: i64, width: i64) -> i64 {
    let start = window_start(time_us, width);
    if start == time_us { start } else { start.saturating_add(width) }
}

fn later(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).max()
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}
