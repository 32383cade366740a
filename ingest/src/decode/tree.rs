//! The `data` object: known fields go to their columns, the rest is skipped unread.

use super::DecodeLimits;
use super::columns::Column;
use super::envelope::{InBody, first_line};
use super::plain::{Raw, Unread, read_value};
use super::reject::{Notice, Reason, Reject};
use super::value::ValueSeed;
use crate::personal::{Personal, PersonalCounts};
use hashbrown::HashMap;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use tidewatch_engine::source::{FieldDef, PersonalAction};

/// Wanted fields by name, nested for dotted names.
#[derive(Debug, Default)]
pub(super) struct FieldTree {
    nodes: Nodes,
    required: Vec<(String, usize)>,
    /// How many fields may stand in for the time.
    fallbacks: usize,
    elements: Option<Elements>,
}

/// Nodes by name. Most members of an event are not wanted: those are told without hashing them.
#[derive(Debug, Default)]
struct Nodes {
    by_name: HashMap<String, Node>,
    /// The [`mark`] of each name.
    marks: u64,
}

impl Nodes {
    #[inline]
    fn get(&self, name: &str) -> Option<&Node> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.by_name.get(name)
    }

    fn entry(&mut self, name: &str) -> &mut Node {
        self.marks |= mark(name);
        self.by_name.entry(name.to_owned()).or_default()
    }

    fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// One bit of 64, by the length and two letters of a name.
#[inline]
fn mark(name: &str) -> u64 {
    let (first, last) = match name.as_bytes() {
        [only] => (*only, *only),
        [first, .., last] => (*first, *last),
        [] => (0, 0),
    };
    1 << ((name.len() + 7 * usize::from(first) + 11 * usize::from(last)) % 64)
}

#[derive(Debug, Default)]
pub(super) struct Node {
    pub column: Option<(usize, FieldDef)>,
    pub time_fallback: Option<usize>,
    children: Nodes,
    /// The exploded array: its children are those of each element.
    is_array: bool,
    /// Dotted name, for messages.
    pub path: String,
}

/// What is read from each element of the exploded array.
#[derive(Debug)]
struct Elements {
    /// Place of the array.
    path: String,
    columns: Vec<usize>,
    required: Vec<(String, usize)>,
}

/// What reading found besides the columns.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// One, or the number of elements of the exploded array.
    pub rows: usize,
    pub time_fallback: Option<i64>,
    pub notices: Vec<Notice>,
    pub personal: PersonalCounts,
}

/// What holds for every value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub limits: &'r DecodeLimits,
    pub personal: &'r Personal,
    /// The first source that reads the event counts what is personal in it.
    pub is_first: bool,
}

impl FieldTree {
    /// A tree for a source that is one row per element of the array at `explode`.
    pub fn new(explode: Option<&str>) -> Self {
        let mut tree = Self::default();
        if let Some(path) = explode {
            tree.node(path).is_array = true;
            tree.elements = Some(Elements { path: path.to_owned(), columns: Vec::new(), required: Vec::new() });
        }
        tree
    }

    fn node(&mut self, path: &str) -> &mut Node {
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let mut node = self.nodes.entry(first);
        for part in parts {
            node = node.children.entry(part);
        }
        node.path = path.to_owned();
        node
    }

    /// Reads the field at `path` into a column; `of_element` when it lies below the exploded array.
    pub fn insert(&mut self, path: &str, column: usize, def: FieldDef, of_element: bool) {
        let elements = self.elements.as_mut().filter(|_| of_element);
        let required = match elements {
            Some(elements) => {
                elements.columns.push(column);
                &mut elements.required
            }
            None => &mut self.required,
        };
        if def.required {
            required.push((path.to_owned(), column));
        }
        self.node(path).column = Some((column, def));
    }

    pub fn insert_time_fallback(&mut self, path: &str, priority: usize) {
        self.node(path).time_fallback = Some(priority);
        self.fallbacks = self.fallbacks.max(priority + 1);
    }

    /// Reads the JSON of `data` into `columns`, from row number `row` of each. Columns of elements are
    /// complete afterwards, the others have a value in that row alone, or none.
    pub fn read(
        &self,
        data: Data<'_>,
        columns: &mut [Column],
        row: usize,
        rules: Rules<'_>,
    ) -> Result<Found, Box<Reject>> {
        let mut state = self.state(columns, row, rules);
        let is_read = data.members.is_some_and(|known| read_known(known, &self.nodes, &mut state).is_ok());
        if !is_read {
            state.columns.iter_mut().for_each(|column| column.truncate(row));
            state = self.state(columns, row, rules);
            self.read_json(data.json, &mut state)?;
        }
        let mut found = state.found;
        found.time_fallback = state.fallbacks.into_iter().flatten().next();
        match self.required.iter().find(|&&(_, column)| state.columns[column].len() <= row) {
            Some((path, _)) => Err(Reject::missing(&format!("data.{path}"))),
            None => Ok(found),
        }
    }

