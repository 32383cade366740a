//! `parse_query`: the syntax tree as JSON, in the shape that Prometheus' own page reads
//! (`web/api/v1/translate_ast.go`).

use serde_json::{Value as Json, json};
use tidewatch_promql::Matcher;
use tidewatch_promql::number::plain;
use tidewatch_promql::parse::ast::{At, Binary, Expr, ExprKind, Group, Matching, Selector, ValueType};
use tidewatch_promql::parse::functions::Function;

/// The tree below an expression.
pub fn tree(expr: &Expr) -> Json {
    match &expr.kind {
        ExprKind::Number { value, .. } => json!({ "type": "numberLiteral", "val": plain(*value) }),
        ExprKind::String(text) => json!({ "type": "stringLiteral", "val": text.text }),
        ExprKind::Selector(selector) => selected("vectorSelector", selector, None),
        ExprKind::Range { selector, range_ms } => selected("matrixSelector", selector, Some(*range_ms)),
        ExprKind::Subquery(subquery) => json!({
            "type": "subquery",
            "expr": tree(&subquery.expr),
            "range": subquery.range_ms,
            "offset": subquery.offset_ms,
            "step": subquery.step_ms.unwrap_or(0),
            "timestamp": timestamp(subquery.at),
            "startOrEnd": start_or_end(subquery.at),
        }),
        ExprKind::Unary { negate, expr } => {
            json!({ "type": "unaryExpr", "op": if *negate { "-" } else { "+" }, "expr": tree(expr) })
        }
        ExprKind::Paren(inner) => json!({ "type": "parenExpr", "expr": tree(inner) }),
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": tree(&binary.left),
            "rhs": tree(&binary.right),
            "matching": matching(binary),
            "bool": binary.return_bool,
        }),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.param.as_ref().map(tree),
            "grouping": aggregate.grouping.labels,
            "without": aggregate.grouping.without,
        }),
        ExprKind::Call { function, args } => json!({
            "type": "call",
            "func": signature(function),
            "args": args.iter().map(tree).collect::<Vec<_>>(),
        }),
    }
}

fn selected(kind: &str, selector: &Selector, range_ms: Option<i64>) -> Json {
    let mut json = json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": selector.offset_ms,
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "timestamp": timestamp(selector.at),
        "startOrEnd": start_or_end(selector.at),
    });
    if let Some(range_ms) = range_ms {
        json["range"] = range_ms.into();
    }
    json
}

fn matcher(matcher: &Matcher) -> Json {
    json!({ "name": matcher.name, "value": matcher.value, "type": matcher.op.as_str() })
}

fn timestamp(at: Option<At>) -> Option<i64> {
    match at {
        Some(At::Time(time_ms)) => Some(time_ms),
        Some(At::Start | At::End) | None => None,
    }
}

fn start_or_end(at: Option<At>) -> Option<&'static str> {
    match at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    }
}

/// How two vectors match; nothing where one side is a number.
fn matching(binary: &Binary) -> Option<Json> {
    let are_vectors = [&binary.left, &binary.right].iter().all(|side| side.value_type() == ValueType::Vector);
    are_vectors.then(|| {
        let Matching { on, labels, group, include } = &binary.matching;
        let card = match group {
            _ if binary.op.is_set() => "many-to-many",
            None => "one-to-one",
            Some(Group::Left) => "many-to-one",
            Some(Group::Right) => "one-to-many",
        };
        json!({ "card": card, "labels": labels, "on": *on == Some(true), "include": include })
    })
}

fn signature(function: &Function) -> Json {
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|kind| type_name(*kind)).collect::<Vec<_>>(),
        "variadic": function.variadic,
        "returnType": type_name(function.returns),
    })
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewatch_promql::{Grammar, Query};

    fn parsed(text: &str) -> Json {
        tree(Query::parse(text, Grammar::default()).unwrap().expr())
    }

    #[test]
    fn a_tree_names_what_every_node_has() {
        let json = parsed(r#"sum without (a) (rate(x{job="j"}[5m] offset 1m)) / on (b) group_left (c) y @ start()"#);
        assert_eq!(json["type"], "binaryExpr");
        assert_eq!(json["matching"], json!({ "card": "many-to-one", "labels": ["b"], "on": true, "include": ["c"] }));
        let sum = &json["lhs"];
        assert_eq!((&sum["op"], &sum["without"], &sum["grouping"]), (&json!("sum"), &json!(true), &json!(["a"])));
        let rate = &sum["expr"];
        assert_eq!(
            rate["func"],
            json!({ "name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector" })
        );
        let range = &rate["args"][0];
        assert_eq!((&range["range"], &range["offset"]), (&json!(300_000), &json!(60_000)));
        assert_eq!(range["matchers"][0], json!({ "name": "job", "value": "j", "type": "=" }));
        assert_eq!(json["rhs"]["startOrEnd"], "start");
        assert_eq!(parsed("x > 1")["matching"], Json::Null);
        assert_eq!(parsed("x and y")["matching"]["card"], "many-to-many");
    }
}
