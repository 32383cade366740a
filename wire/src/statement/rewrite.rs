//! Statements over Postgres' catalogue, brought into a form that the library and DataFusion know. Each rewriting
//! keeps what the statement means for a catalogue of tables without keys, owners, policies and the like.

use crate::catalogue::ADDED_TABLES;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Value,
    ValueWithSpan, Visit, Visitor, VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Tables of the catalogue that say nothing of tables like ours.
const NOTHING: [&str; 23] = [
    "pg_attrdef",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_largeobject",
    "pg_partitioned_table",
    "pg_policy",
    "pg_publication",
    "pg_publication_namespace",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_sequence",
    "pg_statistic_ext",
    "pg_statistic_ext_data",
    "pg_subscription",
    "pg_trigger",
    "pg_user_mapping",
];

/// Columns that hold the name of a function, where 0 is written `-`.
const REGPROC: [&str; 8] =
    ["typanalyze", "typinput", "typmodin", "typmodout", "typoutput", "typreceive", "typsend", "typsubscript"];

const AGGREGATES: [&str; 12] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// Rewrites expressions.
pub(super) struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let [ObjectNamePart::Identifier(name)] = &relation.0[..]
            && ADDED_TABLES.contains(&name.value.to_ascii_lowercase().as_str())
        {
            relation.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // Editors ask for the schemas of the search path by taking it apart; it is `public`.
            Expr::InSubquery { expr: tested, subquery, negated } if takes_search_path_apart(subquery) => {
                let list = vec![text(tidewatch_query::SCHEMA)];
                *expr = Expr::InList { expr: tested.clone(), list, negated: *negated };
            }
            Expr::Subquery(query) if is_vain(query) => *expr = Expr::Value(Value::Null.with_empty_span()),
            // One row at most, so it is its own minimum: DataFusion takes no correlated subquery without aggregate.
            Expr::Subquery(query) => as_minimum(query),
            // DataFusion knows the backslash only.
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                let escape = escape_char.take().and_then(|e| e.value.into_string()).filter(|e| e != "\\");
                if let Some(escape) = escape {
                    let sql = format!("replace({pattern}, '{}', '\\')", escape.replace('\'', "''"));
                    replace(pattern, &sql);
                }
            }
            Expr::Function(function) => {
                if let Some(sql) = instead_of(function) {
                    replace(expr, &sql);
                }
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right }
                if is_regproc(left) && is_zero(right) =>
            {
                **right = text("-");
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn instead_of(function: &Function) -> Option<String> {
    let name = function.name.to_string().to_ascii_lowercase();
    match name.trim_start_matches("pg_catalog.") {
        // Of roles, policies and the like: there are none.
        "array" if matches!(function.args, FunctionArguments::Subquery(_)) => {
            Some("make_array(CAST(NULL AS VARCHAR))".to_owned())
        }
        // Who may do what: nobody said.
        "array_to_string" => match &function.args {
            FunctionArguments::List(list) => match list.args.first() {
                Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) if is_acl(first) => {
                    Some("CAST(NULL AS VARCHAR)".to_owned())
                }
                _ => None,
            },
            _ => None,
        },
        "to_regtype" => Some(format!("CAST({} AS regtype)", only_argument(function)?)),
        "to_regclass" => Some(format!("CAST({} AS regclass)", only_argument(function)?)),
        _ => None,
    }
}

fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

fn replace(expr: &mut Expr, sql: &str) {
    if let Ok(new) = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut p| p.parse_expr()) {
        *expr = new;
    }
}

/// The last part of a column's name, in lower case.
fn column_name(expr: &Expr) -> Option<String> {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    name.map(|n| n.value.to_ascii_lowercase())
}

fn is_regproc(expr: &Expr) -> bool {
    column_name(expr).is_some_and(|n| REGPROC.contains(&n.as_str()))
}

fn is_acl(expr: &Expr) -> bool {
    column_name(expr).is_some_and(|n| n.ends_with("acl"))
}

/// A subquery that finds nothing, or makes a document of something that tables here have not.
fn is_vain(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let is_document = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::Function(f)) | SelectItem::ExprWithAlias { expr: Expr::Function(f), .. } => {
            is_named(f, &["json_build_object", "jsonb_build_object"])
        }
        _ => false,
    };
    reads_nothing(select) || select.projection.iter().any(is_document)
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if digits == "0")
}

fn only_argument(function: &Function) -> Option<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => match &list.args[..] {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument),
            _ => None,
        },
        _ => None,
    }
}

/// Does an aggregate of this query, not of one inside it, stand in the expression?
fn is_aggregate(expr: &Expr) -> bool {
    struct Own {
        depth: usize,
    }
    impl Visitor for Own {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(f) if self.depth == 0 && is_named(f, &AGGREGATES) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Own { depth: 0 }).is_break()
}