    fn state<'c>(&'c self, columns: &'c mut [Column], row: usize, rules: Rules<'c>) -> State<'c> {
        State {
            columns,
            row,
            limits: rules.limits,
            personal: rules.personal,
            is_first: rules.is_first,
            elements: self.elements.as_ref(),
            element: None,
            found: Found { rows: usize::from(self.elements.is_none()), ..Found::default() },
            fallbacks: vec![None; self.fallbacks],
            reject: None,
        }
    }

    fn read_json(&self, json: &str, state: &mut State<'_>) -> Result<(), Box<Reject>> {
        let mut deserializer = sonic_rs::Deserializer::from_str(json);
        let read = ObjectSeed { nodes: &self.nodes, state: &mut *state }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        read.map_err(|error| {
            state.reject.take().unwrap_or_else(|| {
                let message = first_line(&error.to_string());
                // Syntax errors carry no type complaint.
                let reason = if error.is_unmatched_type() { Reason::WrongType } else { Reason::BrokenJson };
                Reject::new(reason, format!("data: {message}"))
            })
        })
    }
}

/// The `data` of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data<'a> {
    pub json: &'a str,
    /// Where its members stand, if that is known.
    pub members: Option<InBody<'a>>,
}

/// What reading has come to.
pub(super) struct State<'c> {
    pub columns: &'c mut [Column],
    /// Number of the first row in progress; a column that is longer has a value in it.
    row: usize,
    pub limits: &'c DecodeLimits,
    pub personal: &'c Personal,
    is_first: bool,
    elements: Option<&'c Elements>,
    /// Number of the element that is read.
    element: Option<usize>,
    pub found: Found,
    pub fallbacks: Vec<Option<i64>>,
    reject: Option<Box<Reject>>,
}

impl State<'_> {
    /// Makes room for a value: a key that comes twice keeps its last one.
    pub fn column(&mut self, index: usize) -> &mut Column {
        let column = &mut self.columns[index];
        column.truncate(self.row + self.element.unwrap_or_default());
        column
    }

    fn counts_personal(&self) -> bool {
        self.is_first && self.personal.names_keys()
    }

    fn count_skipped(&mut self, action: Option<PersonalAction>, json: &str) {
        if self.counts_personal() {
            self.personal.count_skipped(action, json, &mut self.found.personal);
        }
    }

    /// The hash that stands for the value of a field.
    pub fn hash(&mut self, text: &str) -> String {
        if self.is_first {
            self.found.personal.hashed += 1;
        }
        self.personal.hash(text)
    }

    /// Gives the event up.
    pub fn refuse<E: Error>(&mut self, reason: Reason, path: &str, detail: &str) -> Result<(), E> {
        self.reject = Some(Reject::at(reason, &self.place(path), detail));
        Err(E::custom("refused"))
    }

    /// `data.items[2].quantity`.
    fn place(&self, path: &str) -> String {
        match (self.elements, self.element) {
            (Some(elements), Some(number)) => {
                let below = path.strip_prefix(&elements.path).unwrap_or_default();
                format!("data.{}[{number}]{below}", elements.path)
            }
            _ => format!("data.{path}"),
        }
    }

    /// Forgets elements: an array that comes twice keeps its last one.
    fn begin_elements(&mut self) {
        self.found.rows = 0;
        for &column in self.elements.iter().flat_map(|e| &e.columns) {
            self.columns[column].truncate(self.row);
        }
    }

    /// Completes the row of an element.
    fn end_element<E: Error>(&mut self, number: usize) -> Result<(), E> {
        let Some(elements) = self.elements else { return Ok(()) };
        let row = self.row + number;
        if let Some((path, _)) = elements.required.iter().find(|&&(_, column)| self.columns[column].len() <= row) {
            self.reject = Some(Reject::missing(&self.place(path)));
            return Err(E::custom("refused"));
        }
        elements.columns.iter().for_each(|&column| self.columns[column].pad_to(row + 1));
        self.found.rows = number + 1;
        Ok(())
    }
}

