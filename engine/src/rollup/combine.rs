//! Joins the branches of a definition into one table: the same key everywhere, measures by name.

use super::statement::Definition;
use super::validate::{Validated, ValidatedMeasure, canonical};
use super::{DefinitionError, DimensionType, Folding, Measure, MeasureKind, OTHER_SERIES, RollupSchema, options};
use datafusion::logical_expr::Expr;

/// A definition whose branches agree.
#[derive(Debug)]
pub(super) struct Combined {
    pub schema: RollupSchema,
    pub branches: Vec<Branch>,
}

/// What one source brings to a table.
#[derive(Debug)]
pub(super) struct Branch {
    pub source: String,
    /// In the order of the schema.
    pub dimensions: Vec<Expr>,
    /// In the order of the schema; `None` where another branch fills the measure.
    pub measures: Vec<Option<ValidatedMeasure>>,
    pub predicate: Option<Expr>,
    pub folding: Option<Folding>,
}

pub(super) fn combine(definition: &Definition, parts: Vec<Validated>) -> Result<Combined, DefinitionError> {
    let mut schema = RollupSchema {
        name: definition.name.clone(),
        sources: Vec::new(),
        pane_us: parts.first().and_then(|p| p.pane_us),
        dimensions: parts.first().map(|p| p.dimensions.iter().map(|(d, _)| d.clone()).collect()).unwrap_or_default(),
        measures: Vec::new(),
        definition: parts.iter().map(canonical).collect::<Vec<_>>().join("\n"),
        tiers: Vec::new(),
        retain_us: None,
    };
    for (part, statement) in parts.iter().zip(&definition.branches) {
        if !schema.sources.contains(&part.source) {
            schema.sources.push(part.source.clone());
        }
        if part.pane_us != schema.pane_us {
            return Err(statement
                .error("tumble", "the branches have different windows")
                .hint("every branch of a UNION ALL BY NAME has the same tumble(…), or none"));
        }
        for (measure, _) in &part.measures {
            match schema.measures.iter().find(|m| m.name == measure.name) {
                None => schema.measures.push(measure.clone()),
                Some(known) if known == measure => {}
                Some(known) => {
                    return Err(statement
                        .error(&measure.name, format!("`{}` is {:?} here and {:?} in another branch", measure.name, measure.kind, known.kind))
                        .hint("a measure of one name is the same aggregate of the same type in every branch; a cast may help"));
                }
            }
        }
    }
    apply_options(definition, &mut schema)?;
    let folding = folding(definition, &mut schema)?;
    let branches = parts.into_iter().zip(&definition.branches).map(|(part, statement)| {
        let dimensions = schema.dimensions.iter().map(|wanted| {
            let found = part.dimensions.iter().find(|(d, _)| d == wanted);
            found.map(|(_, expr)| expr.clone()).ok_or_else(|| {
                statement
                    .error(
                        "select",
                        format!("dimension `{}` of the first branch is missing, or has another type", wanted.name),
                    )
                    .hint("every branch of a UNION ALL BY NAME selects the same dimensions")
            })
        });
        let dimensions = dimensions.collect::<Result<Vec<_>, _>>()?;
        if let Some((more, _)) = part.dimensions.iter().find(|(d, _)| !schema.dimensions.contains(d)) {
            return Err(statement
                .error(&more.name, format!("dimension `{}` is not in the first branch", more.name))
                .hint("every branch of a UNION ALL BY NAME selects the same dimensions"));
        }
        let find = |wanted: &Measure| part.measures.iter().find(|(m, _)| m == wanted).map(|(_, v)| v.clone());
        let measures = schema.measures.iter().map(find).collect();
        Ok(Branch { source: part.source, dimensions, measures, predicate: part.predicate, folding: folding.clone() })
    });
    let branches = branches.collect::<Result<Vec<_>, _>>()?;
    Ok(Combined { schema, branches })
}

const TENANT: &str = "tenant";
/// Amounts of several currencies must never meet in one row.
const CURRENCY: &str = "currency";

/// What gives way when a tenant has more series than its budget. Keyed tables have no budget: their size
/// is that of what they describe, bounded by retention.
fn folding(definition: &Definition, schema: &mut RollupSchema) -> Result<Option<Folding>, DefinitionError> {
    let taken = schema.dimensions.iter().map(|d| &d.name).chain(schema.measures.iter().map(|m| &m.name));
    if taken.into_iter().any(|name| name == OTHER_SERIES) {
        return Err(definition
            .error(definition.position, format!("no column can be named `{OTHER_SERIES}`"))
            .hint("it counts the series that were folded into a row for want of budget"));
    }
    let index_of = |name: &str| schema.dimensions.iter().position(|d| d.name == name);
    let folded = match definition.options.iter().find(|o| o.0 == FOLD) {
        Some((_, names, at)) => names
            .split(',')
            .map(str::trim)
            .map(|name| {
                index_of(name).filter(|_| name != TENANT).ok_or_else(|| {
                    definition.error(*at, format!("{FOLD}: `{name}` is not a dimension that can give up its value"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..schema.dimensions.len())
            .filter(|&d| {
                let dimension = &schema.dimensions[d];
                ![TENANT, CURRENCY].contains(&dimension.name.as_str()) && dimension.value != DimensionType::Boolean
            })
            .collect(),
    };
    // Samples of several series make no series: whoever lets them in bounds their number instead.
    let keeps_samples = schema.measures.iter().any(|m| m.kind == MeasureKind::Samples);
    if schema.pane_us.is_none() || folded.is_empty() || keeps_samples {
        return Ok(None);
    }
    let tenant = index_of(TENANT);
    schema.measures.push(Measure { name: OTHER_SERIES.to_owned(), kind: MeasureKind::Distinct });
    Ok(Some(Folding { tenant, folded, other_series: schema.measures.len() - 1 }))
}

const FOLD: &str = "fold";

fn apply_options(definition: &Definition, schema: &mut RollupSchema) -> Result<(), DefinitionError> {
    schema.tiers = schema.pane_us.map(options::default_tiers).unwrap_or_default();
    for (key, value, at) in &definition.options {
        let fail = |reason: String| definition.error(*at, format!("{key}: {reason}"));
        match (key.as_str(), schema.pane_us) {
            ("tiers", Some(pane_us)) => {
                let parsed = options::parse_tiers(value, pane_us);
                schema.tiers = parsed.map_err(|e| {
                    fail(e).hint(
                        "finest first, as in '10s 2d, 1m 30d, 1h 400d, 1d forever': width, and how long it is kept",
                    )
                })?;
            }
            ("retention", None) => schema.retain_us = options::parse_retention(value).map_err(fail)?,
            ("tiers", None) => {
                return Err(fail("a keyed table has no windows".to_owned())
                    .hint("retention = '400d' says how long a key is kept that gets no events"));
            }
            ("retention", Some(_)) => {
                return Err(
                    fail("windows are kept by tier".to_owned()).hint("tiers = '10s 2d, 1m 30d, 1h 400d, 1d forever'")
                );
            }
            (FOLD, Some(_)) => {}
            _ => {
                return Err(definition
                    .error(*at, format!("no option `{key}`"))
                    .hint("tiers and fold for windows, retention for keyed tables"));
            }
        }
    }
    Ok(())
}
