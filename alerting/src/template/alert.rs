//! Templates of alert labels and annotations: what `$labels` and `$value` are, and Prometheus' functions.

use std::sync::Arc;

use super::ast::{self, OperandKind};
use super::builtin::{url_query, wrong_count};
use super::error::TemplateError;
use super::functions::{self, texts};
use super::value::{MapKind, Value};
use super::{Bounds, Functions, Template, Templates, humanize};
use tidewatch_promql::{Labels, Sample, VectorSample, number};

/// Variables that every label and annotation template knows.
const VARIABLES: [&str; 5] = ["$labels", "$externalLabels", "$externalURL", "$value", "$threshold"];

const NAMES: [&str; 25] = [
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "title",
    "graphLink",
    "tableLink",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "toDuration",
    "now",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "tmpl",
    "urlQueryEscape",
];

/// Asks for the samples of a query at the time of evaluation.
pub type Ask<'a> = &'a dyn Fn(&str) -> Result<Vec<VectorSample>, String>;

/// What does not change from one alert of a rule to the next.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Labels that are added to whatever leaves this server.
    pub external_labels: &'a [(String, String)],
    /// Where this server is to be found.
    pub external_url: &'a str,
    /// Time of the evaluation, milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// Answers `query`.
    pub ask: Ask<'a>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Surroundings").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// Names of the functions of alert templates, for parsing.
#[derive(Debug, Clone, Copy)]
struct Known;

impl Functions for Known {
    fn knows(&self, name: &str) -> bool {
        NAMES.contains(&name) || functions::NAMES.contains(&name)
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

impl Functions for Surroundings<'_> {
    fn knows(&self, name: &str) -> bool {
        Known.knows(name)
    }

    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        Some(match name {
            "query" => texts(name, args).and_then(|[text]| {
                let samples = (self.ask)(text)?;
                Ok(Value::list(samples.iter().map(sample).collect()))
            }),
            "first" => match args {
                [Value::List(list)] => {
                    list.items.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_string())
                }
                _ => Err("first takes the result of a query".to_string()),
            },
            "label" => match args {
                [Value::Text(name), Value::Record(sample)] => Ok(label(sample, name)),
                _ => Err("label takes a name and a sample".to_string()),
            },
            "strvalue" => match args {
                [Value::Record(sample)] => Ok(label(sample, "__value__")),
                _ => Err("strvalue takes a sample".to_string()),
            },
            "value" => match args {
                [Value::Record(sample)] => sample.get("Value").ok_or_else(|| "value takes a sample".to_string()),
                _ => Err("value takes a sample".to_string()),
            },
            "args" => Ok(Value::map(args.iter().enumerate().map(|(at, arg)| (format!("arg{at}"), arg.clone())))),
            "title" => texts(name, args).map(|[text]| Value::text(functions::title(text, false))),
            "sortByLabel" => sort_by_label(args),
            "graphLink" => texts(name, args).map(|[text]| Value::text(link(text, 0))),
            "tableLink" => texts(name, args).map(|[text]| Value::text(link(text, 1))),
            "stripPort" => texts(name, args).map(|[text]| Value::text(strip_port(text))),
            "stripDomain" => texts(name, args).map(|[text]| Value::text(strip_domain(text))),
            "humanize" => float(name, args).map(|value| Value::text(humanize::humanize(value))),
            "humanize1024" => float(name, args).map(|value| Value::text(humanize::humanize_1024(value))),
            "humanizeDuration" => float(name, args).map(|value| Value::text(humanize::duration(value))),
            "humanizePercentage" => float(name, args).map(|value| Value::text(humanize::percentage(value))),
            "humanizeTimestamp" => float(name, args).and_then(|value| humanize::timestamp(value).map(Value::text)),
            "toTime" => float(name, args).and_then(|value| humanize::instant(value).map(Value::Time)),
            "toDuration" => float(name, args).map(|value| Value::Duration((value * 1e9) as i64)),
            "now" => Ok(Value::Float(self.now_ms as f64 / 1000.0)),
            "pathPrefix" => Ok(Value::text(path_of(self.external_url))),
            "externalURL" => Ok(Value::text(self.external_url)),
            "parseDuration" => texts(name, args).and_then(|[text]| {
                tidewatch_promql::duration::parse(text).map(|milliseconds| Value::Float(milliseconds as f64 / 1000.0))
            }),
            "urlQueryEscape" => texts(name, args).map(|[text]| Value::text(url_query(text))),
            // Belongs to console templates; in a rule it must neither be refused nor say anything.
            "tmpl" => Ok(Value::text("")),
            _ => return functions::call(name, args),
        })
    }
}

fn sample(sample: &VectorSample) -> Value {
    let value = match &sample.value {
        Sample::Float(value) => *value,
        Sample::Histogram(_) => 0.0,
    };
    Value::record("*template.sample", vec![("Labels", labels(&sample.labels)), ("Value", Value::Float(value))])
}

fn labels(labels: &Labels) -> Value {
    Value::text_map(MapKind::Text, labels.iter().map(|label| (label.name.clone(), label.value.clone())))
}

fn label(sample: &super::Record, name: &str) -> Value {
    match sample.get("Labels") {
        Some(Value::Map(map)) => map.get(name),
        _ => Value::text(""),
    }
}

fn sort_by_label(args: &[Value]) -> Result<Value, String> {
    let [Value::Text(name), Value::List(list)] = args else {
        return Err("sortByLabel takes a name and the result of a query".to_string());
    };
    let key = |item: &Value| match item {
        Value::Record(sample) => label(sample, name).as_text().cloned(),
        _ => None,
    };
    let mut items = list.items.clone();
    items.sort_by_key(key);
    Ok(Value::list_of(list.kind, items))
}

