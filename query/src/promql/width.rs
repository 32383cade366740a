//! How wide the windows may be that answer a selection.

use tidewatch_engine::rollup::RollupSchema;
use tidewatch_promql::Selection;

/// Widths of windows that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// The finest that are kept for each stretch of time.
    AsKept {
        /// The finest of all, microseconds.
        finest_us: i64,
    },
    /// All of one width.
    Of {
        /// Microseconds.
        us: i64,
    },
}

impl Width {
    /// The finest that are kept.
    pub fn finest(rollup: &RollupSchema) -> Self {
        Self::AsKept { finest_us: rollup.pane_us.unwrap_or(1).max(1) }
    }

    /// The width, microseconds; the finest where they differ.
    pub fn us(self) -> i64 {
        match self {
            Self::AsKept { finest_us: us } | Self::Of { us } => us,
        }
    }

    /// The last end of a window at or before a moment.
    pub fn floor(self, us: i64) -> i64 {
        us - us.rem_euclid(self.us())
    }
}

/// The widest windows that begin and end wherever a range of the selection does, so that the sum over a range
/// is the same as with the finest. Where these are kept for a shorter time than the selection goes back, the
/// finest of each stretch: their ends are then further apart than the ranges would need.
pub fn choose(rollup: &RollupSchema, boundaries: &[Option<i64>], selection: &Selection) -> Width {
    let (start_ms, hints) = (selection.start_ms.saturating_sub(1), &selection.hints);
    // An instant has no left end; where it looks back to does not matter.
    let left_ms = if hints.range_ms > 0 { start_ms } else { selection.end_ms };
    let fits = |us: i64| {
        let divides = |ms: i64| ms.saturating_mul(1000) % us == 0;
        divides(left_ms) && divides(selection.end_ms) && divides(hints.step_ms) && divides(hints.range_ms)
    };
    let is_kept = |at: usize| {
        boundaries.get(at).copied().flatten().is_none_or(|boundary| boundary <= start_ms.saturating_mul(1000))
    };
    let widest = rollup.tiers.iter().enumerate().skip(1).rfind(|(at, tier)| fits(tier.pane_us) && is_kept(*at));
    widest.map_or_else(|| Width::finest(rollup), |(_, tier)| Width::Of { us: tier.pane_us })
}

#[cfg(test)]
mod tests;
