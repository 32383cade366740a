//! Reads and runs a script: `load`, `clear`, `eval`.

use tidewatch_promql::notation::{Notated, parse_series};
use tidewatch_promql::parse::ast::{ExprKind, ValueType};
use tidewatch_promql::parse::functions::Func;
use tidewatch_promql::{Answer, Grammar, Labels, Level, Limits, Options, Query, QueryError, Value, duration, number};

use crate::compare::{matrix, vector};
use crate::store::Store;

/// What became of one `eval`.
pub struct Outcome {
    /// Line of the `eval`, counted from 1.
    pub line: usize,
    pub query: String,
    pub failure: Option<String>,
}

/// One `expect` line.
struct Expect {
    kind: String,
    text: Option<Text>,
}

enum Text {
    Exact(String),
    Regex(regex::Regex),
}

impl Text {
    fn fits(&self, found: &str) -> bool {
        match self {
            Text::Exact(text) => text == found,
            Text::Regex(regex) => regex.is_match(found),
        }
    }
}

/// Start, end and step in milliseconds.
#[derive(Clone, Copy)]
pub struct Span {
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

enum When {
    Instant(i64),
    Range(Span),
}

struct Eval {
    when: When,
    query: String,
    expects: Vec<Expect>,
    /// Expected times of a range vector.
    range_vector: Option<Span>,
    series: Vec<(Labels, Vec<Notated>)>,
    scalar: Option<f64>,
    string: Option<String>,
}

/// Runs a script, with functions of our own or without; one outcome per `eval`.
pub fn run_script(text: &str, delayed_name_removal: bool, prometheus_only: bool) -> Vec<Outcome> {
    let grammar = Grammar { experimental: true, prometheus_only };
    let options = Options { delayed_name_removal, ..Options::default() };
    let lines: Vec<&str> = text.lines().collect();
    let (mut store, mut outcomes, mut at) = (Store::default(), Vec::new(), 0);
    while at < lines.len() {
        let line = lines[at].trim();
        let number = at + 1;
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut block = Vec::new();
        // A block ends with an empty line; comment lines within it do not count.
        while at < lines.len() && !lines[at].trim().is_empty() && !is_command(lines[at]) {
            if !lines[at].trim().starts_with('#') {
                block.push(lines[at].trim());
            }
            at += 1;
        }
        if line == "clear" {
            store = Store::default();
        } else if line.starts_with("load") {
            load(&mut store, line, &block).unwrap_or_else(|error| panic!("line {number}: {error}"));
        } else {
            let eval = parse_eval(line, &block).unwrap_or_else(|error| panic!("line {number}: {error}"));
            let failure = check(&eval, &store, grammar, &options).err();
            outcomes.push(Outcome { line: number, query: eval.query, failure });
        }
    }
    outcomes
}

fn is_command(line: &str) -> bool {
    ["load ", "load_with_nhcb ", "eval", "clear"].iter().any(|command| line.starts_with(command))
}

fn load(store: &mut Store, line: &str, block: &[&str]) -> Result<(), String> {
    let (command, interval) = line.split_once(char::is_whitespace).ok_or("expected an interval")?;
    let interval_ms = duration::parse(interval.trim())?;
    let series = block.iter().map(|line| parse_series(line)).collect::<Result<Vec<_>, String>>()?;
    store.load(interval_ms, series, command == "load_with_nhcb");
    Ok(())
}

/// A time is a duration or a number of seconds.
fn time(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Ok((seconds * 1000.0).round() as i64),
        Err(_) => duration::parse(text),
    }
}

fn parse_eval(line: &str, block: &[&str]) -> Result<Eval, String> {
    let mut words = line.split_whitespace();
    let mut after = line;
    let mut next = |count: usize| -> Vec<String> {
        (0..count)
            .map(|_| {
                let word = words.next().unwrap_or_default();
                after = after.trim_start().strip_prefix(word).unwrap_or_default();
                word.to_string()
            })
            .collect()
    };
    let head = next(2);
    let when = match head[1].as_str() {
        "instant" => When::Instant(time(&next(2)[1])?),
        _ => {
            let words = next(6);
            When::Range(Span { start: time(&words[1])?, end: time(&words[3])?, step: time(&words[5])? })
        }
    };
    let mut eval = Eval {
        when,
        query: after.trim().to_string(),
        expects: Vec::new(),
        range_vector: None,
        series: Vec::new(),
        scalar: None,
        string: None,
    };
    if let Some(kind) = head[0].strip_prefix("eval_") {
        eval.expects.push(Expect { kind: kind.to_string(), text: None });
    }
    for line in block {
        parse_expectation(&mut eval, line)?;
    }
    Ok(eval)
}

fn parse_expectation(eval: &mut Eval, line: &str) -> Result<(), String> {
    let Some(rest) = line.strip_prefix("expect ") else {
        match number::parse(line) {
            Some(value) => eval.scalar = Some(value),
            None => eval.series.push(parse_series(line)?),
        }
        return Ok(());
    };
    if let Some(text) = rest.strip_prefix("string ") {
        eval.string = Some(text[1..text.len() - 1].to_string());
        return Ok(());
    }
    if let Some(span) = rest.strip_prefix("range vector from ") {
        let words: Vec<&str> = span.split_whitespace().collect();
        eval.range_vector = Some(Span { start: time(words[0])?, end: time(words[2])?, step: time(words[4])? });
        return Ok(());
    }
    let (kind, matching) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let matching = matching.trim();
    let text = if let Some(text) = matching.strip_prefix("msg:") {
        Some(Text::Exact(text.trim().to_string()))
    } else if let Some(regex) = matching.strip_prefix("regex:") {
        Some(Text::Regex(regex::Regex::new(regex.trim()).map_err(|error| error.to_string())?))
    } else {
        None
    };
    eval.expects.push(Expect { kind: kind.to_string(), text });
    Ok(())
}