/// A number, or a text that reads as one.
fn float(name: &str, args: &[Value]) -> Result<f64, String> {
    match args {
        [Value::Float(value)] => Ok(*value),
        [Value::Int(value)] => Ok(*value as f64),
        [Value::Duration(nanoseconds)] => Ok(*nanoseconds as f64 / 1e9),
        [Value::Text(text)] => {
            number::parse(text).ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
        }
        [other] => Err(format!("can't convert {} to float", other.kind())),
        _ => Err(wrong_count(name, 1, args.len())),
    }
}

/// The address of Prometheus' expression page; `tab` 0 is the graph, 1 the table.
pub fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", url_query(expression))
}

fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find('/').map_or("", |at| &after[at..]);
    path.split(['?', '#']).next().unwrap_or(path)
}

/// The host of `host:port` or `[host]:port`; the text itself when it is neither.
fn strip_port(text: &str) -> &str {
    let Some((host, _)) = text.rsplit_once(':') else { return text };
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner;
    }
    if host.contains(':') || host.contains('[') { text } else { host }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if strip_port(text) != text => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return text.to_string();
    }
    let first = bare.split('.').next().unwrap_or(bare);
    port.map_or_else(|| first.to_string(), |port| format!("{first}:{port}"))
}

/// A label's or annotation's template, parsed once.
#[derive(Debug, Clone)]
pub struct AlertTemplate {
    text: Arc<str>,
    /// `None` when the text holds no action.
    parsed: Option<(Templates, Arc<Template>)>,
}

/// What one alert brings.
#[derive(Debug, Clone, Copy)]
pub struct AlertFacts<'a> {
    /// Labels of the sample, the metric's name among them.
    pub labels: &'a Labels,
    /// The sample's value.
    pub value: f64,
    /// The threshold that it was compared with, where the rule has one of its own.
    pub threshold: Option<f64>,
}

impl AlertTemplate {
    /// Parses the text of a label or annotation of the alert `alert_name`.
    ///
    /// # Errors
    /// [`TemplateError::Parse`].
    pub fn parse(alert_name: &str, text: &str) -> Result<AlertTemplate, TemplateError> {
        if !text.contains("{{") {
            return Ok(AlertTemplate { text: text.into(), parsed: None });
        }
        let mut templates = Templates::new();
        let main = templates.add_with(&format!("__alert_{alert_name}"), text, &VARIABLES, &Known)?;
        Ok(AlertTemplate { text: text.into(), parsed: Some((templates, main)) })
    }

    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text is printed as it stands.
    pub fn is_plain(&self) -> bool {
        self.parsed.is_none()
    }

    /// Whether two samples with the same labels give the same text whatever their values and times: there is
    /// neither `$value` nor `.Value`, and nothing that looks at the clock or the data.
    pub fn depends_on_labels_only(&self) -> bool {
        const OTHERS: [&str; 6] = ["value", "Value", "query", "now", "threshold", "Threshold"];
        // A dot or dollar alone is all of the data, the value among it.
        let bytes = self.text.as_bytes();
        let whole = |pair: &[u8]| {
            matches!(pair[0], b'.' | b'$') && matches!(pair[1], b' ' | b'\t' | b'\n' | b')' | b'}' | b'|')
        };
        self.is_plain() || !bytes.windows(2).any(whole) && !OTHERS.iter().any(|word| self.text.contains(word))
    }

    /// What the template may ask `query` for: every literal text of one that calls it. A text that is made from one, as
    /// by `printf`, is not known before the alert is.
    pub fn asked(&self) -> Vec<Arc<str>> {
        let Some((templates, _)) = &self.parsed else { return Vec::new() };
        let (mut asks, mut texts) = (false, Vec::new());
        for template in templates.named.values() {
            ast::each_operand(&template.body, &mut |operand| match &operand.kind {
                OperandKind::Function(name) => asks |= &**name == "query",
                OperandKind::Constant(Value::Text(text)) => texts.push(Arc::clone(text)),
                _ => {}
            });
        }
        if asks { texts } else { Vec::new() }
    }

    /// The text for one alert.
    ///
    /// # Errors
    /// [`TemplateError::Execute`].
    pub fn expand(&self, facts: AlertFacts<'_>, around: &Surroundings<'_>) -> Result<String, TemplateError> {
        let Some((templates, main)) = &self.parsed else { return Ok(self.text.to_string()) };
        let labels = labels(facts.labels);
        let external = around.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let external = Value::text_map(MapKind::Text, external);
        let url = Value::text(around.external_url);
        let threshold = facts.threshold.map_or(Value::Nil, Value::Float);
        let data = Value::record(
            "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }",
            vec![
                ("Labels", labels.clone()),
                ("ExternalLabels", external.clone()),
                ("ExternalURL", url.clone()),
                ("Value", Value::Float(facts.value)),
                ("Threshold", threshold.clone()),
            ],
        );
        let variables = [
            ("$labels", labels),
            ("$externalLabels", external),
            ("$externalURL", url),
            ("$value", Value::Float(facts.value)),
            ("$threshold", threshold),
        ];
        templates.run(main, &data, &variables, around, Bounds::default())
    }

    /// As [`AlertTemplate::expand`]; a template that fails becomes a text that says so, as in Prometheus.
    pub fn expand_or_explain(&self, facts: AlertFacts<'_>, around: &Surroundings<'_>) -> String {
        let name = || self.parsed.as_ref().map_or("", |(_, main)| &*main.name).to_string();
        self.expand(facts, around)
            .unwrap_or_else(|error| format!("<error expanding template: error executing template {}: {error}>", name()))
    }
}
