//! The instants of a stretch of time.

use tidewatch_promql::plan::Grid;

/// Evenly spaced instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first, milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Between two of them.
    pub step_ms: i64,
    /// How many.
    pub len: usize,
}

impl Block {
    /// The instants of `grid` from `from_ms` on that lie before `until_ms`, or all of them when there is no such bound.
    pub fn of(grid: &Grid, from_ms: i64, until_ms: Option<i64>) -> Block {
        let first = before(grid, from_ms);
        let end = until_ms.map_or(grid.len, |until_ms| before(grid, until_ms));
        Block { start_ms: grid.time(first), step_ms: grid.step_ms, len: end.saturating_sub(first) }
    }

    /// Instant number `at`.
    pub fn time(&self, at: usize) -> i64 {
        self.start_ms + self.step_ms * at as i64
    }
}

/// The first instant of `grid` after `time_ms`.
pub fn after(grid: &Grid, time_ms: i64) -> Option<i64> {
    let at = before(grid, time_ms.saturating_add(1));
    (at < grid.len).then(|| grid.time(at))
}

/// Number of instants of `grid` before `time_ms`.
fn before(grid: &Grid, time_ms: i64) -> usize {
    let passed_ms = time_ms.saturating_sub(grid.start_ms);
    if passed_ms <= 0 {
        return 0;
    }
    usize::try_from((passed_ms - 1) / grid.step_ms + 1).unwrap_or(usize::MAX).min(grid.len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cut_a_grid_into_all_its_instants() {
        let grid = Grid::range(1_000, 1_100, 30);
        let times = |block: Block| (0..block.len).map(|at| block.time(at)).collect::<Vec<_>>();
        assert_eq!(times(Block::of(&grid, 1_000, Some(1_030))), [1_000]);
        assert_eq!(times(Block::of(&grid, 1_000, Some(1_031))), [1_000, 1_030]);
        assert_eq!(times(Block::of(&grid, 1_031, Some(1_059))), [0_i64; 0]);
        assert_eq!(times(Block::of(&grid, 1_031, None)), [1_060, 1_090]);
        assert_eq!(times(Block::of(&grid, 1_091, None)), [0_i64; 0]);
    }

    #[test]
    fn what_comes_next_is_an_instant_of_the_grid() {
        let grid = Grid::range(1_000, 1_100, 30);
        let next: Vec<Option<i64>> = [999, 1_000, 1_029, 1_030, 1_089, 1_090].map(|ms| after(&grid, ms)).to_vec();
        let expected = [Some(1_000), Some(1_030), Some(1_030), Some(1_060), Some(1_090), None];
        assert_eq!(next, expected);
    }
}
