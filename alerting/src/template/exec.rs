//! Runs a parsed template on its data.

use std::sync::Arc;

use super::ast::{Command, Node, Operand, OperandKind, Pipeline};
use super::error::{Place, TemplateError};
use super::value::{ListKind, MapKind, Value};
use super::{Bounds, Functions, Template, Templates, builtin, notification, print};

/// Runs `template` and gives what it prints.
pub(super) fn execute(
    templates: &Templates,
    template: &Arc<Template>,
    data: &Value,
    variables: &[(&str, Value)],
    functions: &dyn Functions,
    bounds: Bounds,
    escape: fn(&Value) -> String,
) -> Result<String, TemplateError> {
    let mut known: Vec<(Arc<str>, Value)> = vec![("$".into(), data.clone())];
    known.extend(variables.iter().map(|(name, value)| (Arc::from(*name), value.clone())));
    let mut run = Run { templates, functions, bounds, escape, out: String::new(), steps: 0 };
    let mut frame = Frame { template: template.clone(), variables: known, depth: 0 };
    run.nodes(&template.body, data, &mut frame)?;
    Ok(run.out)
}

/// What a list of nodes ended with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// The running of one named template.
struct Frame {
    template: Arc<Template>,
    variables: Vec<(Arc<str>, Value)>,
    depth: usize,
}

struct Run<'r> {
    templates: &'r Templates,
    functions: &'r dyn Functions,
    bounds: Bounds,
    escape: fn(&Value) -> String,
    out: String,
    steps: usize,
}

type Outcome<T> = Result<T, TemplateError>;

