//! From the keys of rows to numbers of groups, and back.

use super::runs::KeyValues;
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int64Array, Int64Builder, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit};
use datafusion::common::{Result, internal_datafusion_err};
use hashbrown::HashMap;
use std::sync::Arc;

/// Codes below this find their group in a table, others in a map: so few are worth their place for every group of the
/// keys before.
const DENSE_CODES: usize = 64;
/// No group yet.
const NONE: u32 = u32::MAX;

/// Can groups be made by keys of this type? Numbers are kept as 64 bits and become their own type again.
pub(crate) fn is_supported(key: &DataType) -> bool {
    use DataType::{Date32, Int8, Int16, Int32, Int64, Timestamp, UInt8, UInt16, UInt32, Utf8};
    matches!(key, Utf8 | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Date32)
        || matches!(key, Timestamp(TimeUnit::Microsecond, _))
}

/// The values of one key, numbered as they come.
#[derive(Debug)]
enum Values {
    Texts(Texts),
    Numbers(Numbers),
}

#[derive(Debug, Default)]
struct Texts {
    codes: HashMap<Box<str>, u32>,
    values: Vec<Option<Box<str>>>,
    null: Option<u32>,
    /// The dictionary that was seen last, and the codes of its texts.
    dictionary: Option<(ArrayRef, Vec<u32>)>,
}

#[derive(Debug, Default)]
struct Numbers {
    codes: HashMap<i64, u32>,
    values: Vec<Option<i64>>,
    null: Option<u32>,
    last: Option<(i64, u32)>,
}

impl Texts {
    fn code(&mut self, text: Option<&str>) -> u32 {
        let next = self.values.len() as u32;
        let Some(text) = text else {
            if self.null.is_none() {
                self.values.push(None);
            }
            return *self.null.get_or_insert(next);
        };
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        self.codes.insert(text.into(), next);
        self.values.push(Some(text.into()));
        next
    }

    fn of_dictionary(&mut self, column: &DictionaryArray<Int32Type>, codes: &mut Vec<u32>) {
        let texts = column.values();
        let known = self.dictionary.take().filter(|(known, _)| Arc::ptr_eq(known, texts));
        let (texts, of_texts) = known.unwrap_or_else(|| {
            // Not all of them need to occur: those that do get their code with their first row.
            (Arc::clone(texts), vec![NONE; texts.len()])
        });
        let mut of_texts = of_texts;
        {
            let strings: &StringArray = texts.as_string();
            let keys = column.keys();
            for row in 0..keys.len() {
                if keys.is_null(row) {
                    codes.push(self.code(None));
                    continue;
                }
                let text = keys.value(row) as usize;
                if of_texts[text] == NONE {
                    of_texts[text] = self.code(strings.is_valid(text).then(|| strings.value(text)));
                }
                codes.push(of_texts[text]);
            }
        }
        self.dictionary = Some((texts, of_texts));
    }
}

impl Numbers {
    fn code(&mut self, number: Option<i64>) -> u32 {
        let next = self.values.len() as u32;
        let Some(number) = number else {
            if self.null.is_none() {
                self.values.push(None);
            }
            return *self.null.get_or_insert(next);
        };
        if let Some((last, code)) = self.last
            && last == number
        {
            return code;
        }
        let values = &mut self.values;
        let code = *self.codes.entry(number).or_insert_with(|| {
            values.push(Some(number));
            next
        });
        self.last = Some((number, code));
        code
    }
}

impl Values {
    /// The codes of all rows.
    fn encode(&mut self, key: &KeyValues, codes: &mut Vec<u32>) -> Result<()> {
        codes.clear();
        self.encode_values(&key.values, codes)?;
        let Some(ends) = &key.ends else { return Ok(()) };
        let of_runs = std::mem::take(codes);
        codes.reserve(ends.last().copied().unwrap_or_default());
        for (code, end) in of_runs.into_iter().zip(ends) {
            codes.resize(*end, code);
        }
        Ok(())
    }

    fn encode_values(&mut self, column: &ArrayRef, codes: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Texts(texts) => match column.data_type() {
                DataType::Dictionary(..) => texts.of_dictionary(column.as_dictionary(), codes),
                _ => {
                    let column = cast(column, &DataType::Utf8)?;
                    codes.extend(column.as_string::<i32>().iter().map(|text| texts.code(text)));
                }
            },
            Self::Numbers(numbers) => {
                let column = cast(column, &DataType::Int64)?;
                let column = column.as_primitive::<Int64Type>();
                match column.nulls() {
                    None => codes.extend(column.values().iter().map(|number| numbers.code(Some(*number)))),
                    Some(_) => codes.extend(column.iter().map(|number| numbers.code(number))),
                }
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.values.len(),
            Self::Numbers(numbers) => numbers.values.len(),
        }
    }

