use super::*;

const TOLERANCE: i64 = 20;
const ZONE: Stretch = (100, 1000);

fn labels() -> Labels {
    [("alertname".to_owned(), "A".to_owned())].into()
}

fn firing(fired_ms: i64, ended_ms: impl Into<Option<i64>>) -> Firing {
    Firing { labels: labels(), active_ms: fired_ms, fired_ms, ended_ms: ended_ms.into() }
}

fn said(fired_ms: i64, ended_ms: i64, verdict: Verdict) -> Said {
    Said {
        group: "g".to_owned(),
        rule: "A".to_owned(),
        labels: labels(),
        alert: "1".to_owned(),
        fired_ms,
        ended_ms: Some(ended_ms),
        verdict,
        at_ms: 0,
        turn: 1,
        is_told: verdict == Verdict::WouldNotHaveFired,
    }
}

fn judged_with(taken: &[Firing], again: &[Vec<Firing>], said: &[Said], unwatched: &[Stretch]) -> Judged {
    let looked =
        Looked { taken, again, said, zone: ZONE, start_ms: 0, end_ms: 2000, unwatched, tolerance_ms: TOLERANCE };
    judge(&looked)
}

fn verdicts(taken: &[Firing], again: &[Firing]) -> Vec<(i64, Verdict)> {
    let judged = judged_with(taken, &[again.to_vec(), again.to_vec()], &[], &[]);
    judged.findings.into_iter().map(|finding| (finding.fired_ms, finding.verdict)).collect()
}

#[test]
fn what_fired_at_about_the_same_time_stands() {
    let taken = [firing(200, 400)];
    for again in [firing(200, 400), firing(180, 420), firing(220, 380)] {
        assert_eq!(verdicts(&taken, &[again]), []);
    }
    // A short one that a look at other instants finds next to it.
    assert_eq!(verdicts(&[firing(200, 205)], &[firing(215, 225)]), []);
}

#[test]
fn what_does_not_fire_again_would_not_have_fired() {
    assert_eq!(verdicts(&[firing(200, 400)], &[]), [(200, Verdict::WouldNotHaveFired)]);
    assert_eq!(verdicts(&[firing(200, 205)], &[firing(300, 310)]), [(200, Verdict::WouldNotHaveFired)]);
    assert_eq!(verdicts(&[firing(50, 400)], &[]), [], "before the late events");
    assert_eq!(verdicts(&[firing(1001, 1400)], &[]), [], "the rule had seen them");
    assert_eq!(verdicts(&[firing(i64::MIN, 400)], &[]), [], "nobody knows when it began");
    let either = judged_with(&[firing(200, 400)], &[vec![], vec![firing(200, 400)]], &[], &[]);
    assert_eq!(either, Judged::default(), "one grid confirms it");
}

#[test]
fn what_fires_now_and_did_not_should_have() {
    assert_eq!(verdicts(&[], &[firing(200, 400)]), [(200, Verdict::ShouldHaveFired)]);
    assert_eq!(verdicts(&[], &[firing(200, 220)]), [], "no longer than the tolerance");
    assert_eq!(verdicts(&[], &[Firing { active_ms: 10, ..firing(200, 400) }]), [], "held before the look began");
    assert_eq!(verdicts(&[], &[firing(1001, 1400)]), [], "after the late events were heard of");
    let one = judged_with(&[], &[vec![firing(200, 400)], vec![]], &[], &[]);
    assert_eq!(one, Judged::default(), "found on one grid only");
}

#[test]
fn another_time_is_told_only_as_far_as_it_is_known() {
    let at = |fired_ms: i64, ended_ms: i64| Verdict::WouldHaveFiredAt { fired_ms, ended_ms: Some(ended_ms) };
    assert_eq!(verdicts(&[firing(200, 400)], &[firing(300, 400)]), [(200, at(300, 400))]);
    assert_eq!(verdicts(&[firing(200, 400)], &[firing(200, 900)]), [(200, at(200, 900))]);
    assert_eq!(verdicts(&[firing(200, 400)], &[firing(200, None)]), [], "it goes on at the end of the look");
    assert_eq!(verdicts(&[firing(200, 400)], &[firing(5, 400)]), [], "it may have begun before the look");
    // Two became one, and one two.
    let two = [firing(200, 300), firing(400, 500)];
    assert_eq!(verdicts(&two, &[firing(200, 500)]), [(200, at(200, 500)), (400, at(200, 500))]);
    assert_eq!(verdicts(&[firing(200, 500)], &two), []);
}

#[test]
fn what_has_not_ended_is_judged_later() {
    let open = |taken: &[Firing], again: Vec<Firing>| judged_with(taken, &[again], &[], &[]);
    for judged in
        [open(&[firing(200, None)], vec![]), open(&[firing(200, 1990)], vec![]), open(&[], vec![firing(200, None)])]
    {
        assert_eq!(judged, Judged { findings: Vec::new(), is_open: true });
    }
}

#[test]
fn what_nobody_watched_is_not_judged() {
    let gap = [(300, 350)];
    let judged = |taken: &[Firing], again: Vec<Firing>| judged_with(taken, &[again], &[], &gap).findings.len();
    assert_eq!(judged(&[firing(200, 400)], vec![]), 0);
    assert_eq!(judged(&[firing(350, 400)], vec![]), 0, "it began when somebody looked again");
    assert_eq!(judged(&[], vec![firing(320, 400)]), 0);
    assert_eq!(judged(&[firing(400, 500)], vec![firing(340, 500)]), 0, "it fires later because nobody looked");
    assert_eq!(judged(&[firing(200, 300)], vec![]), 1, "over when the gap begins");
    assert_eq!(judged(&[], vec![firing(351, 400)]), 1);
}

#[test]
fn a_verdict_is_given_once_and_taken_back_once() {
    let taken = [firing(200, 400)];
    let would_not = [said(200, 400, Verdict::WouldNotHaveFired)];
    assert_eq!(judged_with(&taken, &[vec![]], &would_not, &[]), Judged::default());
    let back = judged_with(&taken, &[taken.to_vec()], &would_not, &[]).findings;
    let [Finding { verdict: Verdict::Stands, turn: 2, is_told: true, .. }] = &back[..] else { panic!("{back:?}") };
    let stands = [Said { turn: 2, ..said(200, 400, Verdict::Stands) }];
    assert_eq!(judged_with(&taken, &[taken.to_vec()], &stands, &[]), Judged::default());

    let should = [said(200, 400, Verdict::ShouldHaveFired)];
    let again = vec![firing(210, 390)];
    assert_eq!(
        judged_with(&[], std::slice::from_ref(&again), &should, &[]),
        Judged::default(),
        "found again a little otherwise"
    );
    let back = judged_with(&[], &[vec![]], &should, &[]).findings;
    let [Finding { fired_ms: 200, verdict: Verdict::RightlySilent, is_told: false, .. }] = &back[..] else {
        panic!("{back:?}")
    };
    let silent = [said(200, 400, Verdict::RightlySilent)];
    assert_eq!(judged_with(&[], &[vec![]], &silent, &[]), Judged::default());
    assert_eq!(judged_with(&[], &[again], &silent, &[]).findings.len(), 1, "and once more");

    let moved = |fired_ms| [said(200, 400, Verdict::WouldHaveFiredAt { fired_ms, ended_ms: Some(400) })];
    let later = vec![firing(300, 400)];
    assert_eq!(judged_with(&taken, std::slice::from_ref(&later), &moved(310), &[]), Judged::default());
    assert_eq!(judged_with(&taken, &[later], &moved(250), &[]).findings.len(), 1);
}
