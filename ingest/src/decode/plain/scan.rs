//! Where the members of an object stand.

use super::DEPTH_MAX;

/// A part of a text, as byte offsets, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The part of the text that it was found in.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// One member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Without its quotes.
    pub key: Span,
    /// As it is written.
    pub value: Span,
}

/// The members of an event and of its `data`, in their order. Kept from record to record, so that its room is.
#[derive(Debug, Default)]
pub struct Members {
    /// The attributes of the event; none of a body that is `data` itself.
    pub attributes: Vec<Member>,
    /// Of the last `data`; none when that is no object.
    pub data: Vec<Member>,
}

impl Members {
    /// Finds the members of an event. If it is not read, nothing that was found counts.
    #[must_use]
    pub fn read_event(&mut self, text: &str) -> bool {
        self.attributes.clear();
        let Self { attributes, data } = self;
        data.clear();
        read_object(text, |scanner, key| {
            let is_data = key.of(text) == "data";
            if is_data {
                data.clear();
            }
            let start = scanner.at;
            match is_data && scanner.peek() == Some(b'{') {
                true => scanner.members(|scanner, key| {
                    let value = scanner.value()?;
                    data.push(Member { key, value });
                    Some(())
                })?,
                false => scanner.pass()?,
            }
            attributes.push(Member { key, value: scanner.since(start) });
            Some(())
        })
    }

    /// Finds the members of a body that is `data` itself.
    #[must_use]
    pub fn read_data(&mut self, text: &str) -> bool {
        self.attributes.clear();
        self.data.clear();
        read_object(text, |scanner, key| {
            let value = scanner.value()?;
            self.data.push(Member { key, value });
            Some(())
        })
    }
}

fn read_object<'t>(text: &'t str, each: impl FnMut(&mut Scanner<'t>, Span) -> Option<()>) -> bool {
    // Spans have offsets of 32 bits.
    if u32::try_from(text.len()).is_err() {
        return false;
    }
    let mut scanner = Scanner::new(text);
    scanner.space();
    let is_read = scanner.peek() == Some(b'{') && scanner.members(each).is_some();
    scanner.space();
    is_read && scanner.peek().is_none()
}

/// Goes through a text once. `None` stands for everything that it does not know, broken JSON included.
#[derive(Debug)]
pub struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl<'t> Scanner<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    /// Passes over the byte that opens an object or array.
    pub fn open(&mut self) {
        self.at += 1;
    }

    /// The key of the next member, whose value comes next; `None` within after the last.
    #[inline]
    pub fn next_key(&mut self, is_first: bool) -> Option<Option<Span>> {
        self.space();
        match self.peek()? {
            b'}' => {
                self.at += 1;
                return Some(None);
            }
            b',' if !is_first => {
                self.at += 1;
                self.space();
            }
            _ if is_first => {}
            _ => return None,
        }
        let key = self.string()?;
        self.space();
        (self.peek()? == b':').then_some(())?;
        self.at += 1;
        self.space();
        Some(Some(key))
    }

    /// Does another element come next?
    #[inline]
    pub fn next_element(&mut self, is_first: bool) -> Option<bool> {
        self.space();
        match self.peek()? {
            b']' => {
                self.at += 1;
                return Some(false);
            }
            b',' if !is_first => {
                self.at += 1;
                self.space();
            }
            _ if is_first => {}
            _ => return None,
        }
        Some(true)
    }

    /// Passes over the next value.
    #[inline]
    pub fn value(&mut self) -> Option<Span> {
        let start = self.at;
        self.pass()?;
        Some(self.since(start))
    }

    fn members(&mut self, mut each: impl FnMut(&mut Self, Span) -> Option<()>) -> Option<()> {
        self.open();
        let mut is_first = true;
        while let Some(key) = self.next_key(is_first)? {
            is_first = false;
            each(self, key)?;
        }
        Some(())
    }

    #[inline]
    fn pass(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.container(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => None,
        }
    }

    /// Without recursion, which what is nested could not be trusted with.
    fn container(&mut self) -> Option<()> {
        // A bit for each that is open, set for objects; the innermost is the lowest.
        let (mut open, mut depth) = (u128::from(self.peek()? == b'{'), 1);
        let mut is_first = true;
        self.open();
        while depth > 0 {
            let is_object = open & 1 == 1;
            let has_next = if is_object { self.next_key(is_first)?.is_some() } else { self.next_element(is_first)? };
            is_first = false;
            match self.peek() {
                _ if !has_next => {
                    open >>= 1;
                    depth -= 1;
                }
                Some(byte @ (b'{' | b'[')) => {
                    open = (open << 1) | u128::from(byte == b'{');
                    depth += 1;
                    (depth <= DEPTH_MAX).then_some(())?;
                    is_first = true;
                    self.open();
                }
                _ => self.pass()?,
            }
        }
        Some(())
    }

    /// Passes over a string; the span is what its quotes enclose.
    #[inline]
    fn string(&mut self) -> Option<Span> {
        (self.peek()? == b'"').then_some(())?;
        let start = self.at + 1;
        let mut end = start;
        while let Some(word) = self.bytes.get(end..).and_then(|rest| rest.first_chunk()) {
            let stops = stops(u64::from_le_bytes(*word));
            if stops != 0 {
                end += stops.trailing_zeros() as usize / 8;
                break;
            }
            end += size_of::<u64>();
        }
        // Less than a word is left, or the first byte ends it.
        end += self.bytes.get(end..)?.iter().position(|&byte| is_stop(byte))?;
        (self.bytes[end] == b'"').then_some(())?;
        self.at = end + 1;
        Some(Span { start: start as u32, end: end as u32 })
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn literal(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then_some(())?;
        self.at += word.len();
        Some(())
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn since(&self, start: usize) -> Span {
        Span { start: start as u32, end: self.at as u32 }
    }
}

/// Ends a string, escapes something in it, or must not be in it.
#[inline]
fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < b' '
}

/// Sets the highest bit of the first byte of a little-endian word that [`is_stop`]. Bits of later bytes are set if they
/// are, and may be if they are not.
#[inline]
fn stops(word: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // Borrows from the highest bit of each byte that is below; those above a byte that is may be borrowed from.
    let below = |word: u64, bound: u8| word.wrapping_sub(EACH * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (equal(b'"') | equal(b'\\') | below(word, b' ')) & (EACH << 7)
}
