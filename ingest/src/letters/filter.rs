//! Which letters are meant.

use super::LetterId;
use datafusion::functions::expr_fn::ends_with;
use datafusion::logical_expr::{Expr, ident, lit};
use datafusion::scalar::ScalarValue;
use std::collections::BTreeSet;

/// All conditions hold; an empty filter means every letter. Times are microseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// One of these reasons; empty: any.
    pub reasons: Vec<String>,
    /// Records of this topic.
    pub topic: Option<String>,
    /// Read at or after this time.
    pub since_us: Option<i64>,
    /// Events of this type, or of one that ends with a dot and this.
    pub event_type: Option<String>,
    /// `rejected` or `kept_as_other`.
    pub disposition: Option<&'static str>,
    /// One of these letters.
    pub ids: Option<BTreeSet<LetterId>>,
    /// Records after this offset.
    pub after_offset: Option<i64>,
}

impl LetterFilter {
    /// Nothing but these letters.
    pub fn of_ids(ids: impl IntoIterator<Item = LetterId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::default() }
    }

    /// What the table is asked for. With [`Self::ids`] it may give more: see [`Self::has`].
    pub(super) fn condition(&self) -> Option<Expr> {
        let mut all: Vec<Expr> = Vec::new();
        let texts = |values: &[String]| values.iter().map(|v| lit(v.as_str())).collect::<Vec<_>>();
        if !self.reasons.is_empty() {
            all.push(ident("reason").in_list(texts(&self.reasons), false));
        }
        all.extend(self.topic.as_deref().map(|topic| ident("topic").eq(lit(topic))));
        all.extend(self.since_us.map(|us| {
            let since = ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
            ident("arrival_time").gt_eq(lit(since))
        }));
        all.extend(self.event_type.as_deref().map(|name| {
            // A reverse-DNS prefix may stand before the type, as the decoder allows it.
            let suffix = ends_with(ident("event_type"), lit(format!(".{name}")));
            ident("event_type").eq(lit(name)).or(suffix)
        }));
        all.extend(self.disposition.map(|disposition| ident("disposition").eq(lit(disposition))));
        all.extend(self.after_offset.map(|offset| ident("offset").gt(lit(offset))));
        if let Some(ids) = &self.ids {
            let topics: BTreeSet<&str> = ids.iter().map(|id| &*id.topic).collect();
            all.push(ident("topic").in_list(topics.into_iter().map(lit).collect(), false));
            let (first, last) = (ids.iter().map(|id| id.offset).min(), ids.iter().map(|id| id.offset).max());
            all.extend(first.zip(last).map(|(first, last)| ident("offset").between(lit(first), lit(last))));
        }
        all.into_iter().reduce(Expr::and)
    }

    /// Is it one of the letters that are named, if any are?
    pub(super) fn has(&self, id: &LetterId) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(id))
    }
}
