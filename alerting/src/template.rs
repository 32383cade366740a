//! Go's `text/template` language, as Prometheus' rules and Alertmanager's notifications use it.
//!
//! ```text
//! text ─▶ tokens ─▶ tree ─▶ text
//!         lexer     parser   exec (value tree + functions)
//! ```
//!
//! Output, steps and nesting are bounded. What differs from Go: there are no user-defined types, functions as
//! values, channels or complex numbers; HTML is escaped by one rule, not by the context of the place; comparing
//! an integer with a float is an error as there, with a hint.

pub mod alert;
mod ast;
mod builtin;
mod clock_time;
mod error;
mod exec;
mod functions;
pub mod humanize;
mod lexer;
pub mod notification;
mod parser;
mod print;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use clock_time::{Time, civil};
pub use error::{Place, TemplateError};
pub use value::{List, ListKind, Map, MapKind, Record, Value};

/// How much one run may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Longest output in bytes.
    pub output_bytes_max: usize,
    /// Most nodes that are evaluated.
    pub steps_max: usize,
    /// Most templates that call one another.
    pub depth_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { output_bytes_max: 1 << 20, steps_max: 200_000, depth_max: 64 }
    }
}

/// Functions beyond Go's predefined ones.
pub trait Functions {
    /// Whether there is such a function.
    fn knows(&self, name: &str) -> bool;
    /// Its value, or why there is none; `None` when there is no such function.
    fn call(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>>;
}

/// Go's predefined functions alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Predefined;

impl Functions for Predefined {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    name: Arc<str>,
    file: Arc<str>,
    source: Arc<str>,
    body: Vec<ast::Node>,
}

/// Templates that can call one another by name.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    named: BTreeMap<Arc<str>, Arc<Template>>,
}

impl Templates {
    /// No templates.
    pub fn new() -> Templates {
        Templates::default()
    }

    /// Adds what `text` defines and the text itself under `name`; later definitions replace earlier ones.
    ///
    /// # Errors
    /// [`TemplateError::Parse`].
    pub fn add(&mut self, name: &str, text: &str, functions: &dyn Functions) -> Result<Arc<Template>, TemplateError> {
        self.add_with(name, text, &[], functions)
    }

    /// As [`Templates::add`], with variables (written with their dollar) that are known from the start.
    ///
    /// # Errors
    /// [`TemplateError::Parse`].
    pub fn add_with(
        &mut self,
        name: &str,
        text: &str,
        variables: &[&str],
        functions: &dyn Functions,
    ) -> Result<Arc<Template>, TemplateError> {
        let knows = |function: &str| builtin::NAMES.contains(&function) || functions.knows(function);
        let parsed = parser::parse(text, variables, &knows)
            .map_err(|(at, message)| TemplateError::Parse { place: Place::of(name, text, at), message })?;
        let (file, source): (Arc<str>, Arc<str>) = (name.into(), text.into());
        let template =
            |name: Arc<str>, body| Arc::new(Template { name, file: file.clone(), source: source.clone(), body });
        for (name, body) in parsed.defined {
            self.named.insert(name.clone(), template(name, body));
        }
        let main = template(name.into(), parsed.body);
        self.named.insert(name.into(), main.clone());
        Ok(main)
    }

    /// The template of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Template>> {
        self.named.get(name)
    }

    /// Runs `template` as text.
    ///
    /// # Errors
    /// [`TemplateError::Execute`].
    pub fn run(
        &self,
        template: &Arc<Template>,
        data: &Value,
        variables: &[(&str, Value)],
        functions: &dyn Functions,
        bounds: Bounds,
    ) -> Result<String, TemplateError> {
        exec::execute(self, template, data, variables, functions, bounds, as_text)
    }

    /// Runs `template` with every printed value escaped for HTML, except what `safeHtml` made.
    ///
    /// # Errors
    /// [`TemplateError::Execute`].
    pub fn run_html(
        &self,
        template: &Arc<Template>,
        data: &Value,
        functions: &dyn Functions,
        bounds: Bounds,
    ) -> Result<String, TemplateError> {
        exec::execute(self, template, data, &[], functions, bounds, as_html)
    }
}

/// How an action prints its value.
fn as_text(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_string(),
        other => print::sprint(std::slice::from_ref(other)),
    }
}

fn as_html(value: &Value) -> String {
    match value {
        Value::Html(text) => text.to_string(),
        Value::Nil => String::new(),
        other => builtin::html(&as_text(other)),
    }
}

#[cfg(test)]
mod tests;
