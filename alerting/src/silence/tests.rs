use super::*;
use crate::route::matcher::MatchOp;
use crate::test_support::at;

fn request(matchers: &[&str], starts: f64, ends: f64) -> SilenceRequest {
    SilenceRequest {
        id: None,
        matchers: matchers.iter().map(|text| Matcher::parse(text).unwrap()).collect(),
        starts_at: at(starts),
        ends_at: at(ends),
        created_by: "anna".to_string(),
        comment: "repair".to_string(),
        annotations: Labels::default(),
    }
}

#[test]
fn a_silence_lives_through_three_states() {
    let mut silences = Silences::default();
    let id = silences.set(request(&["a=b"], 10.0, 20.0), at(0.0), 7).unwrap();
    let labels = Labels::from([("a", "b")]);
    for (now, state, mutes) in [
        (0.0, SilenceState::Pending, false),
        (10.0, SilenceState::Active, true),
        (19.999, SilenceState::Active, true),
        (20.0, SilenceState::Expired, false),
    ] {
        assert_eq!(silences.get(&id).unwrap().state(at(now)), state);
        assert_eq!(!silences.muting(&labels, at(now)).is_empty(), mutes);
    }
    assert!(silences.muting(&Labels::from([("a", "c")]), at(15.0)).is_empty());
    assert_eq!(silences.forget_expired(at(20.0 + 432_000.0)), 1);
}

#[test]
fn changes_that_would_rewrite_the_past_make_a_new_silence() {
    let mut silences = Silences::default();
    let id = silences.set(request(&["a=b"], 0.0, 100.0), at(0.0), 1).unwrap();
    let longer = SilenceRequest { id: Some(id.clone()), ..request(&["a=b"], 0.0, 200.0) };
    assert_eq!(silences.set(longer, at(50.0), 2).unwrap(), id);
    let other = SilenceRequest { id: Some(id.clone()), ..request(&["a=c"], 0.0, 200.0) };
    let new = silences.set(other, at(60.0), 3).unwrap();
    assert_ne!(new, id);
    assert_eq!(silences.get(&id).unwrap().ends_at, at(60.0));
    assert_eq!(silences.get(&new).unwrap().starts_at, at(60.0), "nothing is silenced afterwards");
    let revived = SilenceRequest { id: Some(id.clone()), ..request(&["a=b"], 0.0, 200.0) };
    assert_ne!(silences.set(revived, at(70.0), 4).unwrap(), id, "an expired one stays expired");
    silences.expire(&new, at(80.0)).unwrap();
    assert_eq!(silences.get(&new).unwrap().state(at(80.0)), SilenceState::Expired);
    assert_eq!(silences.expire("none", at(0.0)), Err(SilenceError::NotFound("none".to_string())));
    let missing = SilenceRequest { id: Some("none".to_string()), ..request(&["a=b"], 0.0, 1.0) };
    assert!(matches!(silences.set(missing, at(0.0), 5), Err(SilenceError::NotFound(_))));
}

#[test]
fn senseless_silences_are_refused_and_their_number_is_bounded() {
    let mut silences = Silences { silences_max: 1, ..Silences::default() };
    for matchers in [&[][..], &["a=\"\""], &["a=~\".*\"", "b=\"\""]] {
        assert!(matches!(silences.set(request(matchers, 0.0, 1.0), at(0.0), 0), Err(SilenceError::Invalid(_))));
    }
    assert!(silences.set(request(&["a=b"], 2.0, 1.0), at(0.0), 0).is_err());
    silences.set(request(&["a!=b"], 0.0, 1.0), at(0.0), 0).unwrap();
    assert_eq!(silences.set(request(&["a=b"], 0.0, 1.0), at(0.0), 1), Err(SilenceError::TooMany(1)));
    assert_eq!(silences.refused, 1);
    let read: Silences = serde_json::from_str(&serde_json::to_string(&silences).unwrap()).unwrap();
    assert_eq!(read.iter().next().unwrap().matchers[0].op(), MatchOp::NotEqual);
}

#[test]
fn ids_are_uuids_of_version_four() {
    let id = uuid(u128::MAX);
    assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
}
