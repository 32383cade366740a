//! Our own functions against the detectors they replay: the same bits, whatever the query.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests say what went wrong by panicking")]

use std::collections::BTreeMap;

use tidewatch_detect::calendar::Calendar;
use tidewatch_detect::silence::{self, Reporter};
use tidewatch_detect::spike::{Detector, Settings};
use tidewatch_detect::zone::Zone;
use tidewatch_promql::series::Increments;
use tidewatch_promql::{
    Grammar, Labels, Limits, Options, Query, Sample, Selection, Series, Storage, StorageError, Value,
};

/// 2026-01-05, a Monday.
const MONDAY_MS: i64 = 1_767_571_200_000;
const STEP_MS: i64 = 300_000;
const DAY_MS: i64 = 86_400_000;
const DAY: i64 = DAY_MS / STEP_MS;
/// Steps of the data, which begins on Monday.
const STEPS: i64 = 33 * DAY;

struct One(Series);

impl Storage for One {
    fn select(&self, _: &Selection) -> Result<Vec<Series>, StorageError> {
        Ok(vec![self.0.clone()])
    }
}

/// Counts of windows by their start: night and day, noise that is the same each time, bursts, an outage, gaps.
fn counts() -> BTreeMap<i64, u64> {
    let count = |step: i64| {
        let hour = (step % DAY) as f64 / 12.0;
        let noise = 0.9 + 0.2 * ((step * 7919 % 97) as f64 / 97.0);
        let usual = ((100.0 - 80.0 * (std::f64::consts::TAU * hour / 24.0).cos()) * noise) as u64;
        match step {
            // Each around the midnight of a day: 27, 29, 30 and 31.
            _ if (27 * DAY - 5..27 * DAY + 4).contains(&step) => 8 * usual,
            _ if (29 * DAY - 3..29 * DAY + 20).contains(&step) => 30 * usual,
            _ if (30 * DAY - 20..30 * DAY + 30).contains(&step) => 0,
            _ if (31 * DAY + 100..31 * DAY + 110).contains(&step) => 20 * usual,
            _ => usual,
        }
    };
    let is_known = |step: &i64| step % 701 != 0 && !(31 * DAY + 105..31 * DAY + 125).contains(step);
    (0..STEPS).filter(is_known).map(|step| (MONDAY_MS + step * STEP_MS, count(step))).collect()
}

/// A sample at the end of each window.
fn gauge(counts: &BTreeMap<i64, u64>) -> One {
    let times: Vec<i64> = counts.keys().map(|start_ms| start_ms + STEP_MS).collect();
    let values: Vec<f64> = counts.values().map(|count| *count as f64).collect();
    One(Series::floats(Labels::new([("__name__", "orders"), ("shop", "a")]), times, values))
}

/// Bits of the values by time.
fn range(query: &str, storage: &One, start_ms: i64, end_ms: i64, step_ms: i64) -> BTreeMap<i64, u64> {
    let query = Query::parse(query, Grammar::default()).unwrap();
    let plan = query.range(start_ms, end_ms, step_ms, &Options::default()).unwrap();
    let Value::Matrix(series) = plan.run(storage, &Limits::none()).unwrap().value else { panic!("no matrix") };
    assert!(series.len() <= 1);
    series.iter().flat_map(|one| &one.floats).map(|(time, value)| (*time, value.to_bits())).collect()
}

fn instant(query: &str, storage: &One, time_ms: i64) -> Option<u64> {
    let plan = Query::parse(query, Grammar::default()).unwrap().instant(time_ms, &Options::default());
    let Value::Vector(samples) = plan.run(storage, &Limits::none()).unwrap().value else { panic!("no vector") };
    samples.first().map(|sample| match sample.value {
        Sample::Float(value) => value.to_bits(),
        Sample::Histogram(_) => panic!("no float"),
    })
}

