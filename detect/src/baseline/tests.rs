use super::*;

/// Quarters of an hour.
const WINDOW_MS: i64 = 900_000;

/// Feeds whole hours from hour 0 on; `None` is an hour that is unknown, `Err` one that was set aside.
fn fed(hours: &[Option<Result<u64, u64>>]) -> Baseline {
    let mut baseline = Baseline::new(WINDOW_MS);
    for (hour, count) in (0..).zip(hours) {
        let Some(count) = count else { continue };
        baseline.advance(hour * HOUR_MS, Zone::UTC);
        for _ in 0..4 {
            match count {
                Ok(usual) => baseline.learn(*usual, None, Outliers::Whole),
                Err(aside) => baseline.set_aside(*aside),
            }
        }
    }
    baseline.advance(hours.len() as i64 * HOUR_MS, Zone::UTC);
    baseline
}

/// Expected in the middle of an hour, where no neighbour has a say.
fn season(baseline: &Baseline, hour: i64) -> f64 {
    baseline.season(hour, Zone::UTC, 10.0).blended
}

#[test]
fn estimates_have_as_many_votes_as_values() {
    // Three days of 10 but for their hour 5, which had 20, 30 and 90.
    let mut hours = vec![Some(Ok(10)); 72];
    for (hour, count) in [(5, 20), (29, 30), (53, 90)] {
        hours[hour] = Some(Ok(count));
    }
    let baseline = fed(&hours);
    assert_eq!(baseline.hour_mean(53), Some(90.0));
    // Half an event per hour is an eighth per window. Median 30 with three votes, local 10 with one.
    let expected = ((3.0 * 30.125_f64.ln() + 10.125_f64.ln()) / 4.0).exp() - 0.125;
    assert!((season(&baseline, 72 + 5) - expected).abs() < 1e-9);
    assert!((season(&baseline, 72 + 6) - 10.0).abs() < 1e-9);
}

#[test]
fn unknown_hours_have_no_vote_and_hours_need_half_of_their_windows() {
    let mut hours = vec![Some(Ok(10)); 48];
    hours[29] = None;
    let baseline = fed(&hours);
    assert_eq!((baseline.hour_mean(29), baseline.hours_known()), (None, 47));
    let mut part = Baseline::new(WINDOW_MS);
    for (hour, windows) in [(0, 1), (1, 2), (2, 4)] {
        part.advance(hour * HOUR_MS, Zone::UTC);
        (0..windows).for_each(|_| part.learn(7, None, Outliers::Whole));
    }
    part.advance(3 * HOUR_MS, Zone::UTC);
    assert_eq!([0, 1, 2, 3].map(|hour| part.hour_mean(hour)), [None, Some(7.0), Some(7.0), None]);
}

#[test]
fn one_burst_at_a_clock_hour_has_no_vote_and_two_have() {
    let mut hours = vec![Some(Ok(10)); 72];
    hours[29] = Some(Err(500));
    let once = fed(&hours);
    assert!((season(&once, 72 + 5) - 10.0).abs() < 1e-9);
    hours[53] = Some(Err(500));
    let twice = fed(&hours);
    assert!(season(&twice, 72 + 5) > 100.0, "median of 10, 500, 500");
    let mut scaled = twice.clone();
    scaled.rescale(3.0, Zone::UTC);
    assert_eq!((scaled.hour_mean(71), scaled.hour_aside(53)), (Some(30.0), Some(1500.0)));
    assert_eq!(scaled.hours_known(), twice.hours_known());
}

#[test]
fn hours_older_than_four_weeks_are_forgotten() {
    let mut hours = vec![Some(Ok(10)); 30 * 24];
    hours[0] = Some(Ok(99));
    let baseline = fed(&hours);
    assert_eq!(baseline.hour_mean(0), None);
    assert_eq!(baseline.hours_known() as i64, HOURS);
}
