//! Which series rules read, and where they are written: for whoever knows which series there are.

use std::collections::BTreeSet;

use tidewatch_promql::parse::ast::ExprKind;
use tidewatch_promql::{MatchOp, Query};

use super::locate::{Segment, locate};

/// The names of metrics that a query asks for by name; those of a pattern are not among them.
pub fn names(query: &Query) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    query.expr().walk(&mut |expr| {
        if let ExprKind::Selector(selector) | ExprKind::Range { selector, .. } = &expr.kind {
            let of_name = selector.matchers.iter().filter(|m| m.name == "__name__" && m.op == MatchOp::Equal);
            names.extend(of_name.map(|m| m.value.clone()));
        }
    });
    names
}

/// Line and column of the expression of a rule, given the places of its group and of the rule within it, all counted
/// from 0 but line and column from 1.
pub fn place_of(text: &str, group: usize, rule: usize) -> (usize, usize) {
    let key = |key: &str| Segment::Key(key.to_string());
    locate(text, &[key("groups"), Segment::Item(group), key("rules"), Segment::Item(rule), key("expr")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewatch_promql::Grammar;

    #[test]
    fn names_are_those_of_all_selectors() {
        let text = "sum(rate(a_total[5m] offset 1h)) / b > on() group_left {__name__=~\"c.*\"} and max_over_time(d[1h:5m]) or {__name__=\"e\"}";
        let query = Query::parse(text, Grammar::default()).unwrap();
        assert_eq!(names(&query).into_iter().collect::<Vec<_>>(), ["a_total", "b", "d", "e"]);
    }

    #[test]
    fn rules_have_places() {
        let text = "groups:\n  - name: a\n    rules: []\n  - name: b\n    rules:\n      - record: x\n        expr: y\n      - alert: z\n        expr: y > 1\n";
        assert_eq!((place_of(text, 1, 0).0, place_of(text, 1, 1).0), (7, 9));
    }
}
