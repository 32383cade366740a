//! What a redrive says when it is done.

use super::pretty::plain;
use chrono::{DateTime, SecondsFormat};
use std::collections::BTreeMap;
use std::fmt::Write;
use tidewatch_ingest::letters::{Fate, LetterId, StoredLetter};

/// Letters that are named one by one; more are only counted.
const NAMED_MAX: usize = 20;

/// Counts fates and remembers what is worth naming.
#[derive(Debug, Default)]
pub struct Report {
    pub selected: usize,
    /// Fit to be put back.
    pub ready: usize,
    pub journaled: usize,
    pub already: usize,
    /// Letters of events that another record was counted for.
    pub copies: usize,
    pub notices: usize,
    pub cut_off: usize,
    /// Would be refused again, by reason.
    pub held_back: BTreeMap<&'static str, usize>,
    pub ignored: usize,
    /// Refused again after all, by reason.
    pub refused_again: BTreeMap<String, usize>,
    own_refused: usize,
    /// Rows of earlier redrives that some table did not have.
    pub caught_up: i64,
    /// Lines of the file of repairs without a payload.
    pub not_repaired: usize,
    named: Vec<String>,
    unnamed: usize,
    names_ready: bool,
}

impl Report {
    /// `names_ready`: letters that would count are named as well.
    pub fn new(names_ready: bool, not_repaired: usize) -> Self {
        Self { names_ready, not_repaired, ..Self::default() }
    }

    /// Notes what becomes of a letter.
    pub fn note(&mut self, id: &LetterId, fate: &Fate) {
        self.selected += 1;
        let said = match fate {
            Fate::Counts { event_time_us, sources, .. } => {
                self.ready += 1;
                let time = DateTime::from_timestamp_micros(*event_time_us);
                let time = time.map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default();
                self.names_ready.then(|| format!("counts as {} of {time}", sources.join(", ")))
            }
            Fate::AlreadyRedriven => {
                self.already += 1;
                None
            }
            Fate::Copy => {
                self.copies += 1;
                Some("is a copy: its event was counted from another record".to_owned())
            }
            Fate::CountsAlready => {
                self.notices += 1;
                Some("is a notice: its record counts already".to_owned())
            }
            Fate::CutOff { kept, payload_bytes } => {
                self.cut_off += 1;
                Some(format!("only {kept} of its {payload_bytes} bytes were kept; it needs a repair with all of them"))
            }
            Fate::Refused(reject) => {
                *self.held_back.entry(reject.reason.as_str()).or_default() += 1;
                Some(format!("would be refused: {reject}"))
            }
            Fate::Ignored { declared } => {
                self.ignored += 1;
                let why = if *declared {
                    "no rollup reads events of its type"
                } else {
                    "its type is not declared for its topic"
                };
                Some(format!("would not count: {why}"))
            }
        };
        self.name(id, said);
    }

    /// Notes a letter that the worker refused although it had looked well; `is_own` when it was put back by
    /// this redrive and not by an earlier one.
    pub fn refused_again(&mut self, letter: &StoredLetter, is_own: bool) {
        *self.refused_again.entry(letter.reason.clone()).or_default() += 1;
        self.own_refused += usize::from(is_own);
        self.name(&letter.id, Some(format!("refused again: {}: {}", letter.reason, letter.detail)));
    }

    fn name(&mut self, id: &LetterId, said: Option<String>) {
        match said {
            Some(said) if self.named.len() < NAMED_MAX => self.named.push(plain(&format!("{id}  {said}"))),
            Some(_) => self.unnamed += 1,
            None => {}
        }
    }

    /// The letters worth naming, then the sums.
    pub fn text(&self, is_dry_run: bool) -> String {
        let mut text = self.named.iter().fold(String::new(), |text, line| text + line + "\n");
        if self.unnamed > 0 {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "… and {} more", self.unnamed);
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let refused: usize = self.refused_again.values().sum();
        let held_back: usize = self.held_back.values().sum();
        let mut line = |name: &str, count: usize, note: &str| {
            let gap = if note.is_empty() { "" } else { "  " };
            let _ = writeln!(text, "{name:<18}{count:>8}{gap}{note}");
        };
        let optional = |count: usize| count > 0;
        line("selected", self.selected, "");
        if is_dry_run {
            line("would count", self.ready, "nothing was changed");
        } else {
            line("journaled", self.journaled, "");
            line("counted", self.journaled.saturating_sub(self.own_refused), "in their original windows");
        }
        if optional(refused) {
            line(
                "refused again",
                refused,
                &format!("new letters of redrive:journal: {}", reasons(&self.refused_again)),
            );
        }
        if optional(self.already) {
            line("already redriven", self.already, "each letter counts once");
        }
        if optional(self.copies) {
            line("copies", self.copies, "their events were counted from other records");
        }
        if optional(held_back) {
            let note =
                format!("would be refused: {}; repair them with --export and --repaired", reasons(&self.held_back));
            line("held back", held_back, &note);
        }
        if optional(self.cut_off) {
            line("cut off", self.cut_off, "not all bytes were kept; a repair must bring them");
        }
        if optional(self.ignored) {
            line("not counted", self.ignored, "no rollup reads events of their type");
        }
        if optional(self.notices) {
            line("notices", self.notices, "their records count already");
        }
        if optional(self.not_repaired) {
            line("not repaired", self.not_repaired, "lines whose payload is still null");
        }
        if self.caught_up > 0 {
            let note = if is_dry_run {
                "of earlier redrives are not in every table yet"
            } else {
                "of earlier redrives, into tables that did not have them"
            };
            line("caught up", usize::try_from(self.caught_up).unwrap_or_default(), note);
        }
        text
    }
}

fn reasons<R: AsRef<str>>(counts: &BTreeMap<R, usize>) -> String {
    counts.iter().map(|(reason, n)| format!("{} {n}", reason.as_ref())).collect::<Vec<_>>().join(", ")
}
