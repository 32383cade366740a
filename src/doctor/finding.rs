//! What a look has found, and how it is shown.

use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, found: found.into(), hint: None }
    }

    pub fn skipped(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Skipped, found: why.into(), hint: None }
    }

    pub fn warning(check: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Warning, found: found.into(), hint: Some(hint.into()) }
    }

    /// A hint within the text goes before the general one.
    pub fn failed(check: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Self {
        let found: String = found.into();
        let (found, hint) = match found.split_once("\n  hint: ") {
            Some((found, hint)) => (found.to_owned(), hint.to_owned()),
            None => (found, hint.into()),
        };
        Self { check: check.into(), status: Status::Failed, found, hint: Some(hint) }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Further lines stand below the first.
        let indented = |text: &str| text.trim_end().replace('\n', "\n         ");
        write!(f, "{:<8} {}: {}", self.status, self.check, indented(&self.found))?;
        match &self.hint {
            Some(hint) => write!(f, "\n         hint: {}", indented(hint)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_hint() {
        assert_eq!(Finding::ok("store", "a folder").to_string(), "ok       store: a folder");
        let failed = Finding::failed("packs", "a mistake\n  hint: this one", "another");
        assert_eq!(failed.to_string(), "failed   packs: a mistake\n         hint: this one");
        let json = serde_json::to_string(&Finding::skipped("kafka", "none")).unwrap();
        assert_eq!(json, r#"{"check":"kafka","status":"skipped","found":"none"}"#);
    }
}
