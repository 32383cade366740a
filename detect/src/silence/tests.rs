use super::*;
use crate::calendar::Hours;
use crate::zone::Zone;
use chrono::DateTime;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * HOUR_MS;

fn ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// Nine to five in New York, Monday to Friday.
fn shop() -> Calendar {
    let day = vec![Hours { from_minute: 540, to_minute: 1020 }];
    let week = [day.clone(), day.clone(), day.clone(), day.clone(), day, vec![], vec![]];
    Calendar { zone: Zone::named("America/New_York").unwrap(), week: Some(week), ..Calendar::default() }
}

fn reporter(calendar: Calendar) -> Reporter {
    Reporter::new(Settings { window_ms: 5 * MINUTE_MS, calendar, ..Settings::default() }).unwrap()
}

/// Feeds `[from, to)` with an event in windows that `speaks` names, and tells when silence was first told.
fn feed(reporter: &mut Reporter, from_ms: i64, to_ms: i64, speaks: impl Fn(i64) -> u64) -> Option<i64> {
    let window_ms = reporter.settings.window_ms;
    let mut told = None;
    for at in (from_ms..to_ms).step_by(window_ms as usize) {
        let count = speaks(at);
        reporter.observe(at, count).unwrap();
        if told.is_none() && count == 0 && matches!(reporter.at(at + window_ms), Verdict::Silent(_)) {
            told = Some(at + window_ms);
        }
    }
    told
}

/// Thirteen or so events an hour while the shop is open.
fn busy(calendar: &Calendar, at_ms: i64) -> u64 {
    if calendar.is_open(at_ms) { [1, 0, 2, 1, 1][(at_ms / (5 * MINUTE_MS)) as usize % 5] } else { 0 }
}

#[test]
fn a_busy_shop_that_falls_silent_is_told_with_its_numbers() {
    let mut reporter = reporter(shop());
    let stop = ms("2026-02-18T11:00:00-05:00");
    let told = feed(&mut reporter, ms("2026-02-02T00:00:00-05:00"), stop, |at| busy(&shop(), at));
    assert_eq!(told, None, "nights and weekends are no silence");
    let told = feed(&mut reporter, stop, stop + 4 * HOUR_MS, |_| 0).unwrap();
    assert!((1..=3).contains(&((told - stop) / HOUR_MS)), "after {} min", (told - stop) / MINUTE_MS);
    let Verdict::Silent(numbers) = reporter.at(stop + 3 * HOUR_MS) else { panic!() };
    assert_eq!((numbers.since_ms, numbers.open_ms, numbers.by), (stop, 3 * HOUR_MS, By::Rhythm));
    assert!((30.0..=40.0).contains(&numbers.expected.unwrap()), "{numbers:?}");
    let text = numbers.to_string();
    assert!(text.starts_with("nothing for 3 h, usually 3") && text.ends_with(" by now; usual gap 5 min"), "{text}");
    // It speaks again, and the next day is as usual: the silence was not learned.
    let again = stop + 4 * HOUR_MS + 10 * MINUTE_MS;
    feed(&mut reporter, stop + 4 * HOUR_MS, again, |_| 2);
    assert_eq!(feed(&mut reporter, again, stop + 3 * DAY_MS, |at| busy(&shop(), at)), None);
}

#[test]
fn closed_hours_and_holidays_never_alarm_and_the_morning_after_does() {
    let mut calendar = shop();
    calendar.holidays.insert("2026-02-16".parse().unwrap());
    let mut reporter = reporter(calendar.clone());
    let holiday = ms("2026-02-16T00:00:00-05:00");
    feed(&mut reporter, ms("2026-01-26T00:00:00-05:00"), holiday, |at| busy(&calendar, at));
    assert_eq!(feed(&mut reporter, holiday, holiday + DAY_MS, |_| 0), None);
    assert_eq!(reporter.at(holiday + 12 * HOUR_MS), Verdict::Closed(Some(holiday + DAY_MS + 9 * HOUR_MS)));
    // Tuesday it does not open: told in the morning, as of Friday evening, open time only.
    let told = feed(&mut reporter, holiday + DAY_MS, holiday + 2 * DAY_MS, |_| 0).unwrap();
    let after_opening = told - (holiday + DAY_MS + 9 * HOUR_MS);
    assert!((HOUR_MS / 2..3 * HOUR_MS).contains(&after_opening), "{} min", after_opening / MINUTE_MS);
    // Without the holiday in the calendar it would have alarmed on Monday.
    let mut unaware = self::reporter(shop());
    feed(&mut unaware, ms("2026-01-26T00:00:00-05:00"), holiday, |at| busy(&shop(), at));
    assert!(feed(&mut unaware, holiday, holiday + DAY_MS, |_| 0).is_some());
}

