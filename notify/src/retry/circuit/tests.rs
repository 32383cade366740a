use super::*;
use std::time::Duration;

fn settings() -> DeliverySettings {
    DeliverySettings {
        failures_max: 3,
        probe_min: Duration::from_millis(100),
        probe_max: Duration::from_millis(800),
        ..Default::default()
    }
}

fn opened() -> Circuit {
    let mut circuit = Circuit::default();
    for expected in [CircuitChange::None, CircuitChange::None, CircuitChange::Opened] {
        assert_eq!(circuit.admit(0), Admit::Any);
        assert_eq!(circuit.record(&settings(), Outcome::Unavailable, false, None, (0, 1)), expected);
    }
    circuit
}

fn until(circuit: &Circuit, now_ms: i64) -> i64 {
    match circuit.admit(now_ms) {
        Admit::NotBefore(until_ms) => until_ms,
        other => panic!("expected a closed door, found {other:?}"),
    }
}

#[test]
fn opens_after_failures_in_a_row_only() {
    let mut circuit = Circuit::default();
    for _ in 0..10 {
        circuit.record(&settings(), Outcome::Unavailable, false, None, (0, 1));
        circuit.record(&settings(), Outcome::Misconfigured, false, None, (0, 1));
        circuit.record(&settings(), Outcome::Refused, false, None, (0, 1));
        assert_eq!(circuit.admit(0), Admit::Any);
    }
    assert!(opened().is_open());
}

#[test]
fn one_probe_at_a_time_ever_more_rarely() {
    let mut circuit = opened();
    let mut now_ms = until(&circuit, 0);
    assert!(now_ms >= 100, "{now_ms}");
    for probe in 1..20 {
        assert_eq!(circuit.admit(now_ms), Admit::Probe);
        circuit.probe_started();
        assert_eq!(circuit.admit(now_ms), Admit::AfterProbe);
        // One that was sent before the door closed says nothing of the probe.
        circuit.record(&settings(), Outcome::Unavailable, false, None, (now_ms, 1));
        assert_eq!(circuit.admit(now_ms), Admit::AfterProbe);
        circuit.record(&settings(), Outcome::Unavailable, true, None, (now_ms, probe));
        let wait_ms = until(&circuit, now_ms) - now_ms;
        assert!((100..=800).contains(&wait_ms), "{wait_ms}");
        now_ms += wait_ms;
    }
    circuit.probe_started();
    let change = circuit.record(&settings(), Outcome::Delivered, true, None, (now_ms, 1));
    assert_eq!((change, circuit.admit(now_ms)), (CircuitChange::Closed, Admit::Any));
}

#[test]
fn a_probe_without_an_outcome_does_not_block_for_ever() {
    let mut circuit = opened();
    let now_ms = until(&circuit, 0);
    circuit.probe_started();
    circuit.record(&settings(), Outcome::Unknown, true, None, (now_ms, 1));
    assert_eq!(circuit.admit(now_ms), Admit::Probe);
}

#[test]
fn silence_that_was_asked_for_is_kept() {
    let mut circuit = Circuit::default();
    circuit.record(&settings(), Outcome::Throttled, false, Some(5_000), (1_000, 1));
    circuit.record(&settings(), Outcome::Throttled, false, Some(3_000), (1_000, 1));
    assert_eq!(circuit.admit(4_999), Admit::NotBefore(5_000));
    assert_eq!(circuit.admit(5_000), Admit::Any);
}
