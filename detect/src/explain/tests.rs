use super::*;
use proptest::prelude::*;

#[test]
fn the_five_that_moved_a_sum_and_the_rest() {
    let current = [("a", 100), ("b", 5), ("c", 3), ("d", 2), ("e", 1), ("f", 9), ("g", 1)];
    let baseline = [("a", 10), ("b", 5), ("c", 1), ("x", 40), ("f", 5), ("g", 0)];
    let explained = sum(current, baseline, 3);
    let parts: Vec<_> = explained.parts.iter().map(|p| (p.label, p.change())).collect();
    assert_eq!(parts, [(Some("a"), 90), (Some("x"), -40), (Some("f"), 4), (None, 6)]);
    assert_eq!(explained.change, 60);
    assert_eq!(explained.share(&explained.parts[0]), Some(1.5));
    assert_eq!(sum([("a", 1)], [("a", 1)], 5).share(&explained.parts[0]), None);
}

fn of(numerator: f64, denominator: f64) -> Fraction {
    Fraction { numerator, denominator }
}

#[test]
fn simpsons_paradox_is_all_mix() {
    // Each provider is as good as before, the worse one has more of the calls: 10 of 1000 errors become 55 of 1000.
    let baseline = [("good", of(0.0, 900.0)), ("bad", of(10.0, 100.0))];
    let current = [("good", of(0.0, 450.0)), ("bad", of(55.0, 550.0))];
    let explained = ratio(current, baseline, 5).unwrap();
    assert_eq!((explained.current, explained.baseline), (0.055, 0.01));
    assert!(explained.parts.iter().all(|p| p.rate == 0.0));
    let mix: f64 = explained.parts.iter().map(|p| p.mix).sum();
    assert!((mix - 0.045).abs() < 1e-12);
    assert_eq!(explained.parts[0].label, Some("bad"));
}

#[test]
fn one_provider_that_fails_is_all_rate() {
    let baseline = [("usps", of(5.0, 500.0)), ("ups", of(5.0, 500.0))];
    let current = [("usps", of(100.0, 500.0)), ("ups", of(5.0, 500.0))];
    let explained = ratio(current, baseline, 1).unwrap();
    assert!((explained.parts[0].rate - 0.095).abs() < 1e-12);
    assert_eq!((explained.parts[0].label, explained.parts[0].mix), (Some("usps"), 0.0));
    assert_eq!((explained.parts[1].label, explained.parts[1].change()), (None, 0.0));
}

#[test]
fn no_ratio_no_explanation() {
    assert_eq!(ratio([("a", of(1.0, 0.0))], [("a", of(1.0, 2.0))], 5), None);
    assert_eq!(ratio([("a", of(1.0, 3.0)), ("b", of(1.0, -2.0))], [("a", of(1.0, 2.0))], 5), None);
}

#[test]
fn who_moved_the_95th_percentile() {
    let quick = |n| vec![(10.0, n * 9), (20.0, n)];
    let baseline = [("eu", quick(100)), ("us", quick(100))];
    let current = [("eu", quick(100)), ("us", vec![(10.0, 500), (20.0, 100), (500.0, 400)])];
    let threshold = quantile(baseline.iter().map(|(_, b)| b), 0.95).unwrap();
    assert_eq!(threshold, 20.0);
    let explained = tail_mass(current, baseline, threshold, 5).unwrap();
    assert_eq!((explained.current, explained.baseline), (0.2, 0.0));
    assert_eq!(explained.parts[0].label, Some("us"));
    assert!((explained.parts[0].change() - 0.2).abs() < 1e-12);
}

proptest! {
    #[test]
    fn parts_of_a_sum_are_the_whole_exactly(
        current in prop::collection::vec((0_u8..12, -(1_i128 << 100)..(1_i128 << 100)), 0..40),
        baseline in prop::collection::vec((0_u8..12, -(1_i128 << 100)..(1_i128 << 100)), 0..40),
        top in 0_usize..8,
    ) {
        let explained = sum(current.clone(), baseline.clone(), top);
        let whole = current.iter().map(|c| c.1).sum::<i128>() - baseline.iter().map(|c| c.1).sum::<i128>();
        prop_assert_eq!(explained.change, whole);
        prop_assert_eq!(explained.parts.iter().map(SumPart::change).sum::<i128>(), whole);
        prop_assert!(explained.parts.len() <= top + 1);
    }

    #[test]
    fn parts_of_a_ratio_are_the_whole(
        current in prop::collection::vec((0_u8..6, 0_u32..1000, 0_u32..1000), 1..20),
        baseline in prop::collection::vec((0_u8..6, 0_u32..1000, 0_u32..1000), 1..20),
        top in 0_usize..8,
    ) {
        let fractions = |of_all: &[(u8, u32, u32)]| -> Vec<(u8, Fraction)> {
            of_all.iter().map(|(l, n, more)| (*l, of(f64::from(*n), f64::from(*n + *more)))).collect()
        };
        if let Some(explained) = ratio(fractions(&current), fractions(&baseline), top) {
            let parts: f64 = explained.parts.iter().map(RatioPart::change).sum();
            prop_assert!((parts - (explained.current - explained.baseline)).abs() < 1e-12);
        }
    }
}
