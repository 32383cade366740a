use super::*;
use crate::state::Phase::{Firing, Pending};

fn entry(minute: i64, to: Option<Phase>) -> Entry {
    Entry {
        time_ms: minute * 60_000,
        rule: RuleName { group: "g".into(), rule: "A".into() },
        fingerprint: "1".to_string(),
        labels: Labels::new([("alertname", "A")]),
        from: None,
        to,
        reason: Reason::Holds,
        value: 1.0,
        threshold: None,
        completeness: Completeness::Complete,
        active_at_ms: 0,
        for_ms: 0,
        keep_firing_for_ms: 0,
    }
}

fn changes_of(taken: &[Option<Phase>], again: &[Option<Phase>]) -> Vec<Change> {
    let entries = |phases: &[Option<Phase>]| -> Vec<Entry> {
        phases.iter().zip(0..).map(|(phase, minute)| entry(minute, *phase)).collect()
    };
    amend(&entries(taken), &entries(again)).into_iter().map(|amendment| amendment.change).collect()
}

#[test]
fn late_data_amends_the_record() {
    let minute = 60_000;
    let (fires, waits, none) = (Some(Firing), Some(Pending), None);
    assert_eq!(changes_of(&[waits, fires, none], &[waits, fires, none]), []);
    assert_eq!(
        changes_of(&[waits, fires, none], &[none, none, none]),
        [Change::WouldNotHaveFired { fired_at_ms: minute, ended_at_ms: Some(2 * minute) }]
    );
    assert_eq!(
        changes_of(&[none, none, none], &[waits, fires, fires]),
        [Change::ShouldHaveFired { fired_at_ms: minute, ended_at_ms: None }]
    );
    assert_eq!(
        changes_of(&[none, none, fires, fires], &[none, fires, fires, none]),
        [Change::WouldHaveFiredAt {
            fired_at_ms: 2 * minute,
            ended_at_ms: None,
            amended_fired_at_ms: minute,
            amended_ended_at_ms: Some(3 * minute),
        }]
    );
}

#[test]
fn an_entry_reads_back_the_same() {
    let mut one = entry(3, Some(Firing));
    one.value = f64::NEG_INFINITY;
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), one);
}