#[test]
fn a_change_of_clocks_alarms_nobody() {
    // 2026-03-08 and 2026-11-01.
    let shop = shop();
    for (from, to) in [("2026-02-23", "2026-03-13"), ("2026-10-19", "2026-11-06")] {
        let mut reporter = reporter(shop.clone());
        let [from, to] = [from, to].map(|day| ms(&format!("{day}T00:00:00Z")));
        assert_eq!(feed(&mut reporter, from, to, |at| busy(&shop, at)), None);
    }
    // Nor a source that is always on and follows a clock whose hours are not declared.
    let zone = Zone::named("America/New_York").unwrap();
    let mut reporter = reporter(Calendar::always(zone));
    let rhythm = |at| if shop.is_open(at) { 5 } else { 0 };
    assert_eq!(feed(&mut reporter, ms("2026-02-16T00:00:00Z"), ms("2026-03-13T00:00:00Z"), rhythm), None);
}

#[test]
fn a_sparse_source_learns_its_gaps_and_says_so_until_then() {
    // Every six hours.
    let mut reporter = reporter(Calendar::default());
    let start = ms("2026-02-02T00:00:00Z");
    assert_eq!(reporter.at(start), Verdict::Unknown(Unknown::NoEvents));
    let sparse = |at: i64| u64::from((at - start) % (6 * HOUR_MS) == 0);
    assert_eq!(feed(&mut reporter, start, start + 3 * DAY_MS, sparse), None);
    assert_eq!(reporter.at(start + 3 * DAY_MS), Verdict::Unknown(Unknown::FewGaps(11)));
    assert_eq!(feed(&mut reporter, start + 3 * DAY_MS, start + 10 * DAY_MS, sparse), None);
    let stop = start + 10 * DAY_MS;
    let told = feed(&mut reporter, stop, stop + 3 * DAY_MS, |_| 0).unwrap();
    // Three times six hours, up to a fifth more.
    let silent = told - (stop - 6 * HOUR_MS);
    assert!((18 * HOUR_MS..22 * HOUR_MS).contains(&silent), "{} h", silent / HOUR_MS);
    let Verdict::Silent(numbers) = reporter.at(told) else { panic!() };
    assert_eq!(numbers.by, By::Gaps);
    assert!(numbers.to_string().contains("expected within"), "{numbers}");
}

#[test]
fn random_events_of_all_rates_are_not_called_silent() {
    // A Poisson process watched for four weeks, at one event per twelve hours up to ten per hour.
    for (seed, per_hour) in [(1_u64, 1.0 / 12.0), (2, 0.3), (3, 1.5), (4, 10.0)] {
        let mut state = seed;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let counts: Vec<u64> = (0..28 * 288).map(|_| u64::from(uniform() < per_hour / 12.0)).collect();
        let mut reporter = reporter(Calendar::default());
        let told = feed(&mut reporter, 0, 28 * DAY_MS, |at| counts[(at / (5 * MINUTE_MS)) as usize]);
        assert_eq!(told, None, "{per_hour} per hour");
        assert!(feed(&mut reporter, 28 * DAY_MS, 48 * DAY_MS, |_| 0).is_some(), "{per_hour} per hour");
    }
}

#[test]
fn what_is_declared_needs_no_history() {
    let settings = |declared| Settings { calendar: shop(), declared: Some(declared), ..Settings::default() };
    let nine = ms("2026-02-17T09:00:00-05:00");
    let mut every = Reporter::new(settings(Declared::EveryMs(HOUR_MS))).unwrap();
    // The last event came the evening before; only open time counts.
    every.observe(ms("2026-02-16T16:59:00-05:00"), 1).unwrap();
    assert!(matches!(every.at(nine + HOUR_MS), Verdict::Reporting(_)));
    assert!(matches!(every.at(nine + HOUR_MS + 1), Verdict::Silent(_)));
    let mut rate = Reporter::new(settings(Declared::PerHour(40.0))).unwrap();
    rate.observe(ms("2026-02-16T16:59:00-05:00"), 1).unwrap();
    // (1 + 0.1·Λ)^-10 is one in a hundred thousand at Λ = 21.6: 32 minutes.
    assert!(matches!(rate.at(nine + 30 * MINUTE_MS), Verdict::Reporting(_)));
    assert!(matches!(rate.at(nine + 35 * MINUTE_MS), Verdict::Silent(_)));
}

