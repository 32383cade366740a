use super::*;
use tidewatch_engine::rollup::Tier;
use tidewatch_promql::SelectHints;

const SECOND_US: i64 = 1_000_000;

fn rollup() -> RollupSchema {
    let tiers = [10, 60, 3600].map(|s| Tier { pane_us: s * SECOND_US, retain_us: None });
    RollupSchema {
        name: "r".into(),
        sources: vec!["s".into()],
        pane_us: Some(10 * SECOND_US),
        dimensions: Vec::new(),
        measures: Vec::new(),
        definition: String::new(),
        tiers: tiers.to_vec(),
        retain_us: None,
    }
}

/// Evaluations from `first` to `last` every `step` seconds, each over `range` seconds.
fn selection(first: i64, last: i64, step: i64, range: i64) -> Selection {
    let hints = SelectHints { step_ms: step * 1000, range_ms: range * 1000, ..SelectHints::default() };
    Selection { matchers: Vec::new(), start_ms: (first - range) * 1000 + 1, end_ms: last * 1000, hints }
}

#[test]
fn windows_are_as_wide_as_ranges_and_steps_allow() {
    let of = |s: i64| Width::Of { us: s * SECOND_US };
    let finest = Width::AsKept { finest_us: 10 * SECOND_US };
    for (selection, expected) in [
        (selection(3600, 7200, 15, 300), finest),
        (selection(3600, 7200, 60, 300), of(60)),
        (selection(3600, 7200, 3600, 3600), of(3600)),
        (selection(3600, 3600, 0, 3600), of(3600)),
        (selection(3601, 7201, 3600, 3600), finest),
        (selection(3660, 7260, 3600, 3600), of(60)),
        (selection(3600, 3600, 0, 0), of(3600)),
    ] {
        assert_eq!(choose(&rollup(), &[None, None, None], &selection), expected, "{selection:?}");
    }
    let cut = [Some(9000 * SECOND_US), Some(5000 * SECOND_US), None];
    assert_eq!(choose(&rollup(), &cut, &selection(3660, 7260, 60, 300)), finest, "minutes are not kept so long");
    assert_eq!(choose(&rollup(), &cut, &selection(3600, 7200, 3600, 3600)), of(3600));
}
