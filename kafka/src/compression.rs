//! What producers compress batches with. Buffers are used again, and bounded.

use flate2::bufread::MultiGzDecoder;
use std::io::Read;
use std::ops::Range;
use zstd::stream::raw::{Decoder as Zstd, InBuffer, Operation, OutBuffer};

/// A batch may be so large decompressed: brokers take a megabyte compressed unless told otherwise.
pub const UNPACKED_MAX: usize = 256 << 20;
/// A buffer grows by at least so much.
const STEP: usize = 64 << 10;

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// Raw, or in the chunks of xerial's library, which Java producers write.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Codec {
    /// The codec that a batch's attributes name.
    pub fn of(attributes: i16) -> Option<Self> {
        match attributes & 7 {
            0 => Some(Self::Plain),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Decompresses one batch after the other into one buffer.
#[derive(Default)]
pub struct Unpacker {
    /// As long as the longest batch so far: what lies behind the last one's end is old.
    buffer: Vec<u8>,
    length: usize,
    zstd: Option<Zstd<'static>>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Unpacker {
    /// What was decompressed last.
    pub fn unpacked(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Decompresses the body of a batch.
    ///
    /// # Errors
    ///
    /// When it is not what the codec writes, or larger than [`UNPACKED_MAX`].
    pub fn unpack(&mut self, codec: Codec, body: &[u8]) -> Result<(), String> {
        self.length = 0;
        match codec {
            Codec::Plain => {
                self.room(body.len())?.copy_from_slice(body);
                self.length = body.len();
                Ok(())
            }
            Codec::Gzip => self.gzip(body),
            Codec::Snappy => self.snappy(body),
            Codec::Lz4 => self.lz4(body),
            Codec::Zstd => self.zstd(body),
        }
    }

    /// So many bytes behind what is there.
    fn room(&mut self, bytes: usize) -> Result<&mut [u8], String> {
        let end = self.length.saturating_add(bytes);
        if end > UNPACKED_MAX {
            return Err(format!("decompressed it is larger than {} MiB", UNPACKED_MAX >> 20));
        }
        if self.buffer.len() < end {
            self.buffer.resize(end.next_multiple_of(STEP), 0);
        }
        Ok(&mut self.buffer[self.length..end])
    }

    fn gzip(&mut self, body: &[u8]) -> Result<(), String> {
        let mut decoder = MultiGzDecoder::new(body);
        loop {
            let room = self.room(STEP)?;
            match decoder.read(room).map_err(|error| format!("gzip: {error}"))? {
                0 => return Ok(()),
                count => self.length += count,
            }
        }
    }

    fn snappy(&mut self, body: &[u8]) -> Result<(), String> {
        const XERIAL: &[u8] = b"\x82SNAPPY\0";
        let Some(chunks) = body.strip_prefix(XERIAL) else { return self.snappy_chunk(body) };
        // Two numbers of versions.
        let mut rest = chunks.get(8..).ok_or("snappy: its head is cut off")?;
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            let (chunk, behind) = behind.split_at_checked(length).ok_or("snappy: a chunk is cut off")?;
            self.snappy_chunk(chunk)?;
            rest = behind;
        }
        Ok(())
    }

    fn snappy_chunk(&mut self, chunk: &[u8]) -> Result<(), String> {
        let say = |error| format!("snappy: {error}");
        let length = snap::raw::decompress_len(chunk).map_err(say)?;
        let room = self.room(length)?;
        self.length += snap::raw::Decoder::new().decompress(chunk, room).map_err(say)?;
        Ok(())
    }

    /// Frames of <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>. Checksums of theirs are passed
    /// over: the batch has one.
    fn lz4(&mut self, body: &[u8]) -> Result<(), String> {
        let mut frame = Lz4Frame::read(body)?;
        let start = self.length;
        while let Some(block) = frame.block()? {
            let bytes = &body[block.bytes];
            let window = if frame.is_linked { start } else { self.length };
            let room_end = self.length + if block.is_compressed { frame.block_max } else { bytes.len() };
            self.room(room_end - self.length)?;
            let (before, room) = self.buffer[..room_end].split_at_mut(self.length);
            self.length += if !block.is_compressed {
                room.copy_from_slice(bytes);
                bytes.len()
            } else if window < before.len() {
                let dictionary = &before[window.max(before.len().saturating_sub(LZ4_WINDOW))..];
                lz4_flex::block::decompress_into_with_dict(bytes, room, dictionary).map_err(|e| format!("lz4: {e}"))?
            } else {
                lz4_flex::block::decompress_into(bytes, room).map_err(|e| format!("lz4: {e}"))?
            };
        }
        Ok(())
    }

    fn zstd(&mut self, body: &[u8]) -> Result<(), String> {
        let say = |error: std::io::Error| format!("zstd: {error}");
        let mut decoder = match self.zstd.take() {
            Some(decoder) => decoder,
            None => Zstd::new().map_err(say)?,
        };
        decoder.reinit().map_err(say)?;
        let mut input = InBuffer::around(body);
        loop {
            let room = self.room(STEP)?;
            let length = room.len();
            let mut output = OutBuffer::around(room);
            let hint = decoder.run(&mut input, &mut output).map_err(say)?;
            let written = output.pos();
            self.length += written;
            // A frame has ended and nothing follows it.
            if hint == 0 && input.pos() == body.len() {
                break;
            }
            if input.pos() == body.len() && written < length {
                return Err("zstd: it is cut off".to_owned());
            }
        }
        self.zstd = Some(decoder);
        Ok(())
    }
}

/// How far a linked block may look back.
const LZ4_WINDOW: usize = 64 << 10;

/// A place among the blocks of a frame.
struct Lz4Frame<'a> {
    body: &'a [u8],
    at: usize,
    block_max: usize,
    is_linked: bool,
    has_block_checksums: bool,
}

struct Lz4Block {
    bytes: Range<usize>,
    is_compressed: bool,
}

impl<'a> Lz4Frame<'a> {
    fn read(body: &'a [u8]) -> Result<Self, String> {
        const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
        let [flags, descriptor] = match body {
            [a, b, c, d, flags, descriptor, ..] if [*a, *b, *c, *d] == MAGIC => [*flags, *descriptor],
            _ => return Err("lz4: it is no frame".to_owned()),
        };
        let block_max = match descriptor >> 4 & 7 {
            4 => 64 << 10,
            5 => 256 << 10,
            6 => 1 << 20,
            7 => 4 << 20,
            size => return Err(format!("lz4: no block has size {size}")),
        };
        if flags >> 6 != 1 || flags & 1 != 0 {
            return Err("lz4: a frame of another version, or with a dictionary".to_owned());
        }
        let size_bytes = if flags & 8 != 0 { 8 } else { 0 };
        Ok(Self {
            body,
            // Magic, two bytes of flags, the size, the head's checksum.
            at: 6 + size_bytes + 1,
            block_max,
            is_linked: flags & 32 == 0,
            has_block_checksums: flags & 16 != 0,
        })
    }

    /// The next block; `None` at the frame's end.
    fn block(&mut self) -> Result<Option<Lz4Block>, String> {
        const PLAIN: u32 = 1 << 31;
        let cut_off = || "lz4: it is cut off".to_owned();
        let head = self.body.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut_off)?;
        let head = u32::from_le_bytes(*head);
        if head == 0 {
            return Ok(None);
        }
        let start = self.at + 4;
        let end = start.saturating_add((head & !PLAIN) as usize);
        if end > self.body.len() {
            return Err(cut_off());
        }
        self.at = end + if self.has_block_checksums { 4 } else { 0 };
        Ok(Some(Lz4Block { bytes: start..end, is_compressed: head & PLAIN == 0 }))
    }
}

#[cfg(test)]
pub(crate) mod tests;
