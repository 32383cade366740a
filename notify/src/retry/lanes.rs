//! Which messages may be sent now. One lane per order key: only its first message is ever on its way.
//!
//! Holds what is needed to choose, not the messages themselves; its bound is the outbox's `messages_max`.

use super::{Admit, Circuit, CircuitChange, DeliverySettings, Hold, Next};
use crate::attempt::Outcome;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Heads of lanes that are looked at to choose a probe.
const PROBE_CANDIDATES_MAX: usize = 256;

/// What has to be known of a waiting message to choose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the outbox: the order of enqueueing.
    pub seq: u64,
    /// Its lane.
    pub order_key: Arc<str>,
    /// Whose limits and circuit count.
    pub integration: Arc<str>,
    /// When it was made.
    pub created_ms: i64,
    /// From here on (inclusive) it is given up.
    pub give_up_ms: i64,
    /// Not to be sent before.
    pub due_ms: i64,
    /// Who said so.
    pub hold: Hold,
    /// Attempts so far.
    pub attempts: u32,
    /// Those that ended in [`Outcome::Misconfigured`].
    pub misconfigured: u32,
}

/// What is to be done with a message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Send it, and tell [`Lanes::finish`].
    Send {
        /// The message.
        entry: Entry,
        /// Sent to see whether the receiver is back.
        probe: bool,
    },
    /// It is too old. It is no longer in its lane.
    Expired(Entry),
}

/// How a message that was due has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The message.
    pub entry: Entry,
    /// It was sent as a probe.
    pub probe: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Earliest next message that the receiver asked for.
    pub retry_at_ms: Option<i64>,
    /// What follows.
    pub next: Next,
}

#[derive(Debug, Default)]
struct Sink {
    circuit: Circuit,
    /// Heads of lanes that are not on their way: (due, seq).
    heads: BTreeSet<(i64, u64)>,
    in_flight: usize,
    waiting: usize,
}

/// All waiting messages, in lanes.
#[derive(Debug)]
pub struct Lanes {
    lanes: HashMap<Arc<str>, VecDeque<Entry>>,
    sinks: BTreeMap<Arc<str>, Sink>,
    /// The lane of each head that is not on its way.
    head_lanes: HashMap<u64, Arc<str>>,
    /// The same heads by the time at which they are given up.
    give_up: BTreeSet<(i64, u64)>,
    /// All waiting messages by when they were made.
    created: BTreeSet<(i64, u64)>,
    in_flight: usize,
    in_flight_max: usize,
    /// Where to begin next time, so that no integration is always served last.
    turn: usize,
}