/// The windows that a range of 28 days or more replays at this time: from its first whole day on.
fn replayed(counts: &BTreeMap<i64, u64>, time_ms: i64, range_ms: i64) -> impl Iterator<Item = (i64, u64)> {
    let anchor_ms = (time_ms - range_ms + DAY_MS - 1).div_euclid(DAY_MS) * DAY_MS;
    counts.range(anchor_ms..=time_ms - STEP_MS).map(|(start_ms, count)| (*start_ms, *count))
}

/// Between two questions.
const ASKED_MS: i64 = 3 * STEP_MS;

/// First and last question of an evening, in hours since the data begins: around a spike over midnight, an outage over
/// midnight, a spike that ends in windows of which nothing is known.
const ASKED: [(i64, i64); 3] = [(29 * 24 - 1, 29 * 24 + 3), (30 * 24 - 2, 30 * 24 + 3), (31 * 24 + 8, 31 * 24 + 11)];

/// What is asked in each of them, with when.
fn asked(function: &str, arguments: &str, storage: &One) -> (BTreeMap<i64, u64>, Vec<i64>) {
    let query = format!("{function}(orders[28d:5m], {arguments})");
    let (mut answers, mut times) = (BTreeMap::new(), Vec::new());
    for hours in ASKED {
        let [from_ms, to_ms] = [hours.0, hours.1].map(|hours| MONDAY_MS + hours * 3_600_000);
        answers.append(&mut range(&query, storage, from_ms, to_ms, ASKED_MS));
        times.extend((from_ms..=to_ms).step_by(ASKED_MS as usize));
    }
    (answers, times)
}

#[test]
fn spikes_are_those_of_a_replay_of_the_range() {
    let counts = counts();
    let storage = gauge(&counts);
    let ask = |function: &str| asked(function, "\"America/New_York\"", &storage);
    let [(lift, times), (excess, _), (started, _), (expected, _)] =
        ["spike_lift", "spike_excess", "spike_started", "spike_expected"].map(ask);
    let zone = Zone::named("America/New_York").unwrap();
    let mut open = 0;
    for &time_ms in &times {
        let settings = Settings { zone, ..Settings::of_windows(STEP_MS) };
        let windows = replayed(&counts, time_ms, 28 * DAY_MS);
        let (detector, verdicts) = Detector::replay(settings, windows).unwrap();
        let last = verdicts.last().unwrap();
        let spike = detector.open().filter(|_| time_ms - STEP_MS - last.window_start_ms <= 3_600_000);
        open += usize::from(spike.is_some());
        assert_eq!(lift.get(&time_ms), spike.map(|s| s.lift().to_bits()).as_ref(), "lift at {time_ms}");
        assert_eq!(excess.get(&time_ms), spike.map(|s| s.excess().to_bits()).as_ref(), "excess at {time_ms}");
        let start = spike.map(|s| (s.start_ms as f64 / 1000.0).to_bits());
        assert_eq!(started.get(&time_ms), start.as_ref(), "started at {time_ms}");
        if last.window_start_ms == time_ms - STEP_MS {
            assert_eq!(expected.get(&time_ms), last.expected.map(f64::to_bits).as_ref(), "expected at {time_ms}");
        }
    }
    assert!((8..times.len() - 8).contains(&open), "{open}");
    assert_eq!(expected.len(), times.len(), "also of windows without samples");
}

