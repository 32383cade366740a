use super::*;
use tidewatch_alerting::rules::{LoadOptions, load};

/// What each group reads in the end, groups by name.
fn metrics(rules: &str) -> Vec<Option<Vec<String>>> {
    let groups = load("r.yml", rules, LoadOptions::default()).unwrap().groups;
    let book = |group: Group| {
        let state = GroupState::new(&group);
        GroupBook::new(Arc::new(group), state, 10_000)
    };
    let mut books: Vec<GroupBook> = groups.into_iter().map(book).collect();
    resolve_metrics(&mut books);
    books.into_iter().map(|book| Some(book.metrics?.into_iter().collect())).collect()
}

fn read(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn what_rules_write_stands_for_what_they_read() {
    let rules = "
groups:
  - name: recorded
    rules:
      - {record: 'shop:errors', expr: sum by (shop) (errors)}
      - {record: 'shop:ratio', expr: 'shop:errors / sum by (shop) (requests)'}
  - {name: told, rules: [{alert: Errors, expr: 'shop:ratio > 0.1 and on () open == 1'}]}
  - {name: about, rules: [{alert: Many, expr: count(ALERTS) > 5}]}
  - {name: counts, rules: [{record: runs, expr: runs offset 1m + 1 or vector(0)}]}";
    let [recorded, told, about, counts] = &metrics(rules)[..] else { panic!() };
    assert_eq!(*recorded, read(&["errors", "requests"]));
    assert_eq!(*told, read(&["errors", "open", "requests"]));
    assert_eq!(*about, *told, "alerts are made of what their rules read");
    assert_eq!(*counts, read(&[]), "of nothing but itself: the clock says when");
}

#[test]
fn who_reads_what_reads_everything_reads_everything() {
    let rules = "
groups:
  - {name: all, rules: [{record: series, expr: 'count({shop=\"a\"})'}]}
  - {name: told, rules: [{alert: Many, expr: series > 5}]}";
    assert_eq!(metrics(rules), [None, None]);
}
