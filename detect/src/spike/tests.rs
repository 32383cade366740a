use super::*;
use crate::zone::Zone;
use std::ops::Range;

const WINDOW_MS: i64 = 300_000;
const DAY: i64 = 288;
/// A Monday.
const MONDAY_MS: i64 = 1_772_409_600_000;

fn at(window: i64) -> i64 {
    MONDAY_MS + window * WINDOW_MS
}

fn detector() -> Detector {
    Detector::new(Settings::of_windows(WINDOW_MS)).unwrap()
}

/// A day's rhythm between 20 and 180 with a little noise that depends on the window only.
fn usual(window: i64) -> u64 {
    let hour = (window % DAY) as f64 / 12.0;
    let noise = 0.9 + 0.2 * ((window * 7919 % 97) as f64 / 97.0);
    ((100.0 - 80.0 * (std::f64::consts::TAU * hour / 24.0).cos()) * noise) as u64
}

fn feed(detector: &mut Detector, windows: Range<i64>, count: impl Fn(i64) -> u64) -> Vec<Verdict> {
    windows.map(|w| detector.observe(at(w), count(w)).unwrap()).collect()
}

fn opened(verdicts: &[Verdict]) -> Vec<Spike> {
    let spike = |v: &Verdict| if let State::Opened(spike) = v.state { Some(spike) } else { None };
    verdicts.iter().filter_map(spike).collect()
}

fn ended(verdicts: &[Verdict]) -> Vec<(Spike, End)> {
    let end = |v: &Verdict| if let State::Ended(spike, end) = v.state { Some((spike, end)) } else { None };
    verdicts.iter().filter_map(end).collect()
}

#[test]
fn a_spike_has_start_peak_end_and_lift() {
    let mut detector = detector();
    let from = 10 * DAY + 100;
    let spike = |w: i64| match w - from {
        0 => 6 * usual(w),
        1 => 12 * usual(w),
        2..6 => 8 * usual(w),
        _ => usual(w),
    };
    let verdicts = feed(&mut detector, 0..11 * DAY, spike);
    assert_eq!(opened(&verdicts).len(), 1);
    let [(spike, End::Calm)] = ended(&verdicts)[..] else { panic!("{:?}", ended(&verdicts)) };
    assert_eq!((spike.start_ms, spike.peak_ms, spike.end_ms), (at(from), at(from + 1), at(from + 6)));
    assert_eq!(spike.opened_ms, at(from));
    assert_eq!(spike.peak_count, 12 * usual(from + 1));
    let observed: u64 =
        verdicts.iter().filter(|v| (at(from)..at(from + 6)).contains(&v.window_start_ms)).map(|v| v.count).sum();
    assert_eq!(spike.observed, observed);
    assert!((7.0..10.0).contains(&spike.lift()), "about 8 times: {}", spike.lift());
    assert!((spike.excess() - (observed as f64 - spike.expected)).abs() < 1e-9);
    assert!((11.0..14.0).contains(&spike.peak_lift()));
}

#[test]
fn the_baseline_does_not_learn_a_spike() {
    let (mut calm, mut spiked) = (detector(), detector());
    let from = 10 * DAY + 100;
    feed(&mut calm, 0..11 * DAY, usual);
    feed(&mut spiked, 0..11 * DAY, |w| if (from..from + 30).contains(&w) { 50 * usual(w) } else { usual(w) });
    // The same hour of the next day, then of the next week but one day.
    let expect = |d: &Detector, days: i64| d.baseline.expect(at(from + days * DAY), Zone::UTC).unwrap().season;
    let ratio = expect(&spiked, 1) / expect(&calm, 1);
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    feed(&mut calm, 11 * DAY..18 * DAY, usual);
    feed(&mut spiked, 11 * DAY..18 * DAY, usual);
    let ratio = expect(&spiked, 8) / expect(&calm, 8);
    assert!((0.95..1.05).contains(&ratio), "a week later: {ratio}");
}

#[test]
fn streaming_batch_and_a_stored_state_agree_bit_for_bit() {
    let count = |w: i64| if w % 1500 > 1490 { 9 * usual(w) } else { usual(w) };
    let windows: Vec<_> = (0..21 * DAY).filter(|w| w % 701 != 0).map(|w| (at(w), count(w))).collect();
    let (batch, verdicts) = Detector::replay(Settings::of_windows(WINDOW_MS), windows.iter().copied()).unwrap();
    let mut streamed = detector();
    for (n, ((at, count), batch)) in windows.iter().zip(&verdicts).enumerate() {
        if n % 997 == 0 {
            let stored = serde_json::to_string(&streamed).unwrap();
            streamed = serde_json::from_str(&stored).unwrap();
        }
        let verdict = streamed.observe(*at, *count).unwrap();
        assert_eq!(&verdict, batch);
        assert_eq!(verdict.score.to_bits(), batch.score.to_bits());
        assert_eq!(verdict.expected.map(f64::to_bits), batch.expected.map(f64::to_bits));
    }
    assert_eq!(serde_json::to_string(&streamed).unwrap(), serde_json::to_string(&batch).unwrap());
    assert!(!opened(&verdicts).is_empty());
}

