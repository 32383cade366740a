//! From the text of a pack to compiled plans: which columns to decode, which expressions to evaluate
//! once per batch, and how each rollup groups and counts.

use super::combine::{Branch, Combined, combine};
use super::digests::{DIGESTS, digest_of, digests_schema};
use super::statement::{self, Definition, Statement};
use super::validate::validate;
use super::{DefinitionError, DimensionType, MeasureKind, RollupSchema};
use crate::functions::register_definition_functions;
use crate::source::{PersonalKeys, SourceDef, Sources, is_plain, parse_sources};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, cast};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything the packs define: all sources that some rollup reads, with their rollups.
#[derive(Debug, Default)]
pub struct Catalog {
    /// One entry per source that is read, in order of name.
    pub sources: Vec<Arc<SourcePlan>>,
    /// Sources that no rollup reads; their events are counted and let go.
    pub unused: Vec<SourceDef>,
    /// Keys of events that are personal data.
    pub personal: PersonalKeys,
}

/// How the events of one source are decoded and counted.
#[derive(Debug)]
pub struct SourcePlan {
    /// The declaration.
    pub def: SourceDef,
    /// The columns that some rollup needs, in the order of [`SourceDef::full_schema`].
    pub columns: SchemaRef,
    /// Distinct expressions over [`Self::columns`], each evaluated once per batch.
    pub exprs: Vec<Arc<dyn PhysicalExpr>>,
    /// Distinct dimensions: index of the expression and type.
    pub dimensions: Vec<(usize, DimensionType)>,
    /// The rollups of this source.
    pub rollups: Vec<RollupPlan>,
}

/// How a source is counted into one table; numbers are indexes into its [`SourcePlan`]. A table may have
/// several of them, even of one source.
#[derive(Debug, Clone)]
pub struct RollupPlan {
    /// The table.
    pub schema: RollupSchema,
    /// Its dimensions among those of the source.
    pub dimensions: Vec<usize>,
    /// Its measures, in the order of the schema; `None` where this source has nothing to say.
    pub measures: Vec<Option<MeasurePlan>>,
    /// Expression that says which rows count at all.
    pub predicate: Option<usize>,
    /// What happens to series beyond the budget of their tenant; `None` for keyed tables.
    pub folding: Option<Folding>,
}

/// How series beyond a budget are folded; numbers are indexes into [`RollupSchema::dimensions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folding {
    /// The dimension whose every value has a budget; `None`: the rollup has one budget as a whole.
    pub tenant: Option<usize>,
    /// Dimensions that give up their value.
    pub folded: Vec<usize>,
    /// The measure that counts what was folded: index into [`RollupSchema::measures`].
    pub other_series: usize,
}

/// Where a measure takes its values from; numbers are indexes into [`SourcePlan::exprs`].
#[derive(Debug, Clone)]
pub struct MeasurePlan {
    /// What is kept.
    pub kind: MeasureKind,
    /// The arguments: none for `count(*)`; value, event time and sequence for `last`.
    pub arguments: Vec<usize>,
    /// The `FILTER` condition.
    pub filter: Option<usize>,
}

/// A table and what is counted into it.
#[derive(Debug)]
pub struct TablePlan<'a> {
    /// Its schema.
    pub schema: &'a RollupSchema,
    /// Topics that its sources come from.
    pub topics: BTreeSet<&'a str>,
    /// How many branches count into it.
    pub branches: usize,
}

/// Tables that are no rollups.
const RESERVED: [&str; 5] = ["dead_letters", DIGESTS, "event_ids", "redriven", "series"];

/// A named text: file name for messages, content.
pub type NamedText = crate::source::NamedText;

impl Catalog {
    /// Reads and plans the `sources.yaml` and `rollups.sql` texts of all packs together.
    ///
    /// Errors: every mistake found, not only the first.
    pub fn parse(sources: &[NamedText], rollups: &[NamedText]) -> Result<Self, Vec<DefinitionError>> {
        Self::plan_all(sources, rollups, false)
    }

    /// The same, and every table's events are noted in the table [`super::DIGESTS`] as well, so that a
    /// replay can tell which of its windows are right.
    pub fn with_digests(sources: &[NamedText], rollups: &[NamedText]) -> Result<Self, Vec<DefinitionError>> {
        Self::plan_all(sources, rollups, true)
    }

