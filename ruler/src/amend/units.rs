//! What is looked at together: an alerting rule with everything that it reads of what other rules write.

use crate::book::GroupBook;
use crate::data::{Data, metrics_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use tidewatch_alerting::backtest::back_ms;
use tidewatch_alerting::rules::{AlertingRule, Group, Rule, group};
use tidewatch_alerting::state::series::{ALERTS, ALERTS_FOR_STATE};
use xxhash_rust::xxh3::xxh3_64;

/// The alerting rules of one name in the groups of one name: the ledger does not tell these apart.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The groups' name.
    pub group: String,
    /// The rules' name.
    pub rule: String,
    /// These rules and what they read of others, group by group, in order.
    pub groups: Vec<Group>,
    /// Which of the alerting rules in [`Self::groups`] have this name, counted over all of them.
    pub own: BTreeSet<usize>,
    /// Places of the books, and of the rules in them, that must be evaluated for the unit to be watched; only in groups
    /// with a rule of its own.
    pub watched: BTreeMap<usize, Vec<usize>>,
    /// Place of the first book with a rule of its own.
    pub place: usize,
    /// Metrics that they read in the end, besides those that they write; `None`: of any name.
    pub metrics: Option<BTreeSet<String>>,
    /// Between two evaluations, in milliseconds.
    pub interval_ms: i64,
    /// How far back a number can matter to an evaluation, in milliseconds.
    pub back_ms: i64,
    /// How long before an instant the rules that are read must be run to have written what is read, in milliseconds.
    pub warm_ms: i64,
    /// Longest `for`, in milliseconds.
    pub for_ms: i64,
    /// Longest `keep_firing_for`, in milliseconds.
    pub keep_ms: i64,
    /// Width of the widest windows that they read, in milliseconds (0: of none): a look back sees these only when they are
    /// closed.
    pub window_ms: i64,
    /// Differences in time up to this are none, in milliseconds.
    pub tolerance_ms: i64,
    /// Hash of all that it means.
    pub meaning: u64,
}

/// All units of these books. `data` knows the windows of metrics.
pub fn units(books: &[GroupBook], groups: &group::Settings, data: &dyn Data) -> Vec<Unit> {
    let rules = Rules::new(books, data.options().lookback_ms);
    let mut names: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (at, (place, rule)) in rules.all.iter().enumerate() {
        if let Rule::Alerting(rule) = &books[*place].group.rules[*rule] {
            let key = (books[*place].group.name.to_string(), rule.name.to_string());
            names.entry(key).or_default().push(at);
        }
    }
    names.into_iter().map(|((group, rule), own)| rules.unit(group, rule, &own, groups, data)).collect()
}

/// All rules, numbered over all books.
struct Rules<'b> {
    books: &'b [GroupBook],
    /// Book and place in it.
    all: Vec<(usize, usize)>,
    /// What each reads, by name.
    reads: Vec<Option<BTreeSet<String>>>,
    /// How far back each reads, in milliseconds.
    back_ms: Vec<i64>,
}

impl<'b> Rules<'b> {
    fn new(books: &'b [GroupBook], lookback_ms: i64) -> Self {
        let places =
            books.iter().enumerate().flat_map(|(at, book)| (0..book.group.rules.len()).map(move |rule| (at, rule)));
        let all: Vec<(usize, usize)> = places.collect();
        let query = |(book, rule): &(usize, usize)| books[*book].group.rules[*rule].query();
        Self {
            reads: all.iter().map(|at| metrics_of([query(at)])).collect(),
            back_ms: all.iter().map(|at| back_ms(query(at)).saturating_add(lookback_ms)).collect(),
            books,
            all,
        }
    }