#[test]
fn silence_is_that_of_a_replay_of_the_range() {
    let counts = counts();
    let storage = gauge(&counts);
    let arguments = r#""Europe/Berlin", "Mo-Sa 06:00-24:00", "2026-02-05""#;
    let ask = |function: &str| asked(function, arguments, &storage);
    let ((seconds, times), (expected, _)) = (ask("silence_seconds"), ask("silence_expected"));
    let mut calendar = Calendar::always(Zone::named("Europe/Berlin").unwrap());
    calendar.set_hours("Mo-Sa 06:00-24:00").unwrap();
    calendar.set_holidays("2026-02-05").unwrap();
    let mut silent = 0;
    for &time_ms in &times {
        let settings = silence::Settings { window_ms: STEP_MS, calendar: calendar.clone(), ..Default::default() };
        let mut reporter = Reporter::new(settings).unwrap();
        let mut last_ms = 0;
        for (start_ms, count) in replayed(&counts, time_ms, 28 * DAY_MS) {
            reporter.observe(start_ms, count).unwrap();
            last_ms = start_ms + STEP_MS;
        }
        let numbers = match reporter.at(last_ms) {
            silence::Verdict::Silent(numbers) if time_ms - last_ms <= 3_600_000 => Some(numbers),
            _ => None,
        };
        silent += usize::from(numbers.is_some());
        let open = numbers.map(|n| (n.open_ms as f64 / 1000.0).to_bits());
        assert_eq!(seconds.get(&time_ms), open.as_ref(), "seconds at {time_ms}");
        let usual = numbers.and_then(|n| n.expected).map(f64::to_bits);
        assert_eq!(expected.get(&time_ms), usual.as_ref(), "expected at {time_ms}");
    }
    assert!(silent > 0);
}