    /// The values of these codes.
    fn column(&self, codes: impl Iterator<Item = u32>, key: &DataType) -> Result<ArrayRef> {
        let missing = || internal_datafusion_err!("a group without a key");
        Ok(match self {
            Self::Texts(texts) => {
                let mut column = StringBuilder::new();
                for code in codes {
                    column.append_option(texts.values.get(code as usize).ok_or_else(missing)?.as_deref());
                }
                cast(&column.finish(), key)?
            }
            Self::Numbers(numbers) => {
                let mut column = Int64Builder::new();
                for code in codes {
                    column.append_option(*numbers.values.get(code as usize).ok_or_else(missing)?);
                }
                let column: Int64Array = column.finish();
                cast(&column, key)?
            }
        })
    }
}

/// Groups by the first key, then by the first and the second, and so on.
#[derive(Debug, Default)]
struct Level {
    /// By group of the level before and code: the group.
    groups: Vec<Vec<u32>>,
    /// The same for codes from [`DENSE_CODES`] on.
    others: HashMap<(u32, u32), u32>,
    /// By group: the group of the level before, and the code.
    members: Vec<(u32, u32)>,
}

impl Level {
    fn group(&mut self, before: u32, code: u32) -> u32 {
        let (before_at, code_at) = (before as usize, code as usize);
        if code_at >= DENSE_CODES {
            let members = &mut self.members;
            return *self.others.entry((before, code)).or_insert_with(|| {
                members.push((before, code));
                members.len() as u32 - 1
            });
        }
        if self.groups.len() <= before_at {
            self.groups.resize_with(before_at + 1, Vec::new);
        }
        let of_before = &mut self.groups[before_at];
        if of_before.len() <= code_at {
            of_before.resize(code_at + 1, NONE);
        }
        let group = &mut of_before[code_at];
        if *group == NONE {
            *group = self.members.len() as u32;
            self.members.push((before, code));
        }
        *group
    }
}

/// All groups so far.
#[derive(Debug)]
pub(crate) struct Groups {
    keys: Vec<Values>,
    /// One less than keys.
    levels: Vec<Level>,
    codes: Vec<u32>,
}

impl Groups {
    /// By keys of these types.
    pub fn new<'t>(keys: impl IntoIterator<Item = &'t DataType>) -> Self {
        let values = |key: &DataType| match key {
            DataType::Utf8 => Values::Texts(Texts::default()),
            _ => Values::Numbers(Numbers::default()),
        };
        let keys: Vec<Values> = keys.into_iter().map(values).collect();
        let levels = (1..keys.len()).map(|_| Level::default()).collect();
        Self { keys, levels, codes: Vec::new() }
    }

    /// The group of every row. New groups are numbered in the order of their first rows; without keys there is one.
    pub fn of_rows(&mut self, keys: &[KeyValues], rows: usize, groups: &mut Vec<usize>) -> Result<()> {
        groups.clear();
        let Some((first, others)) = keys.split_first() else {
            groups.resize(rows, 0);
            return Ok(());
        };
        self.keys[0].encode(first, &mut self.codes)?;
        groups.extend(self.codes.iter().map(|code| *code as usize));
        for ((key, values), level) in others.iter().zip(&mut self.keys[1..]).zip(&mut self.levels) {
            values.encode(key, &mut self.codes)?;
            for (group, code) in groups.iter_mut().zip(&self.codes) {
                *group = level.group(*group as u32, *code) as usize;
            }
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self.levels.last() {
            Some(level) => level.members.len(),
            None => self.keys.first().map_or(1, Values::count),
        }
    }

    /// About, in memory.
    pub fn size_bytes(&self) -> usize {
        let levels = self.levels.iter().map(|level| {
            let tables: usize = level.groups.iter().map(|of| of.capacity() * 4 + size_of::<Vec<u32>>()).sum();
            tables + level.members.capacity() * 8 + level.others.capacity() * 16
        });
        let keys = self.keys.iter().map(|values| match values {
            Values::Texts(texts) => texts.values.len() * 100,
            Values::Numbers(numbers) => numbers.values.len() * 40,
        });
        levels.sum::<usize>() + keys.sum::<usize>() + self.codes.capacity() * 4
    }

    /// The keys of every group, in their types.
    pub fn columns<'t>(
        &self,
        types: impl DoubleEndedIterator<Item = &'t DataType> + ExactSizeIterator,
    ) -> Result<Vec<ArrayRef>> {
        let mut at: Vec<u32> = (0..self.count() as u32).collect();
        let mut columns = Vec::with_capacity(types.len());
        for (place, key) in types.enumerate().rev() {
            let codes: Vec<u32> = match place.checked_sub(1) {
                None => at.clone(),
                Some(level) => {
                    let members = &self.levels[level].members;
                    let codes = at.iter().map(|group| members[*group as usize].1).collect();
                    at.iter_mut().for_each(|group| *group = members[*group as usize].0);
                    codes
                }
            };
            columns.push(self.keys[place].column(codes.into_iter(), key)?);
        }
        columns.reverse();
        Ok(columns)
    }
}