    fn rule(&self, at: usize) -> &'b Rule {
        let (book, rule) = self.all[at];
        &self.books[book].group.rules[rule]
    }

    /// Whether one reads what another writes.
    fn reads(&self, reader: usize, writer: usize) -> bool {
        let Some(names) = &self.reads[reader] else { return true };
        match self.rule(writer) {
            Rule::Recording(rule) => names.contains(&*rule.name),
            Rule::Alerting(_) => names.contains(ALERTS) || names.contains(ALERTS_FOR_STATE),
        }
    }

    fn unit(&self, group: String, rule: String, own: &[usize], groups: &group::Settings, data: &dyn Data) -> Unit {
        // Level by level: what they read, what that reads, …; each level reaches back from the one before.
        let mut included: BTreeSet<usize> = own.iter().copied().collect();
        let mut level: Vec<usize> = own.to_vec();
        let mut depths_ms = Vec::new();
        while !level.is_empty() {
            depths_ms.push(level.iter().map(|at| self.back_ms[*at]).max().unwrap_or(0));
            let written = |writer: &usize| level.iter().any(|reader| self.reads(*reader, *writer));
            let next: Vec<usize> = (0..self.all.len()).filter(|at| !included.contains(at)).filter(written).collect();
            included.extend(&next);
            level = next;
        }
        let own_rules = || own.iter().filter_map(|at| alerting(self.rule(*at)));
        let own_books: BTreeSet<usize> = own.iter().map(|at| self.all[*at].0).collect();
        let (mut reduced, mut positions, mut alerts, mut meaning) = (Vec::new(), BTreeSet::new(), 0, String::new());
        let mut watched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, book) in self.books.iter().enumerate() {
            let mine: Vec<usize> = included.iter().copied().filter(|at| self.all[*at].0 == place).collect();
            if mine.is_empty() {
                continue;
            }
            let (limit, offset_ms) = (book.group.limit, book.group.query_offset_ms);
            let _ = writeln!(meaning, "{} {limit} {offset_ms:?} {}", book.group.name, book.interval_ms);
            for at in &mine {
                describe(self.rule(*at), &mut meaning);
                if own.contains(at) {
                    positions.insert(alerts);
                }
                alerts += usize::from(alerting(self.rule(*at)).is_some());
                if own_books.contains(&place) {
                    watched.entry(place).or_default().push(self.all[*at].1);
                }
            }
            let rules = mine.iter().map(|at| self.rule(*at).clone()).collect();
            reduced.push(Group { rules, ..(*book.group).clone() });
        }
        let interval_ms = own_books.iter().map(|place| self.books[*place].interval_ms).max().unwrap_or(1);
        let offset_ms = own_books.iter().map(|place| self.books[*place].group.query_offset_ms);
        let offset_ms = offset_ms.map(|ms| ms.unwrap_or(groups.query_offset_ms)).max().unwrap_or(0);
        let sum = |depths: &[i64]| depths.iter().fold(0_i64, |sum, ms| sum.saturating_add(*ms)).min(i64::MAX / 4);
        let written: BTreeSet<&str> = included.iter().map(|at| &**self.rule(*at).name()).collect();
        let reads = included.iter().map(|at| self.reads[*at].as_ref()).collect::<Option<Vec<_>>>();
        let metrics: Option<BTreeSet<String>> = reads.map(|sets| {
            let names = sets.into_iter().flatten().filter(|name| !written.contains(name.as_str()));
            names.filter(|name| ![ALERTS, ALERTS_FOR_STATE].contains(&name.as_str())).cloned().collect()
        });
        let window_ms = data.window_ms(metrics.as_ref()).max(0);
        Unit {
            group,
            rule,
            groups: reduced,
            own: positions,
            place: own_books.first().copied().unwrap_or(0),
            watched,
            metrics,
            interval_ms,
            back_ms: sum(&depths_ms).saturating_add(offset_ms),
            // What is stored needs no running: only what rules write does.
            warm_ms: depths_ms.split_last().map_or(0, |(_, written)| sum(written)),
            for_ms: own_rules().map(|rule| rule.for_ms).max().unwrap_or(0),
            keep_ms: own_rules().map(|rule| rule.keep_firing_for_ms).max().unwrap_or(0),
            window_ms,
            tolerance_ms: tolerance_ms(interval_ms, window_ms, offset_ms),
            meaning: xxh3_64(meaning.as_bytes()),
        }
    }
}

/// A look back sees closed windows only, and at other instants.
fn tolerance_ms(interval_ms: i64, window_ms: i64, query_offset_ms: i64) -> i64 {
    interval_ms.saturating_add(window_ms).saturating_add(query_offset_ms.max(0))
}

fn alerting(rule: &Rule) -> Option<&AlertingRule> {
    match rule {
        Rule::Alerting(rule) => Some(rule),
        Rule::Recording(_) => None,
    }
}

/// All that decides when a rule fires, and whom it names.
fn describe(rule: &Rule, into: &mut String) {
    let _ = write!(into, "{} {}", rule.name(), rule.query().text());
    let _ = match rule {
        Rule::Recording(rule) => writeln!(into, " {:?}", rule.labels),
        Rule::Alerting(rule) => {
            for (name, template) in &rule.labels {
                let _ = write!(into, " {name}={:?}", template.text());
            }
            let thresholds = rule.level.as_ref().map(|level| (level.crossing, &level.thresholds));
            let (for_ms, keep_ms) = (rule.for_ms, rule.keep_firing_for_ms);
            writeln!(into, " {for_ms} {keep_ms} {:?} {thresholds:?}", rule.on_incomplete)
        }
    };
}
