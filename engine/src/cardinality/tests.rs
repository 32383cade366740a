use super::*;

const DAY: i64 = DAY_US;

fn admit(admissions: &mut Admissions, tenant: &str, window_us: i64, series: u64) -> bool {
    let table = admissions.table("orders");
    admissions.admit(table, (tenant_hash(tenant), || Some(tenant.to_owned())), window_us, series, false)
}

#[test]
fn each_tenant_and_day_has_a_budget_of_its_own() {
    let mut admissions = Admissions::new(2);
    assert!(admit(&mut admissions, "a", 5, 1) && admit(&mut admissions, "a", 6, 2));
    assert!(!admit(&mut admissions, "a", 7, 3), "beyond the budget");
    assert!(admit(&mut admissions, "a", 8, 1), "admitted ones stay admitted");
    assert!(admit(&mut admissions, "b", 7, 3), "another tenant");
    assert!(admit(&mut admissions, "a", DAY, 3), "another day");
}

#[test]
fn a_restart_goes_on_from_what_was_written_down() {
    let mut before = Admissions::new(2);
    admit(&mut before, "a", 5, 9);
    admit(&mut before, "a", 5, 4);
    let written = before.take_fresh();
    assert_eq!(
        written,
        [FreshSeries { table: "orders".into(), tenant: Some("a".into()), day_us: 0, series: vec![4, 9] }]
    );
    assert!(before.take_fresh().is_empty(), "written once");
    let mut after = Admissions::new(2);
    written.iter().for_each(|w| after.restore(w));
    assert!(!admit(&mut after, "a", 5, 1) && admit(&mut after, "a", 5, 9));
    assert!(after.take_fresh().is_empty(), "nothing new was decided");
}

#[test]
fn old_days_are_forgotten_but_for_what_is_not_written_yet() {
    let mut admissions = Admissions::new(2);
    admit(&mut admissions, "a", 0, 1);
    admit(&mut admissions, "a", 9 * DAY, 1);
    assert_eq!(admissions.len(), 2);
    assert_eq!(admissions.take_fresh().len(), 2);
    admit(&mut admissions, "a", 10 * DAY, 1);
    assert_eq!(admissions.len(), 2, "day 0 is gone, days 9 and 10 are there");
}