fn is_named(function: &Function, names: &[&str]) -> bool {
    let name = function.name.to_string().to_ascii_lowercase();
    names.contains(&name.trim_start_matches("pg_catalog."))
}

fn is_grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

fn as_minimum(query: &mut Query) {
    if query.limit_clause.is_some() || query.fetch.is_some() || query.order_by.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if select.distinct.is_some() || is_grouped(select) || select.from.is_empty() {
        return;
    }
    if let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = &mut select.projection[..]
        && !is_aggregate(expr)
    {
        let sql = format!("min({expr})");
        replace(expr, &sql);
    }
}

fn takes_search_path_apart(query: &Query) -> bool {
    let is_search_path = |function: &Function| {
        function.name.to_string().eq_ignore_ascii_case("current_setting")
            && function.args.to_string().to_ascii_lowercase().contains("'search_path'")
    };
    visit_expressions(query, |e: &Expr| match e {
        Expr::Function(function) if is_search_path(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// An answer without rows for a statement that only asks about what there is none of, such as policies: in the
/// place of one that cannot be planned.
pub(crate) fn of_nothing(statement: &Statement) -> Option<Statement> {
    let Statement::Query(query) = statement else { return None };
    let mut taken = BTreeSet::new();
    let column = |name: String| {
        let mut unique = name.clone();
        while !taken.insert(unique.clone()) {
            unique.push('_');
        }
        format!("CAST(NULL AS TEXT) AS \"{}\"", unique.replace('"', "\"\""))
    };
    let columns: Vec<String> = names_of_nothing(&query.body)?.into_iter().map(column).collect();
    let mut parameters = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(statement, |e: &Expr| {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = e {
            parameters.insert(format!(" AND CAST({name} AS TEXT) IS NULL"));
        }
        ControlFlow::Continue(())
    });
    let parameters: String = parameters.into_iter().collect();
    let sql = format!("SELECT {} WHERE false{parameters}", columns.join(", "));
    Parser::parse_sql(&PostgreSqlDialect {}, &sql).ok()?.into_iter().next()
}

fn names_of_nothing(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Query(query) => names_of_nothing(&query.body),
        SetExpr::SetOperation { left, right, .. } => {
            names_of_nothing(right)?;
            names_of_nothing(left)
        }
        SetExpr::Select(select) if reads_nothing(select) => select.projection.iter().map(name_of).collect(),
        _ => None,
    }
}

fn reads_nothing(select: &Select) -> bool {
    let is_one_row = !is_grouped(select)
        && select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => is_aggregate(e),
            _ => false,
        });
    let is_inner = |join: &JoinOperator| {
        matches!(join, JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_))
    };
    !is_one_row
        && select.from.iter().any(|table| {
            let joins = table.joins.iter();
            is_nothing(&table.relation) && table.joins.iter().all(|j| keeps_left(&j.join_operator))
                || joins.clone().any(|j| is_inner(&j.join_operator) && is_nothing(&j.relation))
                    && joins.clone().all(|j| keeps_left(&j.join_operator))
        })
}

/// Has a join no rows when its left side has none?
fn keeps_left(join: &JoinOperator) -> bool {
    matches!(
        join,
        JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::CrossJoin(_)
            | JoinOperator::Left(_)
            | JoinOperator::LeftOuter(_)
    )
}

fn is_nothing(table: &TableFactor) -> bool {
    if let TableFactor::Derived { subquery, .. } = table {
        return names_of_nothing(&subquery.body).is_some();
    }
    let TableFactor::Table { name: ObjectName(parts), args: None, .. } = table else { return false };
    let last = parts.last().and_then(ObjectNamePart::as_ident).map(|i| i.value.to_ascii_lowercase());
    last.is_some_and(|name| NOTHING.contains(&name.as_str()))
}

fn name_of(item: &SelectItem) -> Option<String> {
    let (expr, alias) = match item {
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
        SelectItem::UnnamedExpr(expr) => (expr, None),
        _ => return None,
    };
    let of_expr = |expr: &Expr| -> Option<String> {
        match expr {
            Expr::Identifier(Ident { value, .. }) => Some(value.clone()),
            Expr::CompoundIdentifier(names) => names.last().map(|n| n.value.clone()),
            Expr::Function(f) => f.name.0.last().and_then(ObjectNamePart::as_ident).map(|i| i.value.clone()),
            Expr::Case { .. } => Some("case".to_owned()),
            Expr::Cast { kind: CastKind::DoubleColon | CastKind::Cast, expr, .. } => match expr.as_ref() {
                Expr::Identifier(name) => Some(name.value.clone()),
                Expr::CompoundIdentifier(names) => names.last().map(|n| n.value.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    Some(alias.map(|a| a.value.clone()).or_else(|| of_expr(expr)).unwrap_or_else(|| "?column?".to_owned()))
}
