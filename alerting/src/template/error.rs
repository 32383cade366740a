//! What is wrong with a template, and where.

/// Why a template cannot be parsed or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is no template.
    #[error("template: {place}: {message}")]
    Parse {
        /// Where.
        place: Place,
        /// What was found and what was expected.
        message: String,
    },
    /// The template cannot be run on its data.
    #[error("template: {place}: executing {name:?} at <{node}>: {message}")]
    Execute {
        /// Where.
        place: Place,
        /// Which template was running, a `define` within the text or the text itself.
        name: String,
        /// The part of the template that failed.
        node: String,
        /// What happened.
        message: String,
    },
}

/// A place in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the text.
    pub template: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in bytes, counted from 1.
    pub column: usize,
}

impl Place {
    /// The place of byte `at` of `text`.
    pub(crate) fn of(template: &str, text: &str, at: usize) -> Place {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.len() - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
        Place { template: template.to_string(), line, column }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}:{}", self.template, self.line, self.column)
    }
}

impl TemplateError {
    /// Where.
    pub fn place(&self) -> &Place {
        match self {
            TemplateError::Parse { place, .. } | TemplateError::Execute { place, .. } => place,
        }
    }
}
