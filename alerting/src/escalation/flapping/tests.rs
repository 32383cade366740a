use super::*;
use crate::config::PromDuration;
use crate::test_support::{alert, at};

const CONFIG: FlappingConfig =
    FlappingConfig { changes: 4, within: PromDuration::seconds(60), stable_for: PromDuration::seconds(100) };

fn drive(flapping: &mut Flapping, changes: &[(f64, bool)]) -> Fingerprint {
    let mut alert = alert([("a", "b")], 0.0);
    for (when, firing) in changes {
        alert.ends_at = if *firing { None } else { Some(at(*when)) };
        flapping.observe(&CONFIG, &alert, at(*when));
    }
    alert.fingerprint()
}

#[test]
fn too_many_changes_make_it_flap_until_it_is_stable() {
    let mut flapping = Flapping::default();
    let fingerprint = drive(&mut flapping, &[(0.0, true), (5.0, true), (10.0, false), (20.0, true)]);
    assert!(!flapping.is_flapping(&CONFIG, fingerprint, at(20.0)), "three changes only");
    drive(&mut flapping, &[(30.0, false)]);
    assert!(flapping.is_flapping(&CONFIG, fingerprint, at(30.0)));
    assert_eq!(flapping.changes(&CONFIG, fingerprint, at(30.0)), 4);
    assert!(flapping.is_flapping(&CONFIG, fingerprint, at(129.0)));
    drive(&mut flapping, &[(129.0, true)]);
    assert!(flapping.is_flapping(&CONFIG, fingerprint, at(228.0)), "every change begins the wait anew");
    assert!(!flapping.is_flapping(&CONFIG, fingerprint, at(229.0)));
    assert!(flapping.tidy(&CONFIG, at(228.0)).is_empty());
    assert_eq!(flapping.tidy(&CONFIG, at(229.0)), [(fingerprint, at(129.0))]);
    assert!(flapping.tidy(&CONFIG, at(229.0)).is_empty(), "it is said once");
    drive(&mut flapping, &[(230.0, false)]);
    assert!(!flapping.is_flapping(&CONFIG, fingerprint, at(230.0)), "it is judged anew");
}

#[test]
fn slow_changes_are_no_flapping() {
    let mut flapping = Flapping::default();
    let changes: Vec<(f64, bool)> = (0..20).map(|n| (f64::from(n) * 21.0, n % 2 == 0)).collect();
    let fingerprint = drive(&mut flapping, &changes);
    assert!(!flapping.is_flapping(&CONFIG, fingerprint, at(420.0)));
}