struct ObjectSeed<'t, 's, 'c> {
    nodes: &'t Nodes,
    state: &'s mut State<'c>,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        read_members(map, self.nodes, self.state)
    }
}

fn read_members<'de, A: MapAccess<'de>>(mut map: A, nodes: &Nodes, state: &mut State<'_>) -> Result<(), A::Error> {
    while let Some(key) = map.next_key_seed(KeySeed { nodes, personal: state.personal })? {
        match key {
            Known::Skipped(None) if !state.counts_personal() => {
                map.next_value::<IgnoredAny>()?;
            }
            Known::Skipped(action) => {
                let skipped: Raw<'de> = map.next_value()?;
                state.count_skipped(action, skipped.as_str());
            }
            Known::Wanted(node) => map.next_value_seed(NodeSeed { node, state: &mut *state })?,
        }
    }
    Ok(())
}

/// Reads members whose places are known: nothing of the others is looked at.
fn read_known(known: InBody<'_>, nodes: &Nodes, state: &mut State<'_>) -> Result<(), Unread> {
    for member in known.members {
        let key = member.key.of(known.body);
        match nodes.get(key) {
            Some(node) => read_value(member.value.of(known.body), NodeSeed { node, state: &mut *state })?,
            None if state.counts_personal() => {
                state.count_skipped(state.personal.action(key), member.value.of(known.body));
            }
            None => {}
        }
    }
    Ok(())
}

/// The value of a wanted key.
struct NodeSeed<'t, 's, 'c> {
    node: &'t Node,
    state: &'s mut State<'c>,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { node, state } = self;
        if node.is_array {
            ElementsSeed { node, part: Part::Array, state }.deserialize(deserializer)
        } else if !node.children.is_empty() {
            ObjectSeed { nodes: &node.children, state }.deserialize(deserializer)
        } else {
            ValueSeed { node, state }.deserialize(deserializer)
        }
    }
}

/// Looks a key up without copying it.
struct KeySeed<'t, 'p> {
    nodes: &'t Nodes,
    personal: &'p Personal,
}

/// What a key says about its value.
enum Known<'t> {
    Wanted(&'t Node),
    /// Nothing is read of it; it may be personal all the same.
    Skipped(Option<PersonalAction>),
}

impl<'de, 't> DeserializeSeed<'de> for KeySeed<'t, '_> {
    type Value = Known<'t>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for KeySeed<'t, '_> {
    type Value = Known<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match self.nodes.get(key) {
            Some(node) => Known::Wanted(node),
            None => Known::Skipped(self.personal.action(key)),
        })
    }
}

/// The exploded array, or one of its elements.
struct ElementsSeed<'t, 's, 'c> {
    node: &'t Node,
    part: Part,
    state: &'s mut State<'c>,
}

#[derive(Clone, Copy)]
enum Part {
    Array,
    /// With its number.
    Element(usize),
}

impl ElementsSeed<'_, '_, '_> {
    fn wrong<E: Error>(self, found: &str) -> Result<(), E> {
        let expected = match self.part {
            Part::Array => "an array",
            Part::Element(_) => "an object",
        };
        self.state.refuse(Reason::WrongType, &self.node.path, &format!("expected {expected}, found {found}"))
    }
}

impl<'de> DeserializeSeed<'de> for ElementsSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let limit = self.state.limits.explode_max;
        match self.part {
            Part::Element(number) if number >= limit => {
                // The array as a whole is at fault.
                self.state.element = None;
                let detail = format!("more than {limit} elements (explode_max)");
                self.state.refuse(Reason::TooManyElements, &self.node.path, &detail)
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ElementsSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if let Part::Element(_) = self.part {
            return self.wrong("an array");
        }
        let Self { node, state, .. } = self;
        state.begin_elements();
        for number in 0.. {
            state.element = Some(number);
            let seed = ElementsSeed { node, part: Part::Element(number), state: &mut *state };
            if elements.next_element_seed(seed)?.is_none() {
                break;
            }
        }
        state.element = None;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.part {
            Part::Array => self.wrong("an object"),
            Part::Element(number) => {
                read_members(map, &self.node.children, self.state)?;
                self.state.end_element(number)
            }
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match self.part {
            Part::Array => {
                self.state.begin_elements();
                Ok(())
            }
            Part::Element(_) => self.wrong("null"),
        }
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.wrong(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.wrong(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.wrong(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.wrong(&value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.wrong(&format!("{text:?}"))
    }
}
