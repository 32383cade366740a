use super::list::{MINUTE, OUTAGE, SECOND, VIRAL};
use super::*;

#[test]
fn every_scenario_is_found_by_its_name() {
    for scenario in scenarios() {
        assert_eq!(Scenario::named(scenario.name).unwrap(), *scenario);
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let message = Scenario::named("quiet").unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown scenario \"quiet\"; expected one of: steady, viral_spike, carrier_outage, webhook_backlog, stock_out, token_expiry, duplicate_storm, late_shop, shop_offline, clock_skew, bad_input, demo, week"
    );
}

#[test]
fn intervals_are_half_open() {
    let once = Schedule::Once { from_ms: 10, until_ms: 20 };
    assert_eq!([9, 10, 19, 20].map(|t| once.is_active(t)), [false, true, true, false]);
    let every = Schedule::Every { period_ms: 100, from_ms: 10, until_ms: 20 };
    assert_eq!(
        [9, 10, 19, 20, 109, 110, 120].map(|t| every.is_active(t)),
        [false, true, true, false, false, true, false]
    );
}

#[test]
fn the_demo_shows_both_in_any_five_minutes() {
    let demo = Scenario::named("demo").unwrap();
    let shown = |interval: &Interval| (interval.from_ms / SECOND, interval.until_ms / SECOND);
    let intervals = demo.intervals(10 * MINUTE);
    let of = |effect: Effect| intervals.iter().filter(|i| i.effect == effect).map(shown).collect::<Vec<_>>();
    assert_eq!(of(OUTAGE), [(45, 135), (345, 435)]);
    assert_eq!(of(VIRAL), [(180, 270), (480, 570)]);
}

#[test]
fn intervals_end_with_the_run() {
    let spike = Scenario::named("viral_spike").unwrap();
    assert_eq!(spike.intervals(5 * MINUTE), []);
    assert_eq!(spike.intervals(6 * MINUTE).iter().map(|i| i.until_ms).collect::<Vec<_>>(), [6 * MINUTE]);
    let bad = Scenario::named("bad_input").unwrap();
    assert_eq!(bad.intervals(7).iter().map(|i| (i.from_ms, i.until_ms)).collect::<Vec<_>>(), [(0, 7)]);
}