impl Eval {
    fn expects(&self, kind: &str) -> Vec<&Expect> {
        self.expects.iter().filter(|expect| expect.kind == kind).collect()
    }

    fn is_ordered(&self) -> bool {
        !self.expects("ordered").is_empty()
    }
}

fn run(query: &Query, when: &When, store: &Store, options: &Options) -> Result<Answer, QueryError> {
    let plan = match when {
        When::Instant(time) => query.instant(*time, options),
        When::Range(Span { start, end, step }) => query.range(*start, *end, *step, options)?,
    };
    plan.run(store, &Limits::none())
}

fn check(eval: &Eval, store: &Store, grammar: Grammar, options: &Options) -> Result<(), String> {
    let parsed = Query::parse(&eval.query, grammar);
    let answer = parsed.clone().and_then(|query| run(&query, &eval.when, store, options));
    let failures = eval.expects("fail");
    if !failures.is_empty() {
        let Err(error) = answer else { return Err("expected a failure".to_string()) };
        let found = error.to_string();
        let fits = failures.iter().all(|expect| expect.text.as_ref().is_none_or(|text| text.fits(&found)));
        return if fits { Ok(()) } else { Err(format!("failed with {found:?}")) };
    }
    let answer = answer.map_err(|error| format!("failed with {error}"))?;
    check_annotations(eval, &answer)?;
    check_value(eval, &answer.value)?;
    match parsed {
        Ok(query) => check_in_range(eval, &query, store, options),
        Err(error) => Err(error.to_string()),
    }
}

fn check_annotations(eval: &Eval, answer: &Answer) -> Result<(), String> {
    for (kind, none, level) in [("warn", "no_warn", Level::Warning), ("info", "no_info", Level::Info)] {
        let found = answer.annotations.rendered(level, &eval.query);
        let expects = eval.expects(kind);
        if !eval.expects(none).is_empty() && !found.is_empty() {
            return Err(format!("unexpected {kind}: {found:?}"));
        }
        if expects.is_empty() {
            continue;
        }
        if found.is_empty() {
            return Err(format!("expected some {kind}"));
        }
        let fits = |expect: &Expect, one: &String| expect.text.as_ref().is_none_or(|text| text.fits(one));
        if let Some(extra) = found.iter().find(|one| !expects.iter().any(|expect| fits(expect, one))) {
            return Err(format!("unexpected {kind}: {extra}"));
        }
        if !expects.iter().all(|expect| found.iter().any(|one| fits(expect, one))) {
            return Err(format!("missing {kind} among {found:?}"));
        }
    }
    Ok(())
}

fn check_value(eval: &Eval, value: &Value) -> Result<(), String> {
    match (value, &eval.when) {
        (Value::String { text, .. }, _) if Some(text) == eval.string.as_ref() => Ok(()),
        (Value::String { text, .. }, _) => Err(format!("found the string {text:?}")),
        (Value::Scalar { value, .. }, _) => match eval.scalar {
            Some(expected) if crate::compare::almost_equal(expected, *value) => Ok(()),
            expected => Err(format!("found {value} instead of {expected:?}")),
        },
        (Value::Vector(found), _) => vector(found, &eval.series, eval.is_ordered()),
        (Value::Matrix(found), When::Range(span)) => matrix(found, &eval.series, *span),
        (Value::Matrix(found), When::Instant(_)) => {
            let span = eval.range_vector.ok_or("expected a line `expect range vector`")?;
            matrix(found, &eval.series, span)
        }
    }
}

/// An instant query must give what a range query gives at the same step; as in Prometheus' runner, the steps
/// around it are one minute away.
fn check_in_range(eval: &Eval, query: &Query, store: &Store, options: &Options) -> Result<(), String> {
    const STEP: i64 = 60_000;
    let When::Instant(time) = eval.when else { return Ok(()) };
    let is_range_vector = query.expr().value_type() == ValueType::Matrix;
    if eval.is_ordered() || is_range_vector || eval.string.is_some() || reads_query_times(query) {
        return Ok(());
    }
    let span = Span { start: time - STEP, end: time + STEP, step: STEP };
    let answer = run(query, &When::Range(span), store, options).map_err(|error| format!("as a range: {error}"))?;
    let Value::Matrix(found) = answer.value else { return Err("as a range: no matrix".to_string()) };
    let samples = crate::compare::at_time(&found, time);
    let result = match eval.scalar {
        Some(expected) => match samples.first().map(|sample| &sample.value) {
            Some(tidewatch_promql::Sample::Float(value)) if crate::compare::almost_equal(expected, *value) => Ok(()),
            other => Err(format!("found {other:?} instead of {expected}")),
        },
        None => vector(&samples, &eval.series, false),
    };
    result.map_err(|why| format!("as a range: {why}"))
}

fn reads_query_times(query: &Query) -> bool {
    let mut reads = false;
    query.expr().walk(&mut |expr| {
        if let ExprKind::Call { function, .. } = &expr.kind {
            reads |= matches!(function.id, Func::Start | Func::End | Func::Range | Func::Step);
        }
    });
    reads
}