#[test]
fn each_series_may_tell_its_own_calendar() {
    let counts = counts();
    let named = |labels: &[(&str, &str)]| {
        let One(series) = gauge(&counts);
        let labels = labels.iter().copied().chain([("__name__", "orders"), ("shop", "a")]);
        One(Series { labels: Labels::new(labels), ..series })
    };
    let hours = "Mo-Sa 06:00-24:00";
    let told = named(&[("zone", "Europe/Berlin"), ("hours", hours), ("closed", "2026-02-05")]);
    let written = format!(r#""Europe/Berlin", "{hours}", "2026-02-05""#);
    let expected = asked("silence_seconds", &written, &gauge(&counts)).0;
    assert!(!expected.is_empty());
    assert_eq!(asked("silence_seconds", r#""$zone", "$hours", "$closed""#, &told).0, expected);
    // A label that is not there, or says nonsense, is as if nothing had been written.
    let usual = asked("silence_seconds", r#""""#, &gauge(&counts)).0;
    assert_ne!(usual, expected);
    assert_eq!(asked("silence_seconds", r#""$zone", "$hours""#, &gauge(&counts)).0, usual);
    // A rhythm may be told as well: the outage of four hours is longer than the one, and shorter than the other.
    let rhythm = |text| asked("silence_seconds", r#""", "", "", "$rhythm""#, &named(&[("rhythm", text)])).0;
    assert!(!rhythm("every 1h").is_empty() && rhythm("every 7h").is_empty());
    assert_eq!(rhythm("hourly"), usual);
    let nonsense = named(&[("zone", "Europe/Atlantis")]);
    assert_eq!(asked("silence_seconds", r#""$zone""#, &nonsense).0, usual);
    let query = Query::parse(r#"silence_seconds(orders[28d], "$zone")"#, Grammar::default()).unwrap();
    let ran = query.instant(MONDAY_MS + 30 * DAY_MS, &Options::default()).run(&nonsense, &Limits::none()).unwrap();
    assert!(format!("{:?}", ran.annotations).contains("Europe/Atlantis"), "{:?}", ran.annotations);
    let error = Query::parse(r#"silence_seconds(orders[28d], "$9")"#, Grammar::default()).err().unwrap();
    assert!(error.to_string().contains("expected the name of a label"), "{error}");
}

#[test]
fn a_range_query_is_an_instant_query_at_each_step() {
    let storage = gauge(&counts());
    // A day begins in each of them, within a spike or within an outage.
    for (query, step_ms, day) in [
        ("spike_lift(orders[29d:5m])", 53, 28),
        ("spike_expected(orders[2w:5m], \"Asia/Kolkata\")", 47, 28),
        ("spike_excess(orders[20h:5m])", 17, 28),
        ("spike_started(orders[4w] offset 3m)", 59, 28),
        ("silence_seconds(orders[29d:15m])", 43, 29),
        ("silence_expected(orders[10d:5m], \"\", \"Mo-Su 05:00-23:00\")", 17, 29),
    ] {
        let (from_ms, step_ms) = (MONDAY_MS + day * DAY_MS + 21 * 3_600_000, step_ms * 60_000);
        let to_ms = from_ms + 5 * 3_600_000;
        let ranged = range(query, &storage, from_ms, to_ms, step_ms);
        assert!(!ranged.is_empty(), "{query}");
        for time_ms in (from_ms..=to_ms).step_by(step_ms as usize) {
            assert_eq!(ranged.get(&time_ms), instant(query, &storage, time_ms).as_ref(), "{query} at {time_ms}");
        }
    }
}

#[test]
fn a_number_follows_from_the_samples_of_its_range_alone() {
    let counts = counts();
    let time_ms = MONDAY_MS + 31 * DAY_MS + 102 * STEP_MS + 60_000;
    let query = "spike_lift(orders[10d:5m])";
    let all = instant(query, &gauge(&counts), time_ms);
    assert!(all.is_some());
    let inside = counts.iter().filter(|(start_ms, _)| (time_ms - 10 * DAY_MS - STEP_MS..time_ms).contains(*start_ms));
    let inside = inside.map(|(start_ms, count)| (*start_ms, *count)).collect();
    assert_eq!(instant(query, &gauge(&inside), time_ms), all);
}

#[test]
fn counted_increments_are_the_counts_of_windows() {
    let counts = counts();
    let storage = gauge(&counts);
    let time_ms = MONDAY_MS + 29 * DAY_MS + 2 * STEP_MS;
    // What was counted, as a storage of windows gives it: windows without events have no sample, and count as 0.
    let known: BTreeMap<i64, u64> = (0..STEPS)
        .map(|step| MONDAY_MS + step * STEP_MS)
        .map(|start_ms| (start_ms, counts.get(&start_ms).copied().unwrap_or(0)))
        .collect();
    let events: Vec<(i64, f64)> =
        known.iter().filter(|one| *one.1 > 0).map(|(s, c)| (s + STEP_MS, *c as f64)).collect();
    let (times, values): (Vec<i64>, Vec<f64>) = events.into_iter().unzip();
    let labels = Labels::new([("__name__", "orders_total"), ("shop", "a")]);
    let counting = Increments { from_ms: MONDAY_MS, is_histogram: false };
    let counter = One(Series::floats(labels, times, values).counting(counting));
    let from_counter = instant("spike_lift(increase(orders_total[5m])[28d:5m])", &counter, time_ms);
    assert!(from_counter.is_some());
    assert_eq!(from_counter, instant("spike_lift(orders[28d:5m])", &gauge(&known), time_ms));
    assert!(instant("spike_lift(orders[28d:5m])", &storage, time_ms).is_some());
}

#[test]
fn prometheus_has_none_of_them() {
    let strict = Grammar { prometheus_only: true, ..Grammar::default() };
    for name in ["spike_lift", "spike_excess", "spike_started", "spike_expected", "silence_seconds", "silence_expected"]
    {
        let query = format!("{name}(orders[4w:5m])");
        let refused = Query::parse(&query, strict).map(drop).map_err(|error| error.to_string());
        assert_eq!(refused, Err(format!("1:1: parse error: unknown function with name {name:?}")));
        assert_eq!(Query::parse(&query, Grammar::default()).unwrap().format(), query);
    }
}

#[test]
fn a_default_step_that_divides_no_hour_is_refused() {
    let options = Options { subquery_step_ms: 7_000, ..Options::default() };
    let plan = Query::parse("spike_lift(orders[4w:])", Grammar::default()).unwrap().instant(MONDAY_MS, &options);
    let error = plan.run(&gauge(&BTreeMap::new()), &Limits::none()).unwrap_err();
    assert_eq!(error.kind(), "bad_data");
    assert!(error.to_string().contains("got 7000 ms"), "{error}");
}