impl Run<'_> {
    fn fail<T>(
        &self,
        frame: &Frame,
        at: usize,
        node: &dyn std::fmt::Display,
        message: impl Into<String>,
    ) -> Outcome<T> {
        let template = &frame.template;
        Err(TemplateError::Execute {
            place: Place::of(&template.file, &template.source, at),
            name: template.name.to_string(),
            node: node.to_string(),
            message: message.into(),
        })
    }

    fn print(&mut self, text: &str, frame: &Frame, at: usize) -> Outcome<()> {
        if self.out.len() + text.len() > self.bounds.output_bytes_max {
            let limit = self.bounds.output_bytes_max;
            return self.fail(frame, at, &"output", format!("the text is longer than {limit} bytes"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value, frame: &mut Frame) -> Outcome<Flow> {
        for node in nodes {
            self.steps += 1;
            if self.steps > self.bounds.steps_max {
                let limit = self.bounds.steps_max;
                return self.fail(frame, 0, &"template", format!("more than {limit} steps"));
            }
            match self.node(node, dot, frame)? {
                Flow::On => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value, frame: &mut Frame) -> Outcome<Flow> {
        match node {
            Node::Text(text) => self.print(text, frame, 0)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot, frame)?;
                if pipeline.variables.is_empty() {
                    let text = (self.escape)(&value);
                    self.print(&text, frame, pipeline.at)?;
                }
            }
            Node::Branch { with, pipeline, body, otherwise } => {
                let mark = frame.variables.len();
                let value = self.pipeline(pipeline, dot, frame)?;
                let flow = if !value.is_true() {
                    self.nodes(otherwise, dot, frame)?
                } else if *with {
                    self.nodes(body, &value, frame)?
                } else {
                    self.nodes(body, dot, frame)?
                };
                frame.variables.truncate(mark);
                return Ok(flow);
            }
            Node::Range { pipeline, body, otherwise } => return self.range(pipeline, body, otherwise, dot, frame),
            Node::Template { at, name, pipeline } => self.call_template(*at, name, pipeline.as_ref(), dot, frame)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        frame: &mut Frame,
    ) -> Outcome<Flow> {
        let mark = frame.variables.len();
        // The variables of a range take key and item, not the whole.
        let assigned = pipeline.is_assignment.then(|| pipeline.variables.clone());
        let value = self.value_of(pipeline, dot, frame)?;
        let items: Vec<(Value, Value)> = match &value {
            Value::List(list) => (0..).map(Value::Int).zip(list.items.iter().cloned()).collect(),
            Value::Map(map) => {
                map.entries.iter().map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect()
            }
            Value::Int(count) if *count <= i64::try_from(self.bounds.steps_max).unwrap_or(i64::MAX) => {
                (0..*count).map(|at| (Value::Int(at), Value::Int(at))).collect()
            }
            Value::Nil => Vec::new(),
            other => {
                let message = format!("range can't iterate over {}", print::sprint(std::slice::from_ref(other)));
                return self.fail(frame, pipeline.at, pipeline, message);
            }
        };
        if items.is_empty() {
            let flow = self.nodes(otherwise, dot, frame)?;
            frame.variables.truncate(mark);
            return Ok(flow);
        }
        let counts = matches!(value, Value::Int(_));
        for (key, item) in items {
            let names = &pipeline.variables;
            let pairs: Vec<(Arc<str>, Value)> = match names.as_slice() {
                [] => Vec::new(),
                [one] => vec![(one.clone(), if counts { key } else { item.clone() })],
                [first, second, ..] => vec![(first.clone(), key), (second.clone(), item.clone())],
            };
            if assigned.is_some() {
                for (name, value) in pairs {
                    assign(frame, &name, value);
                }
            } else {
                frame.variables.extend(pairs);
            }
            let flow = self.nodes(body, &item, frame)?;
            frame.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn call_template(
        &mut self,
        at: usize,
        name: &Arc<str>,
        pipeline: Option<&Pipeline>,
        dot: &Value,
        frame: &mut Frame,
    ) -> Outcome<()> {
        let node = format!("{{{{template {name:?}}}}}");
        let Some(template) = self.templates.named(name).cloned() else {
            return self.fail(frame, at, &node, format!("template {name:?} not defined"));
        };
        if frame.depth >= self.bounds.depth_max {
            let limit = self.bounds.depth_max;
            return self.fail(frame, at, &node, format!("exceeded maximum template depth ({limit})"));
        }
        let data = match pipeline {
            Some(pipeline) => self.pipeline(pipeline, dot, frame)?,
            None => Value::Nil,
        };
        let variables = vec![("$".into(), data.clone())];
        let mut inner = Frame { template: template.clone(), variables, depth: frame.depth + 1 };
        self.nodes(&template.body, &data, &mut inner)?;
        Ok(())
    }

    /// The value of a pipeline, which its variables take.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value, frame: &mut Frame) -> Outcome<Value> {
        let value = self.value_of(pipeline, dot, frame)?;
        for name in &pipeline.variables {
            if pipeline.is_assignment {
                assign(frame, name, value.clone());
            } else {
                frame.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn value_of(&mut self, pipeline: &Pipeline, dot: &Value, frame: &mut Frame) -> Outcome<Value> {
        let mut value: Option<Value> = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, frame, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &Command, dot: &Value, frame: &mut Frame, last: Option<Value>) -> Outcome<Value> {
        let head = &command.words[0];
        let args = &command.words[1..];
        match &head.kind {
            OperandKind::Function(name) => return self.function(name, head, args, dot, frame, last),
            OperandKind::Field(names) => return self.path(dot.clone(), names, head, args, dot, frame, last),
            OperandKind::Variable(name, names) => {
                let value = lookup(frame, name);
                if !names.is_empty() {
                    return self.path(value, names, head, args, dot, frame, last);
                }
                if args.is_empty() && last.is_none() {
                    return Ok(value);
                }
            }
            OperandKind::Chain(pipeline, names) => {
                let value = self.pipeline(pipeline, dot, frame)?;
                if !names.is_empty() {
                    return self.path(value, names, head, args, dot, frame, last);
                }
                if args.is_empty() && last.is_none() {
                    return Ok(value);
                }
            }
            OperandKind::Nil => return self.fail(frame, head.at, head, "nil is not a command"),
            OperandKind::Dot if args.is_empty() && last.is_none() => return Ok(dot.clone()),
            OperandKind::Constant(value) if args.is_empty() && last.is_none() => return Ok(value.clone()),
            OperandKind::Dot | OperandKind::Constant(_) => {}
        }
        self.fail(frame, head.at, head, format!("can't give argument to non-function {head}"))
    }

    /// The value of a word that is an argument.
    fn operand(&mut self, operand: &Operand, dot: &Value, frame: &mut Frame) -> Outcome<Value> {
        if matches!(operand.kind, OperandKind::Nil) {
            return Ok(Value::Nil);
        }
        self.command(&Command { words: vec![operand.clone()] }, dot, frame, None)
    }

    fn function(
        &mut self,
        name: &str,
        head: &Operand,
        words: &[Operand],
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Outcome<Value> {
        if matches!(name, "and" | "or") {
            let mut value = None;
            for word in words {
                let next = self.operand(word, dot, frame)?;
                let decides = next.is_true() == (name == "or");
                value = Some(next);
                if decides {
                    return Ok(value.unwrap_or(Value::Nil));
                }
            }
            return match last.or(value) {
                Some(value) => Ok(value),
                None => {
                    self.fail(frame, head.at, head, format!("wrong number of args for {name}: want at least 1 got 0"))
                }
            };
        }
        let mut values = Vec::with_capacity(words.len() + 1);
        for word in words {
            values.push(self.operand(word, dot, frame)?);
        }
        values.extend(last);
        let outcome = self.functions.call(name, &values).or_else(|| builtin::call(name, &values));
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(message)) => {
                let prefix = if message.starts_with("wrong number of args") || message.starts_with("error calling") {
                    String::new()
                } else {
                    format!("error calling {name}: ")
                };
                self.fail(frame, head.at, head, format!("{prefix}{message}"))
            }
            None => self.fail(frame, head.at, head, format!("{name:?} is not a defined function")),
        }
    }

    /// `.A.B`: all but the last take no arguments.
    #[allow(clippy::too_many_arguments, reason = "the receiver, the path, and what evaluating arguments needs")]
    fn path(
        &mut self,
        receiver: Value,
        names: &[Arc<str>],
        head: &Operand,
        words: &[Operand],
        dot: &Value,
        frame: &mut Frame,
        last: Option<Value>,
    ) -> Outcome<Value> {
        let mut args = Vec::with_capacity(words.len() + 1);
        for word in words {
            args.push(self.operand(word, dot, frame)?);
        }
        args.extend(last);
        let mut value = receiver;
        for (at, name) in names.iter().enumerate() {
            let given: &[Value] = if at + 1 == names.len() { &args } else { &[] };
            value = match field(&value, name, given) {
                Ok(value) => value,
                Err(message) => return self.fail(frame, head.at, head, message),
            };
        }
        Ok(value)
    }
}

fn lookup(frame: &Frame, name: &str) -> Value {
    frame.variables.iter().rev().find(|(known, _)| **known == *name).map_or(Value::Nil, |(_, value)| value.clone())
}

fn assign(frame: &mut Frame, name: &str, value: Value) {
    if let Some(known) = frame.variables.iter_mut().rev().find(|(known, _)| **known == *name) {
        known.1 = value;
    }
}

/// A field or method of `value`.
fn field(value: &Value, name: &str, args: &[Value]) -> Result<Value, String> {
    let no_args = || match args.is_empty() {
        true => Ok(()),
        false => Err(format!("{name} has arguments but cannot be invoked as function")),
    };
    let method = match value {
        Value::Map(map) if map.kind == MapKind::Labels => notification::labels_method(map, name, args),
        Value::List(list) if matches!(list.kind, ListKind::Alerts | ListKind::Pairs) => {
            notification::list_method(list, name, args)
        }
        Value::Time(time) => time.method(name, args),
        Value::Duration(nanoseconds) => duration_method(*nanoseconds, name),
        _ => None,
    };
    if let Some(outcome) = method {
        return outcome;
    }
    match value {
        Value::Map(map) => {
            no_args()?;
            Ok(map.get(name))
        }
        Value::Record(record) => {
            no_args()?;
            record.get(name).ok_or_else(|| format!("can't evaluate field {name} in type {}", record.name))
        }
        Value::Nil => Err(format!("nil data; no entry for key {name:?}")),
        other => Err(format!("can't evaluate field {name} in type {}", other.kind())),
    }
}

fn duration_method(nanoseconds: i64, name: &str) -> Option<Result<Value, String>> {
    let number = nanoseconds as f64;
    Some(Ok(match name {
        "Seconds" => Value::Float(number / 1e9),
        "Minutes" => Value::Float(number / 6e10),
        "Hours" => Value::Float(number / 3.6e12),
        "Milliseconds" => Value::Int(nanoseconds / 1_000_000),
        "String" => Value::text(print::duration(nanoseconds)),
        _ => return None,
    }))
}