#[test]
fn peek_sees_a_spike_in_an_open_window_and_changes_nothing() {
    let mut detector = detector();
    feed(&mut detector, 0..5 * DAY, usual);
    let before = detector.clone();
    let verdict = detector.peek(at(5 * DAY), 40 * usual(5 * DAY)).unwrap();
    assert!(verdict.is_open());
    assert!(!detector.peek(at(5 * DAY), 1).unwrap().is_open());
    assert_eq!(detector, before);
}

#[test]
fn a_level_shift_is_the_new_normal_after_a_day() {
    let mut detector = detector();
    let from = 15 * DAY;
    let verdicts = feed(&mut detector, 0..30 * DAY, |w| if w >= from { 6 * usual(w) } else { usual(w) });
    assert_eq!(opened(&verdicts).len(), 1, "one alarm");
    let [(spike, End::NewNormal)] = ended(&verdicts)[..] else { panic!("{:?}", ended(&verdicts)) };
    assert_eq!(spike.end_ms - spike.start_ms, detector.settings.accept_ms + WINDOW_MS);
    let later = verdicts.iter().filter(|v| v.window_start_ms > spike.end_ms + 6 * HOUR_MS);
    let worst = later.map(|v| (v.lift().unwrap() - 1.0).abs()).fold(0.0, f64::max);
    assert!(worst < 0.5, "expected follows the shift: off by {worst}");
}

#[test]
fn what_begins_from_nothing_is_told_once_and_then_expected() {
    let verdicts = feed(&mut detector(), 0..20 * DAY, |w| if w < 5 * DAY { 0 } else { usual(w) });
    assert_eq!(opened(&verdicts).len(), 1, "{:?}", ended(&verdicts));
    // A little of something is no spike, and is learned all the same.
    let verdicts = feed(&mut detector(), 0..20 * DAY, |w| if w < 5 * DAY { 0 } else { 4 + w.unsigned_abs() % 3 });
    assert_eq!(opened(&verdicts), []);
    let last = verdicts.last().unwrap();
    assert!((4.0..6.5).contains(&last.expected.unwrap()), "{last:?}");
}

#[test]
fn a_slow_trend_is_followed() {
    // Doubles every two weeks.
    let grown = |w: i64| (usual(w) as f64 * 2.0_f64.powf(w as f64 / (14 * DAY) as f64)) as u64;
    let verdicts = feed(&mut detector(), 0..42 * DAY, grown);
    assert_eq!(opened(&verdicts), []);
    let week = verdicts.get((35 * DAY) as usize..).unwrap();
    let mean = week.iter().map(|v| v.lift().unwrap()).sum::<f64>() / week.len() as f64;
    assert!((0.9..1.1).contains(&mean), "expected is behind or ahead of the trend: {mean}");
}

#[test]
fn gaps_and_outages_do_not_poison() {
    let mut detector = detector();
    feed(&mut detector, 0..14 * DAY, usual);
    // Half a day of unknown windows: expectations are as before, and nothing is said of what was not seen.
    let verdicts = feed(&mut detector, 14 * DAY + 144..15 * DAY, usual);
    assert_eq!(opened(&verdicts), []);
    // Half a day of known zeros, an outage: coming back is no spike.
    feed(&mut detector, 15 * DAY..15 * DAY + 144, |_| 0);
    let verdicts = feed(&mut detector, 15 * DAY + 144..17 * DAY, usual);
    assert_eq!(opened(&verdicts), []);
    let last = verdicts.last().unwrap();
    assert!((0.8..1.25).contains(&last.lift().unwrap()), "{last:?}");
    // And a spike right after it is one.
    let verdicts = feed(&mut detector, 17 * DAY..17 * DAY + 2, |w| 10 * usual(w));
    assert_eq!(opened(&verdicts).len(), 1);
}

#[test]
fn an_open_spike_ends_when_an_hour_is_unknown() {
    let mut detector = detector();
    feed(&mut detector, 0..5 * DAY, usual);
    feed(&mut detector, 5 * DAY..5 * DAY + 3, |w| 20 * usual(w));
    let verdict = detector.observe(at(5 * DAY + 16), usual(5 * DAY + 16)).unwrap();
    assert!(matches!(verdict.state, State::Ended(_, End::Unknown)), "{verdict:?}");
    assert!(detector.open().is_none());
}

