//! Events as lines of JSON in a file, compressed if its name ends in `.gz`.

use super::{OutputError, Run, Sink, Summary, drain};
use crate::event::SimulatedEvent;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUFFER_BYTES: usize = 256 * 1024;

/// Writes the body of each event as a line. The file appears under its name when it is complete; it is
/// complete, too, when the run was stopped, and it does not appear after an error. It replaces a file
/// of the same name.
pub fn to_file(
    events: impl Iterator<Item = SimulatedEvent>,
    path: &Path,
    mut run: Run<'_>,
) -> Result<Summary, OutputError> {
    let mut file = PartFile::create(path)?;
    let summary = drain(events, &mut file, &mut run)?;
    file.publish()?;
    Ok(summary)
}

/// A file on its way, under a name of its own beside the final one.
#[derive(Debug)]
struct PartFile {
    path: PathBuf,
    part: PathBuf,
    /// None once it is published.
    writer: Option<Writer>,
}

#[derive(Debug)]
enum Writer {
    Plain(BufWriter<File>),
    Gzip(Box<BufWriter<GzEncoder<File>>>),
}

impl PartFile {
    fn create(path: &Path) -> Result<Self, OutputError> {
        let file_error = |source| OutputError::File { path: path.to_owned(), source };
        let name = path.file_name().ok_or_else(|| {
            file_error(io::Error::new(io::ErrorKind::InvalidInput, "expected the name of a file to write"))
        })?;
        let mut part_name = OsString::from(".");
        part_name.push(name);
        part_name.push(".part");
        let part = path.with_file_name(part_name);
        let file = File::create(&part).map_err(file_error)?;
        let writer = if path.extension().is_some_and(|extension| extension == "gz") {
            // The fast level: event JSON shrinks to a tenth with it, and to little less without.
            Writer::Gzip(Box::new(BufWriter::with_capacity(BUFFER_BYTES, GzEncoder::new(file, Compression::fast()))))
        } else {
            Writer::Plain(BufWriter::with_capacity(BUFFER_BYTES, file))
        };
        Ok(Self { path: path.to_owned(), part, writer: Some(writer) })
    }

    fn error(&self, source: io::Error) -> OutputError {
        OutputError::File { path: self.path.clone(), source }
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let writer: &mut dyn Write = match &mut self.writer {
            Some(Writer::Plain(writer)) => writer,
            Some(Writer::Gzip(writer)) => writer,
            None => return Ok(()),
        };
        writer.write_all(line)?;
        writer.write_all(b"\n")
    }

    /// Brings everything to the disk, then gives the file its name.
    fn publish(mut self) -> Result<(), OutputError> {
        let finish = |writer| -> io::Result<()> {
            let file = match writer {
                Writer::Plain(writer) => writer.into_inner().map_err(io::IntoInnerError::into_error)?,
                Writer::Gzip(writer) => writer.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?,
            };
            file.sync_all()
        };
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let published = finish(writer).and_then(|()| fs::rename(&self.part, &self.path));
        published.map_err(|source| {
            remove(&self.part);
            self.error(source)
        })
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            remove(&self.part);
        }
    }
}

fn remove(part: &Path) {
    if let Err(error) = fs::remove_file(part) {
        tracing::warn!(path = %part.display(), %error, "an unfinished file stays behind");
    }
}

impl Sink for PartFile {
    fn write(&mut self, event: &SimulatedEvent, _run: &Run<'_>) -> Result<bool, OutputError> {
        self.write_line(&event.body).map(|()| true).map_err(|source| self.error(source))
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}