#[test]
fn who_is_declared_is_awaited_though_nothing_was_ever_heard() {
    let declared = |text: &str| {
        let settings = Settings { window_ms: 15 * MINUTE_MS, calendar: shop(), ..Settings::default() };
        Reporter::new(Settings { declared: Some(text.parse().unwrap()), ..settings }).unwrap()
    };
    // It is open for five hours more, closed at night, and open again at nine.
    let noon = ms("2026-02-16T12:00:00-05:00");
    for (text, told_after) in [("every 6h", 22 * HOUR_MS + 15 * MINUTE_MS), ("4 per 1h", 21 * HOUR_MS + 30 * MINUTE_MS)]
    {
        let told = feed(&mut declared(text), noon, noon + 2 * DAY_MS, |_| 0);
        assert_eq!(told, Some(noon + told_after), "{text}");
    }
    // Without a word nothing is known of it.
    let mut learned = reporter(shop());
    assert_eq!(feed(&mut learned, noon, noon + 2 * DAY_MS, |_| 0), None);
    assert_eq!(learned.at(noon + 2 * DAY_MS), Verdict::Unknown(Unknown::NoEvents));
}

#[test]
fn closed_hours_and_holidays_hold_for_what_is_declared_as_well() {
    let mut calendar = shop();
    calendar.holidays.insert("2026-02-16".parse().unwrap());
    let friday = ms("2026-02-13T16:00:00-05:00");
    for declared in [Declared::EveryMs(2 * HOUR_MS), Declared::PerHour(12.0)] {
        let settings = Settings { window_ms: 5 * MINUTE_MS, declared: Some(declared), ..Settings::default() };
        let mut reporter = Reporter::new(Settings { calendar: calendar.clone(), ..settings.clone() }).unwrap();
        reporter.observe(friday - 5 * MINUTE_MS, 1).unwrap();
        // An hour of Friday, a weekend, the holiday, and Tuesday from nine on.
        let nine = ms("2026-02-17T09:00:00-05:00");
        let told = feed(&mut reporter, friday, nine + 3 * HOUR_MS, |_| 0).unwrap();
        assert!((nine + 30 * MINUTE_MS..=nine + 65 * MINUTE_MS).contains(&told), "{declared:?} {}", told - nine);
        // Who does not know of the holiday tells it on Monday.
        let mut unaware = Reporter::new(Settings { calendar: shop(), ..settings }).unwrap();
        unaware.observe(friday - 5 * MINUTE_MS, 1).unwrap();
        assert_eq!(feed(&mut unaware, friday, nine, |_| 0), Some(told - DAY_MS), "{declared:?}");
    }
}

#[test]
fn the_usual_count_is_told_beside_a_declared_gap() {
    let declared = Some(Declared::EveryMs(3 * HOUR_MS));
    let settings = Settings { window_ms: 5 * MINUTE_MS, calendar: shop(), declared, ..Settings::default() };
    let mut reporter = Reporter::new(settings).unwrap();
    let stop = ms("2026-02-18T11:00:00-05:00");
    feed(&mut reporter, ms("2026-02-02T00:00:00-05:00"), stop, |at| busy(&shop(), at));
    feed(&mut reporter, stop, stop + 4 * HOUR_MS, |_| 0);
    let Verdict::Silent(numbers) = reporter.at(stop + 4 * HOUR_MS) else { panic!() };
    assert_eq!((numbers.by, numbers.limit_ms, numbers.open_ms), (By::Declared, Some(3 * HOUR_MS), 4 * HOUR_MS));
    assert!((38.0..=52.0).contains(&numbers.expected.unwrap()), "{numbers:?}");
    let text = numbers.to_string();
    assert!(text.starts_with("nothing for 4 h, usually ") && text.contains(", expected within 3 h"), "{text}");
    assert!(matches!(reporter.at(stop + 3 * HOUR_MS), Verdict::Reporting(_)), "three hours are allowed");
}

#[test]
fn unknown_windows_are_no_silence_and_a_stored_state_goes_on() {
    let mut reporter = reporter(Calendar::default());
    feed(&mut reporter, 0, 7 * DAY_MS, |at| u64::from(at % (10 * MINUTE_MS) == 0));
    let stored = serde_json::to_string(&reporter).unwrap();
    let mut again: Reporter = serde_json::from_str(&stored).unwrap();
    assert_eq!(again, reporter);
    // A day of the pipeline is missing; the first window after it is empty.
    again.observe(8 * DAY_MS, 0).unwrap();
    assert!(matches!(again.at(8 * DAY_MS + 5 * MINUTE_MS), Verdict::Reporting(_)));
    assert!(again.observe(0, 1).is_err());
}