#[test]
fn opening_hours_are_learned_in_the_first_week() {
    // Two per window at night and at the weekend, two hundred from nine to five.
    let open = |w: i64| (108..204).contains(&(w % DAY)) && w / DAY % 7 < 5;
    let mut detector = detector();
    let verdicts = feed(&mut detector, 0..28 * DAY, |w| if open(w) { 190 + w.unsigned_abs() % 20 } else { 2 });
    let opened = opened(&verdicts);
    let days: Vec<i64> = opened.iter().map(|spike| (spike.start_ms - MONDAY_MS) / (24 * HOUR_MS)).collect();
    assert!(days.len() <= 4 && days.iter().all(|day| *day < 5), "{days:?}");
    let noon = verdicts.get((22 * DAY + 144) as usize).unwrap();
    assert!((0.8..1.25).contains(&noon.lift().unwrap()), "{noon:?}");
    // And a spike in the opening hours is one.
    feed(&mut detector, 28 * DAY..28 * DAY + 150, |w| if open(w) { 200 } else { 2 });
    assert!(detector.observe(at(28 * DAY + 150), 4000).unwrap().is_open());
}

#[test]
fn what_comes_every_few_days_is_usual() {
    // A burst of 20 times at noon of every other day, 19 in all: four open, later ones only where they are larger
    // than all but three.
    let verdicts = feed(&mut detector(), 0..40 * DAY, |w| {
        let noon = w % DAY == 144 && w / DAY % 2 == 0 && w > 2 * DAY;
        if noon { 20 * usual(w) } else { usual(w) }
    });
    let opened = opened(&verdicts);
    assert!((4..=10).contains(&opened.len()), "{}", opened.len());
    assert!(opened.iter().filter(|s| s.start_ms >= at(28 * DAY)).count() <= 3);
    // One of 60 times is not usual.
    let mut detector = detector();
    feed(&mut detector, 0..30 * DAY, |w| if w % DAY == 144 && w > 2 * DAY { 20 * usual(w) } else { usual(w) });
    assert!(detector.observe(at(30 * DAY), 60 * usual(144)).unwrap().is_open());
}

#[test]
fn nothing_is_expected_while_history_is_short_and_the_basis_is_told() {
    use crate::baseline::Basis;
    let verdicts = feed(&mut detector(), 0..30 * DAY, usual);
    let basis = |window: i64| verdicts.get(window as usize).unwrap().basis;
    assert_eq!(basis(35), None);
    assert_eq!(verdicts.first().unwrap().state, State::Learning);
    assert_eq!(basis(36), Some(Basis::Recent));
    assert_eq!(basis(2 * DAY), Some(Basis::HourOfDay));
    assert_eq!(basis(14 * DAY), Some(Basis::HourOfWeek));
    assert_eq!(opened(&verdicts), []);
}

#[test]
fn windows_out_of_place_are_refused_and_change_nothing() {
    let mut detector = detector();
    feed(&mut detector, 0..DAY, usual);
    let before = detector.clone();
    assert_eq!(detector.observe(at(DAY - 1), 5), Err(Error::NotAfter { found_ms: at(DAY - 1), last_ms: at(DAY - 1) }));
    assert_eq!(detector.observe(at(DAY) + 1, 5), Err(Error::Unaligned { found_ms: at(DAY) + 1, window_ms: WINDOW_MS }));
    assert_eq!(detector, before);
    assert_eq!(Detector::new(Settings::of_windows(7_000)).unwrap_err(), Error::Width(7_000));
}

#[test]
fn the_rhythm_follows_the_clock_of_its_zone() {
    // Opens at nine in New York, four weeks over the change of 2026-03-08; without the zone, the hour after nine
    // would look like the hour before.
    let zone = Zone::named("America/New_York").unwrap();
    let local_hour = |ms: i64| (ms + zone.offset_ms(ms)).rem_euclid(24 * HOUR_MS) / HOUR_MS;
    let count = |ms: i64| if (9..17).contains(&local_hour(ms)) { 200 } else { 2 };
    let start = MONDAY_MS - 14 * 24 * HOUR_MS;
    let lifts = |zone: Zone| {
        let settings = Settings { zone, ..Settings::of_windows(WINDOW_MS) };
        let windows = (0..28 * DAY).map(|w| start + w * WINDOW_MS).map(|ms| (ms, count(ms)));
        let (_, verdicts) = Detector::replay(settings, windows).unwrap();
        // The Monday after the change, nine o'clock local: 13:00 UTC.
        let monday = MONDAY_MS + 7 * 24 * HOUR_MS + 13 * HOUR_MS + 30 * 60_000;
        verdicts.iter().find(|v| v.window_start_ms == monday).unwrap().lift().unwrap()
    };
    let (with, without) = (lifts(zone), lifts(Zone::UTC));
    assert!(with < 1.6, "{with}");
    assert!(without > 2.0, "{without}");
}
