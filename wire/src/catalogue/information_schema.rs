//! `information_schema` in Postgres' words: editors choose columns by their `data_type`.

use super::columns::Columns;
use super::listing::Listing;
use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use std::iter::empty;
use std::sync::Arc;
use tidewatch_query::{CATALOG, Relation, RelationKind, SCHEMA};

const NAMES: [&str; 8] = [
    "columns",
    "constraint_column_usage",
    "key_column_usage",
    "referential_constraints",
    "schemata",
    "table_constraints",
    "tables",
    "views",
];

/// The schema.
#[derive(Debug)]
pub(super) struct InformationSchema {
    listing: Arc<Listing>,
}

impl InformationSchema {
    pub fn new(listing: Arc<Listing>) -> Self {
        Self { listing }
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).into()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let columns = match name {
            "schemata" => schemata(),
            "tables" => tables(&self.listing.read().await?),
            "views" => views(&self.listing.read().await?),
            "columns" => columns(&self.listing.read().await?),
            // There are no keys and no constraints.
            "table_constraints" => none(&[
                "constraint_catalog",
                "constraint_schema",
                "constraint_name",
                "table_catalog",
                "table_schema",
                "table_name",
                "constraint_type",
                "is_deferrable",
                "initially_deferred",
            ]),
            "key_column_usage" => none(&[
                "constraint_catalog",
                "constraint_schema",
                "constraint_name",
                "table_catalog",
                "table_schema",
                "table_name",
                "column_name",
            ])
            .int("ordinal_position", empty())
            .int("position_in_unique_constraint", empty()),
            "constraint_column_usage" => none(&[
                "table_catalog",
                "table_schema",
                "table_name",
                "column_name",
                "constraint_catalog",
                "constraint_schema",
                "constraint_name",
            ]),
            "referential_constraints" => none(&[
                "constraint_catalog",
                "constraint_schema",
                "constraint_name",
                "unique_constraint_catalog",
                "unique_constraint_schema",
                "unique_constraint_name",
                "match_option",
                "update_rule",
                "delete_rule",
            ]),
            _ => return Ok(None),
        };
        columns.table().map(Some)
    }

    fn table_exist(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }
}

fn none(names: &[&str]) -> Columns {
    names.iter().fold(Columns::default(), |columns, name| columns.text(name, empty()))
}

fn schemata() -> Columns {
    let schemas = [SCHEMA, "pg_catalog", "information_schema"];
    Columns::default()
        .text("catalog_name", schemas.map(|_| Some(CATALOG)))
        .text("schema_name", schemas.map(Some))
        .text("schema_owner", schemas.map(|_| Some("tidewatch")))
}

fn tables(relations: &[Relation]) -> Columns {
    let all = || relations.iter();
    let kind = |r: &Relation| match r.kind {
        RelationKind::Table => Some("BASE TABLE"),
        RelationKind::View => Some("VIEW"),
    };
    Columns::default()
        .text("table_catalog", all().map(|_| Some(CATALOG)))
        .text("table_schema", all().map(|_| Some(SCHEMA)))
        .text("table_name", all().map(|r| Some(r.name.as_str())))
        .text("table_type", all().map(kind))
        .text("is_insertable_into", all().map(|_| Some("NO")))
        .text("is_typed", all().map(|_| Some("NO")))
}

fn views(relations: &[Relation]) -> Columns {
    let views = || relations.iter().filter(|r| r.kind == RelationKind::View);
    Columns::default()
        .text("table_catalog", views().map(|_| Some(CATALOG)))
        .text("table_schema", views().map(|_| Some(SCHEMA)))
        .text("table_name", views().map(|r| Some(r.name.as_str())))
        .text("view_definition", views().map(|r| r.definition.as_deref()))
        .text("check_option", views().map(|_| Some("NONE")))
        .text("is_updatable", views().map(|_| Some("NO")))
}

fn columns(relations: &[Relation]) -> Columns {
    let all = || relations.iter().flat_map(|r| r.schema.fields().iter().enumerate().map(move |(at, f)| (r, at, f)));
    let types: Vec<Type> = all().map(|(_, _, f)| into_pg_type(f.data_type()).unwrap_or(Type::TEXT)).collect();
    let text = |value: &'static str| all().map(move |_| Some(value));
    let no_text = || all().map(|_| None);
    let no_int = || all().map(|_| None);
    Columns::default()
        .text("table_catalog", text(CATALOG))
        .text("table_schema", text(SCHEMA))
        .text("table_name", all().map(|(r, _, _)| Some(r.name.as_str())))
        .text("column_name", all().map(|(_, _, f)| Some(f.name().as_str())))
        .int("ordinal_position", all().map(|(_, at, _)| i32::try_from(at + 1).ok()))
        .text("column_default", no_text())
        .text("is_nullable", all().map(|(_, _, f)| Some(if f.is_nullable() { "YES" } else { "NO" })))
        .text("data_type", types.iter().map(|t| Some(words(t))))
        .int("character_maximum_length", no_int())
        .int("character_octet_length", no_int())
        .int("numeric_precision", all().map(|(_, _, f)| precision(f)))
        .int("numeric_precision_radix", all().map(|(_, _, f)| precision(f).map(|_| radix(f))))
        .int("numeric_scale", all().map(|(_, _, f)| scale(f)))
        .int("datetime_precision", all().map(|(_, _, f)| time_precision(f)))
        .text("interval_type", no_text())
        .text("character_set_name", no_text())
        .text("collation_name", no_text())
        .text("domain_name", no_text())
        .text("udt_catalog", text(CATALOG))
        .text("udt_schema", text("pg_catalog"))
        .text("udt_name", types.iter().map(|t| Some(t.name())))
        .text("is_identity", text("NO"))
        .text("is_generated", text("NEVER"))
        .text("generation_expression", no_text())
        .text("is_updatable", text("NO"))
}

/// The standard's name of a type.
fn words(pg: &Type) -> &'static str {
    match *pg {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::NUMERIC => "numeric",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::DATE => "date",
        Type::TIME => "time without time zone",
        Type::INTERVAL => "interval",
        Type::BYTEA => "bytea",
        ref other if other.name().starts_with('_') => "ARRAY",
        ref other if *other == Type::TEXT => "text",
        _ => "USER-DEFINED",
    }
}

fn precision(field: &Field) -> Option<i32> {
    match field.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Some(16),
        DataType::Int32 | DataType::UInt16 => Some(32),
        DataType::Int64 | DataType::UInt32 => Some(64),
        DataType::Float32 => Some(24),
        DataType::Float64 => Some(53),
        DataType::Decimal128(precision, _) => Some(i32::from(*precision)),
        _ => None,
    }
}

fn radix(field: &Field) -> i32 {
    if matches!(field.data_type(), DataType::Decimal128(..)) { 10 } else { 2 }
}

fn scale(field: &Field) -> Option<i32> {
    match field.data_type() {
        DataType::Decimal128(_, scale) => Some(i32::from(*scale)),
        other if other.is_integer() => Some(0),
        _ => None,
    }
}

fn time_precision(field: &Field) -> Option<i32> {
    match field.data_type() {
        DataType::Timestamp(..) | DataType::Time64(_) | DataType::Time32(_) | DataType::Interval(_) => Some(6),
        DataType::Date32 | DataType::Date64 => Some(0),
        _ => None,
    }
}
