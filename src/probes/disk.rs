//! Free space.

use std::io;
use std::path::Path;

/// Bytes that an ordinary user may still write to the disk of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
