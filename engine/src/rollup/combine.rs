//! Joins the branches of a definition into one table: the same key everywhere, measures by name.

use super::statement::Definition;
use super::validate::{Validated, ValidatedMeasure, canonical};
use super::{DefinitionError, Measure, RollupSchema, options};
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
        Ok(Branch { source: part.source, dimensions, measures, predicate: part.predicate })
    });
    let branches = branches.collect::<Result<Vec<_>, _>>()?;
    apply_options(definition, &mut schema)?;
    Ok(Combined { schema, branches })
}

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
            _ => {
                return Err(definition
                    .error(*at, format!("no option `{key}`"))
                    .hint("tiers for windows, retention for keyed tables"));
            }
        }
    }
    Ok(())
}