    fn plan_all(
        sources: &[NamedText],
        rollups: &[NamedText],
        with_digests: bool,
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Vec::new();
        let Sources { defs, personal } = parse_sources(sources, &mut errors);
        let context = planning_context(&defs);
        let mut by_source: BTreeMap<String, Vec<(RollupSchema, Branch)>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (file, text) in rollups {
            let (definitions, mut found) = statement::split(file, text);
            errors.append(&mut found);
            for definition in definitions {
                let planned = check_name(&definition, &mut names, &defs).and_then(|()| plan(&context, &definition));
                match planned {
                    Ok(Combined { schema, branches }) => {
                        for branch in branches {
                            by_source.entry(branch.source.clone()).or_default().push((schema.clone(), branch));
                        }
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        let mut catalog = Self { personal, ..Self::default() };
        for (name, def) in defs {
            match by_source.remove(&name) {
                None => catalog.unused.push(def),
                Some(mut rollups) => {
                    if with_digests {
                        let digests: Vec<_> =
                            rollups.iter().map(|(s, b)| (digests_schema(), digest_of(&s.name, b))).collect();
                        rollups.extend(digests);
                    }
                    match compile(&context, def, rollups) {
                        Ok(source) => catalog.sources.push(Arc::new(source)),
                        Err(error) => errors.push(DefinitionError::new(&name, (0, 0), error.strip_backtrace())),
                    }
                }
            }
        }
        if errors.is_empty() { Ok(catalog) } else { Err(errors) }
    }

    /// All tables, in order of name.
    pub fn tables(&self) -> Vec<TablePlan<'_>> {
        let mut tables: BTreeMap<&str, TablePlan<'_>> = BTreeMap::new();
        for (source, rollup) in self.rollups() {
            let table = TablePlan { schema: &rollup.schema, topics: BTreeSet::new(), branches: 0 };
            let table = tables.entry(&rollup.schema.name).or_insert(table);
            table.topics.insert(&source.def.topic);
            table.branches += 1;
        }
        tables.into_values().collect()
    }

    /// Everything that is counted, with the sources it is counted from. A table of several branches comes
    /// several times.
    pub fn rollups(&self) -> impl Iterator<Item = (&Arc<SourcePlan>, &RollupPlan)> {
        self.sources.iter().flat_map(|s| s.rollups.iter().map(move |r| (s, r)))
    }

    /// Topics that carry at least one source in use.
    pub fn topics(&self) -> BTreeSet<&str> {
        self.sources.iter().map(|s| s.def.topic.as_str()).collect()
    }
}

fn planning_context(defs: &BTreeMap<String, SourceDef>) -> SessionContext {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let context = SessionContext::new_with_config(config);
    register_definition_functions(&context);
    for (name, def) in defs {
        // Registration fails only for a name that is taken, and these are keys of a map.
        let _ = context.register_table(name.as_str(), Arc::new(EmptyTable::new(def.full_schema())));
    }
    context
}

fn check_name(
    definition: &Definition,
    names: &mut BTreeSet<String>,
    sources: &BTreeMap<String, SourceDef>,
) -> Result<(), DefinitionError> {
    let name = &definition.name;
    let fail = |message| Err(DefinitionError::new(&definition.file, definition.position, message));
    if !names.insert(name.clone()) {
        return fail(format!("rollup {name} is defined twice"));
    }
    if sources.contains_key(name) {
        return fail(format!("rollup {name} has the name of a source"));
    }
    if !is_plain(name) || RESERVED.contains(&name.as_str()) {
        return fail(format!("a rollup cannot be named `{name}`")).map_err(|e| {
            e.hint(format!(
                "the name is that of its table and folder: lower-case letters, digits and underscores, not {}",
                RESERVED.join(", ")
            ))
        });
    }
    Ok(())
}

fn plan(context: &SessionContext, definition: &Definition) -> Result<Combined, DefinitionError> {
    let branches = definition.branches.iter();
    let validated = branches.map(|branch| validate(branch, &plan_branch(context, branch)?));
    combine(definition, validated.collect::<Result<_, _>>()?)
}

fn plan_branch(context: &SessionContext, statement: &Statement) -> Result<LogicalPlan, DefinitionError> {
    let state = context.state();
    let planned = state
        .create_logical_plan(&statement.query)
        .now_or_never()
        .unwrap_or_else(|| Err(DataFusionError::Internal("planning waits for I/O".to_owned())))
        .and_then(|plan| state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}));
    planned.map_err(|error| explain(statement, &error))
}

/// Finds the place and the hint for a planning error, and the part of its text that helps.
fn explain(statement: &Statement, error: &DataFusionError) -> DefinitionError {
    let whole = error.find_root().strip_backtrace();
    let first = whole.lines().next().unwrap_or_default();
    let message = first
        .split_once("rror during planning: ")
        .or(first.split_once("chema error: "))
        .map_or(first, |(_, rest)| rest);
    let between = |start: &str, end: char| {
        whole.split_once(start).and_then(|(_, rest)| rest.split(end).next()).map(str::to_owned)
    };
    let column_of = |text: &str| text.trim_matches(['"', '\'']).rsplit('.').next().unwrap_or_default().to_owned();
    if let Some(column) = between("No field named ", '\n') {
        let column = column.split(". ").next().unwrap_or_default().trim_end_matches('.');
        let fields = between("Valid fields are ", '\n').unwrap_or_default();
        let fields: Vec<_> = fields.trim_end_matches('.').split(", ").map(column_of).collect();
        return statement
            .error(&column_of(column), format!("no field named {column}"))
            .hint(format!("there are {}", fields.join(", ")));
    }
    if let Some(table) = between("table '", '\'').filter(|_| message.contains("not found")) {
        let table = column_of(&table);
        return statement.error(&table, format!("no source named {table}")).hint("FROM names a source of sources.yaml");
    }
    if let Some(call) = between("argument types '", '\'') {
        let function = call.split('(').next().unwrap_or_default().to_owned();
        return statement.error(&function, format!("{call} is not possible")).hint(FUNCTIONS);
    }
    if let Some(function) = between("Invalid function '", '\'') {
        return statement.error(&function, format!("no function named {function}")).hint(FUNCTIONS);
    }
    if let Some(syntax) = between("ParserError(\"", '"') {
        let (syntax, place) = syntax.split_once(" at Line: ").unwrap_or((&syntax, ""));
        let mut error = statement.error("", syntax);
        if let Some((Ok(line), Ok(column))) = place.split_once(", Column: ").map(|(l, c)| (l.parse(), c.parse())) {
            (error.line, error.column) = (line, column);
        }
        return error;
    }
    let word = column_of(message.split(['\'', '"', '`']).nth(1).unwrap_or_default());
    if message.starts_with("Column in SELECT must be in GROUP BY") {
        return statement
            .error(&word, format!("`{word}` is selected, but neither grouped by nor aggregated"))
            .hint(format!("add {word} to GROUP BY"));
    }
    if let Some((expressions, _)) = message.rsplit_once("\" at position ")
        && message.starts_with("Projections require unique")
    {
        let name = expressions.rsplit([' ', '.', '"']).next().unwrap_or_default();
        return statement
            .error(name, format!("two columns would be named `{name}`"))
            .hint("give one of them another name with AS");
    }
    statement.error(&word, message)
}

const FUNCTIONS: &str =
    "any DataFusion scalar function; aggregates: count, sum, min, max, avg, hdr, approx_distinct, last, samples";

fn compile(
    context: &SessionContext,
    def: SourceDef,
    rollups: Vec<(RollupSchema, Branch)>,
) -> Result<SourcePlan, DataFusionError> {
    let full = def.full_schema();
    let mut needed = BTreeSet::new();
    for (_, rollup) in &rollups {
        let measures = rollup.measures.iter().flatten().flat_map(|m| m.arguments.iter().chain(&m.filter));
        for expr in rollup.dimensions.iter().chain(measures).chain(&rollup.predicate) {
            needed.extend(expr.column_refs().iter().map(|c| c.name.clone()));
        }
    }
    let fields: Vec<_> = full.fields().iter().filter(|f| needed.contains(f.name())).cloned().collect();
    let columns: SchemaRef = Arc::new(Schema::new(fields));
    let df_schema = DFSchema::try_from_qualified_schema(def.name.as_str(), &columns)?;
    let mut source = SourcePlan { def, columns, exprs: Vec::new(), dimensions: Vec::new(), rollups: Vec::new() };
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let options = context.state().config_options().clone();
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder().with_config_options(options).with_schema(Arc::new(df_schema.clone())).build(),
    );
    let mut add = |exprs: &mut Vec<Arc<dyn PhysicalExpr>>, expr: &Expr| -> Result<usize, DataFusionError> {
        if let Some(&index) = known.get(&expr.to_string()) {
            return Ok(index);
        }
        // Some functions have no meaning of their own until they are rewritten: coalesce becomes CASE.
        let simplified = simplifier.simplify(expr.clone())?;
        exprs.push(checked(context.create_physical_expr(simplified, &df_schema)?)?);
        known.insert(expr.to_string(), exprs.len() - 1);
        Ok(exprs.len() - 1)
    };
    for (schema, branch) in rollups {
        let mut dimensions = Vec::new();
        for (dimension, expr) in schema.dimensions.iter().zip(&branch.dimensions) {
            let data_type = dimension.value.data_type();
            let expr = match expr.to_owned() {
                e if matches!(&e, Expr::Column(c) if source.columns.field_with_name(&c.name)?.data_type() == &data_type) => {
                    e
                }
                e => cast(e, data_type),
            };
            let pair = (add(&mut source.exprs, &expr)?, dimension.value);
            dimensions.push(match source.dimensions.iter().position(|d| *d == pair) {
                Some(index) => index,
                None => {
                    source.dimensions.push(pair);
                    source.dimensions.len() - 1
                }
            });
        }
        let mut measures = Vec::new();
        for (measure, planned) in schema.measures.iter().zip(&branch.measures) {
            let Some(planned) = planned else {
                measures.push(None);
                continue;
            };
            let arguments = planned.arguments.iter().map(|e| add(&mut source.exprs, e)).collect::<Result<_, _>>()?;
            let filter = planned.filter.as_ref().map(|e| add(&mut source.exprs, e)).transpose()?;
            measures.push(Some(MeasurePlan { kind: measure.kind, arguments, filter }));
        }
        let predicate = branch.predicate.as_ref().map(|e| add(&mut source.exprs, e)).transpose()?;
        source.rollups.push(RollupPlan { schema, dimensions, measures, predicate, folding: branch.folding });
    }
    Ok(source)
}

/// Lets integer arithmetic fail instead of wrapping around: no value is better than a wrong one.
fn checked(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|node| {
        Ok(match node.downcast_ref::<BinaryExpr>() {
            Some(binary) => {
                Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>)
            }
            None => Transformed::no(node),
        })
    })?;
    Ok(checked.data)
}

#[cfg(test)]
mod tests;