impl Lanes {
    /// Empty lanes; at most `in_flight_max` messages of all integrations together are on their way at a time.
    pub fn new(in_flight_max: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            sinks: BTreeMap::new(),
            head_lanes: HashMap::new(),
            give_up: BTreeSet::new(),
            created: BTreeSet::new(),
            in_flight: 0,
            in_flight_max: in_flight_max.max(1),
            turn: 0,
        }
    }

    /// Adds a message at the end of its lane.
    pub fn insert(&mut self, entry: Entry) {
        self.created.insert((entry.created_ms, entry.seq));
        self.sinks.entry(entry.integration.clone()).or_default().waiting += 1;
        let lane = self.lanes.entry(entry.order_key.clone()).or_default();
        lane.push_back(entry);
        if let [head] = lane.make_contiguous() {
            let head = head.clone();
            self.offer(&head);
        }
    }

    /// Messages that are not yet delivered or given up, those on their way included.
    pub fn waiting(&self) -> usize {
        self.created.len()
    }

    /// Messages on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When the oldest waiting message was made.
    pub fn oldest_created_ms(&self) -> Option<i64> {
        self.created.first().map(|(created_ms, _)| *created_ms)
    }

    /// Waiting messages and whether the circuit is open, by integration.
    pub fn integrations(&self) -> impl Iterator<Item = (&str, usize, bool)> {
        self.sinks.iter().map(|(name, sink)| (&**name, sink.waiting, sink.circuit.is_open()))
    }

    /// Takes what may be sent now and what is too old.
    pub fn take_due(&mut self, now_ms: i64, settings: &dyn Fn(&str) -> DeliverySettings) -> Vec<Due> {
        let mut due = Vec::new();
        while let Some(&(give_up_ms, seq)) = self.give_up.first()
            && give_up_ms <= now_ms
        {
            let Some(entry) = self.withdraw(seq) else { break };
            self.remove_head(&entry);
            due.push(Due::Expired(entry));
        }
        let names: Vec<Arc<str>> = self.sinks.keys().cloned().collect();
        self.turn = self.turn.wrapping_add(1);
        for i in 0..names.len() {
            let name = &names[(i + self.turn) % names.len()];
            self.take_due_of(name, now_ms, settings(name).concurrency_max.max(1), &mut due);
        }
        due
    }

    fn take_due_of(&mut self, name: &Arc<str>, now_ms: i64, concurrency_max: usize, due: &mut Vec<Due>) {
        while self.in_flight < self.in_flight_max {
            let Some(sink) = self.sinks.get_mut(name).filter(|s| s.in_flight < concurrency_max) else { return };
            let (seq, probe) = match sink.circuit.admit(now_ms) {
                Admit::Any => (sink.heads.first().filter(|(due_ms, _)| *due_ms <= now_ms).map(|(_, seq)| *seq), false),
                Admit::Probe => (probe_candidate(sink, &self.head_lanes, &self.lanes, now_ms), true),
                Admit::NotBefore(_) | Admit::AfterProbe => return,
            };
            let Some(seq) = seq else { return };
            if probe {
                sink.circuit.probe_started();
            }
            sink.in_flight += 1;
            self.in_flight += 1;
            let Some(entry) = self.withdraw(seq) else { return };
            due.push(Due::Send { entry, probe });
        }
    }

    /// Takes how a message ended: the next of its lane moves up, or it waits again.
    pub fn finish(
        &mut self,
        finished: &Finished,
        settings: &DeliverySettings,
        now_ms: i64,
        seed: u64,
    ) -> CircuitChange {
        let Finished { entry, probe, outcome, retry_at_ms, next } = finished;
        self.in_flight = self.in_flight.saturating_sub(1);
        let mut change = CircuitChange::None;
        if let Some(sink) = self.sinks.get_mut(&entry.integration) {
            sink.in_flight = sink.in_flight.saturating_sub(1);
            // Never longer than a message of ours would wait for it.
            let longest_ms = now_ms.saturating_add(crate::clock::millis(settings.retry_after_max));
            let pause_ms = retry_at_ms.filter(|at| *at > now_ms).map(|at| at.min(longest_ms));
            change = sink.circuit.record(settings, *outcome, *probe, pause_ms, (now_ms, seed));
        }
        match next {
            Next::Delivered | Next::GiveUp(_) => self.remove_head(entry),
            Next::RetryAt { at_ms, hold } => {
                if let Some(head) = self.lanes.get_mut(&entry.order_key).and_then(VecDeque::front_mut) {
                    *head = Entry { due_ms: *at_ms, hold: *hold, ..entry.clone() };
                    let head = head.clone();
                    self.offer(&head);
                }
            }
        }
        if change == CircuitChange::Closed {
            self.release(&entry.integration, now_ms);
        }
        change
    }

    /// The receiver is back: what waited only because it was away may go.
    fn release(&mut self, integration: &Arc<str>, now_ms: i64) {
        let Some(sink) = self.sinks.get_mut(integration) else { return };
        let later: Vec<(i64, u64)> = sink.heads.range((now_ms.saturating_add(1), 0)..).copied().collect();
        for (due_ms, seq) in later {
            let head = self.head_lanes.get(&seq).and_then(|lane| self.lanes.get_mut(lane)).and_then(|l| l.front_mut());
            if let Some(head) = head.filter(|head| head.hold == Hold::Backoff) {
                head.due_ms = now_ms;
                sink.heads.remove(&(due_ms, seq));
                sink.heads.insert((now_ms, seq));
            }
        }
    }

    /// When [`take_due`](Self::take_due) will next have something, if nothing ends or is added before; always
    /// later than the `now_ms` of the last call. `None`: not before something ends or is added.
    pub fn next_wake_ms(&self, now_ms: i64, settings: &dyn Fn(&str) -> DeliverySettings) -> Option<i64> {
        let expiry = self.give_up.first().map(|(give_up_ms, _)| *give_up_ms);
        if self.in_flight >= self.in_flight_max {
            return expiry;
        }
        let sinks = self.sinks.iter().filter_map(|(name, sink)| {
            let (first_ms, _) = *sink.heads.first()?;
            if sink.in_flight >= settings(name).concurrency_max.max(1) {
                return None;
            }
            match sink.circuit.admit(now_ms) {
                Admit::Any => Some(first_ms),
                // A probe found no candidate: all wait because they were told to.
                Admit::Probe => Some(first_ms.max(now_ms + 1)),
                Admit::NotBefore(until_ms) if sink.circuit.is_open() => Some(until_ms),
                Admit::NotBefore(until_ms) => Some(first_ms.max(until_ms)),
                Admit::AfterProbe => None,
            }
        });
        sinks.chain(expiry).min()
    }

    /// Makes the head of a lane available to `take_due`.
    fn offer(&mut self, head: &Entry) {
        if let Some(sink) = self.sinks.get_mut(&head.integration) {
            sink.heads.insert((head.due_ms, head.seq));
        }
        self.give_up.insert((head.give_up_ms, head.seq));
        self.head_lanes.insert(head.seq, head.order_key.clone());
    }

    /// Takes the head of a lane out of what `take_due` looks at; it stays at the head of its lane.
    fn withdraw(&mut self, seq: u64) -> Option<Entry> {
        let lane = self.head_lanes.remove(&seq)?;
        let head = self.lanes.get(&lane)?.front()?.clone();
        self.give_up.remove(&(head.give_up_ms, seq));
        if let Some(sink) = self.sinks.get_mut(&head.integration) {
            sink.heads.remove(&(head.due_ms, seq));
        }
        Some(head)
    }

    /// Takes the head of a lane out for good; the next one moves up.
    fn remove_head(&mut self, entry: &Entry) {
        self.created.remove(&(entry.created_ms, entry.seq));
        if let Some(sink) = self.sinks.get_mut(&entry.integration) {
            sink.waiting = sink.waiting.saturating_sub(1);
        }
        let Some(lane) = self.lanes.get_mut(&entry.order_key) else { return };
        lane.pop_front();
        match lane.front().cloned() {
            Some(head) => self.offer(&head),
            None => {
                self.lanes.remove(&entry.order_key);
            }
        }
    }
}

/// The message to try a receiver with that is down: the one that was tried least, so that a message which
/// always fails does not keep the receiver closed to all others.
fn probe_candidate(
    sink: &Sink,
    head_lanes: &HashMap<u64, Arc<str>>,
    lanes: &HashMap<Arc<str>, VecDeque<Entry>>,
    now_ms: i64,
) -> Option<u64> {
    let heads = sink.heads.iter().take(PROBE_CANDIDATES_MAX);
    let heads = heads.filter_map(|(_, seq)| lanes.get(head_lanes.get(seq)?)?.front());
    let may_go = heads.filter(|head| head.hold == Hold::Backoff || head.due_ms <= now_ms);
    may_go.min_by_key(|head| (head.attempts, head.seq)).map(|head| head.seq)
}

#[cfg(test)]
mod tests;
