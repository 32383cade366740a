//! Evaluations of Prometheus' scripts that do not pass, each with its reason.

/// One evaluation that does not pass.
pub struct NotPassed {
    pub file: &'static str,
    /// Line of the `eval`, counted from 1.
    pub line: usize,
    pub delayed_name_removal: bool,
    pub reason: &'static str,
}

pub const NOT_PASSED: &[NotPassed] = &[];
