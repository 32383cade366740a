use super::*;
use tidewatch_engine::time::window_start;

const OPERATORS: [Operator; 5] = [Operator::GtEq, Operator::Gt, Operator::Lt, Operator::LtEq, Operator::Eq];

fn filter(op: Operator, us: i64) -> Expr {
    let value = ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
    Expr::BinaryExpr(BinaryExpr::new(Box::new(ident(WINDOW_START)), op, Box::new(lit(value))))
}

fn has(span: Span, us: i64) -> bool {
    span.from.is_none_or(|from| us >= from) && span.to.is_none_or(|to| us < to)
}

/// Every stored start around an instant, in windows as wide and wider: what the filter says of its window is what the
/// span says of it.
#[test]
fn a_span_has_the_windows_of_which_the_filter_holds() {
    for width_us in [1, 7, 60] {
        for us in -130..130 {
            for op in OPERATORS {
                let span = Span::of(&filter(op, us), width_us).unwrap();
                for stored in -200..200 {
                    let start = window_start(stored, width_us);
                    let holds = match op {
                        Operator::GtEq => start >= us,
                        Operator::Gt => start > us,
                        Operator::Lt => start < us,
                        Operator::LtEq => start <= us,
                        _ => start == us,
                    };
                    assert_eq!(has(span, stored), holds, "{stored}: {op} {us}, windows of {width_us}");
                }
            }
        }
    }
}

#[test]
fn what_is_in_both_is_in_the_narrower_bounds() {
    let (open, since, until) =
        (Span { from: None, to: None }, Span { from: Some(5), to: None }, Span { from: Some(2), to: Some(9) });
    assert_eq!(open.and(since), since);
    assert_eq!(since.and(until), Span { from: Some(5), to: Some(9) });
    assert_eq!(until.and(open), until);
    assert!(!since.and(until).is_empty() && Span { from: Some(9), to: None }.and(until).is_empty());
}

#[test]
fn other_filters_are_left_as_they_are() {
    let end = i64::MAX - 3;
    assert_eq!(Span::of(&filter(Operator::NotEq, 5), 1), None);
    assert_eq!(Span::of(&filter(Operator::Gt, end), 60), None, "no start is that late");
    let local = ScalarValue::TimestampMicrosecond(Some(5), None);
    assert_eq!(Span::of(&ident(WINDOW_START).gt(lit(local)), 1), None);
    assert_eq!(Span::of(&ident("api").eq(lit("a")), 1), None);
}
