//! Label sets: sorted, shared, hashed once.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3Default;

/// The label that holds the name of the metric.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds the upper bound of a classic bucket, inclusive.
pub const BUCKET: &str = "le";

/// One label. Cloning shares both strings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Never empty, not checked.
    pub name: Arc<str>,
    /// Never empty: an empty value means that the label is not there.
    pub value: Arc<str>,
}

/// A label set, sorted by name, without empty values. Cloning is a counter's increment; equality compares
/// the hash first.
#[derive(Clone)]
pub struct Labels(Arc<Inner>);

struct Inner {
    hash: u64,
    labels: Box<[Label]>,
}

impl Labels {
    /// The label set of `pairs`, in any order. Empty values are left out; of a repeated name the last counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Labels {
        let mut labels: Vec<Label> =
            pairs.into_iter().map(|(name, value)| Label { name: name.into(), value: value.into() }).collect();
        labels.sort_by(|left, right| left.name.cmp(&right.name));
        labels.reverse();
        labels.dedup_by(|later, earlier| later.name == earlier.name);
        labels.reverse();
        Labels::from_sorted(labels)
    }

    /// The label set of `labels`, which must be sorted by name and have each name once.
    pub fn from_sorted(mut labels: Vec<Label>) -> Labels {
        debug_assert!(labels.windows(2).all(|pair| pair[0].name < pair[1].name));
        labels.retain(|label| !label.value.is_empty());
        Labels(Arc::new(Inner { hash: hash_of(labels.iter()), labels: labels.into_boxed_slice() }))
    }

    /// No labels.
    pub fn empty() -> Labels {
        Labels::from_sorted(Vec::new())
    }

    /// The labels in order of name.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.labels.iter()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.labels.is_empty()
    }

    /// The value of `name`, empty when there is no such label.
    pub fn get(&self, name: &str) -> &str {
        match self.0.labels.binary_search_by(|label| (*label.name).cmp(name)) {
            Ok(at) => &self.0.labels[at].value,
            Err(_) => "",
        }
    }

    /// The name of the metric, empty when there is none.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// The hash that equality looks at first; the same for equal sets within one process.
    pub fn hash64(&self) -> u64 {
        self.0.hash
    }

    /// These labels with `name` set to `value`; an empty value removes it.
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let mut labels = self.0.labels.to_vec();
        match labels.binary_search_by(|label| (*label.name).cmp(name)) {
            Ok(at) => labels[at].value = value.into(),
            Err(at) => labels.insert(at, Label { name: name.into(), value: value.into() }),
        }
        Labels::from_sorted(labels)
    }

    /// These labels without the name of the metric.
    pub fn without_name(&self) -> Labels {
        if self.metric_name().is_empty() { self.clone() } else { self.filter(|name| name != METRIC_NAME) }
    }

    /// The labels whose name `keep` accepts.
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        Labels::from_sorted(self.iter().filter(|label| keep(&label.name)).cloned().collect())
    }

    /// A hash of the labels whose name `keep` accepts, equal to that of [`Labels::filter`]'s result.
    pub fn hash_filtered(&self, mut keep: impl FnMut(&str) -> bool) -> u64 {
        hash_of(self.iter().filter(|label| keep(&label.name)))
    }
}

fn hash_of<'a>(labels: impl Iterator<Item = &'a Label>) -> u64 {
    let mut hasher = Xxh3Default::new();
    for label in labels {
        hasher.update(label.name.as_bytes());
        // A byte that UTF-8 never contains keeps "ab"+"c" and "a"+"bc" apart.
        hasher.update(&[0xff]);
        hasher.update(label.value.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

impl PartialEq for Labels {
    fn eq(&self, other: &Labels) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.labels == other.0.labels
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Labels) -> Ordering {
        self.0.labels.cmp(&other.0.labels)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `{__name__="up", job="x"}`, as Prometheus prints a label set in messages.
impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (at, label) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let name = if is_plain_name(&label.name) { label.name.to_string() } else { quote(&label.name) };
            write!(formatter, "{separator}{name}={}", quote(&label.value))?;
        }
        formatter.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Whether `name` can stand in a query as a label name without quotes.
pub fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `name` can stand in a query as the name of a metric without quotes.
pub fn is_plain_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_' || first == b':')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

/// `text` in double quotes with the escapes of Go's `%q`.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
