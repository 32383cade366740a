//! Who evaluates the rules: of all processes that share a folder, the one that holds the lock of a file in it. The
//! kernel lets go of it whatever ends the process, so that another can go on.

use crate::begin::RulerError;
use std::fs::{File, TryLockError};
use std::path::Path;

const FILE: &str = "seat.lock";

/// The lock, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Seat(#[expect(dead_code, reason = "it is held, not read")] File);

impl Seat {
    /// Takes the seat of `folder`, which is made if it is not there. Blocks on the disk, never on the lock.
    ///
    /// Errors: [`RulerError::Taken`] when another process has it; the disk.
    pub fn take(folder: &Path) -> Result<Self, RulerError> {
        let path = folder.join(FILE);
        let failed = |source| RulerError::Seat { file: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(RulerError::Taken(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests;
