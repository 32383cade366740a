//! The syntax tree of a template.

use std::sync::Arc;

use super::value::Value;

/// A piece of a template.
#[derive(Debug, Clone)]
pub enum Node {
    /// Text that is printed as it is.
    Text(Arc<str>),
    /// `{{pipeline}}`
    Action(Pipeline),
    /// `{{if}}`, `{{with}}`
    Branch {
        /// Whether the dot becomes the value.
        with: bool,
        /// The condition.
        pipeline: Pipeline,
        /// If it is true.
        body: Vec<Node>,
        /// If not.
        otherwise: Vec<Node>,
    },
    /// `{{range}}`
    Range {
        /// Over what.
        pipeline: Pipeline,
        /// For each item.
        body: Vec<Node>,
        /// If there is none.
        otherwise: Vec<Node>,
    },
    /// `{{template "name" pipeline}}`
    Template {
        /// Where, in bytes.
        at: usize,
        /// Which.
        name: Arc<str>,
        /// With what as its dot.
        pipeline: Option<Pipeline>,
    },
    /// `{{break}}`
    Break,
    /// `{{continue}}`
    Continue,
}

/// Commands, each taking the value of the one before it as its last argument.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Where, in bytes.
    pub at: usize,
    /// Variables that take the value, with their dollar.
    pub variables: Vec<Arc<str>>,
    /// Whether the variables are known ones.
    pub is_assignment: bool,
    /// The commands, at least one.
    pub commands: Vec<Command>,
}

/// A function or value with arguments.
#[derive(Debug, Clone)]
pub struct Command {
    /// The words, the first of which says what is done.
    pub words: Vec<Operand>,
}

/// A word of a command.
#[derive(Debug, Clone)]
pub struct Operand {
    /// Where, in bytes.
    pub at: usize,
    /// What.
    pub kind: OperandKind,
}

/// The kinds of words.
#[derive(Debug, Clone)]
pub enum OperandKind {
    /// `.`
    Dot,
    /// `nil`
    Nil,
    /// A literal.
    Constant(Value),
    /// A function's name.
    Function(Arc<str>),
    /// `.A.B`
    Field(Vec<Arc<str>>),
    /// `$x.A.B`
    Variable(Arc<str>, Vec<Arc<str>>),
    /// `(pipeline).A.B`; without fields it is the pipeline alone
    Chain(Box<Pipeline>, Vec<Arc<str>>),
}

/// Visits every word of `nodes`, those in parentheses among them.
pub fn each_operand<'n>(nodes: &'n [Node], visit: &mut impl FnMut(&'n Operand)) {
    for node in nodes {
        match node {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(pipeline) => each_of_pipeline(pipeline, visit),
            Node::Branch { pipeline, body, otherwise, .. } | Node::Range { pipeline, body, otherwise } => {
                each_of_pipeline(pipeline, visit);
                each_operand(body, visit);
                each_operand(otherwise, visit);
            }
            Node::Template { pipeline, .. } => {
                if let Some(pipeline) = pipeline {
                    each_of_pipeline(pipeline, visit);
                }
            }
        }
    }
}

fn each_of_pipeline<'n>(pipeline: &'n Pipeline, visit: &mut impl FnMut(&'n Operand)) {
    for word in pipeline.commands.iter().flat_map(|command| &command.words) {
        visit(word);
        if let OperandKind::Chain(inner, _) = &word.kind {
            each_of_pipeline(inner, visit);
        }
    }
}

impl std::fmt::Display for Operand {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = |out: &mut std::fmt::Formatter<'_>, names: &[Arc<str>]| -> std::fmt::Result {
            names.iter().try_for_each(|name| write!(out, ".{name}"))
        };
        match &self.kind {
            OperandKind::Dot => out.write_str("."),
            OperandKind::Nil => out.write_str("nil"),
            OperandKind::Constant(Value::Text(text)) => out.write_str(&tidewatch_promql::labels::quote(text)),
            OperandKind::Constant(value) => out.write_str(&super::print::sprint(std::slice::from_ref(value))),
            OperandKind::Function(name) => out.write_str(name),
            OperandKind::Field(names) => fields(out, names),
            OperandKind::Variable(name, names) => {
                out.write_str(name)?;
                fields(out, names)
            }
            OperandKind::Chain(pipeline, names) => {
                write!(out, "({pipeline})")?;
                fields(out, names)
            }
        }
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            write!(out, "{}{word}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, command) in self.commands.iter().enumerate() {
            write!(out, "{}{command}", if at == 0 { "" } else { " | " })?;
        }
        Ok(())
    }
}
