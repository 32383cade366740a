//! This machine: room on its disks, and the folders that one process at a time may have.

use super::{Finding, Patient};
use crate::settings::Settings;
use crate::{alerting, probes, push};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file that a database locks.
const LOCK: &str = "lock";

/// Folders of this machine that a process with these settings writes to.
fn written(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let location = &settings.storage.location;
    let tables = (!location.contains("://")).then(|| ("tables", PathBuf::from(location)));
    tables.into_iter().chain(owned(settings)).collect()
}

/// Those of them that one process at a time may have.
fn owned(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let log = push::folder(settings).ok().map(|folder| ("pushed events", folder));
    let alerts = alerting::folder(settings).filter(|_| settings.alerting.enabled);
    log.into_iter().chain(alerts.map(|folder| ("states of alerts", folder))).collect()
}

pub async fn disks(patient: Arc<Patient>) -> Vec<Finding> {
    let looked = tokio::task::spawn_blocking(move || {
        let free_min = patient.settings.probes.disk_free_min;
        written(&patient.settings).iter().map(|(of, folder)| disk(of, folder, free_min)).collect::<Vec<_>>()
    });
    match looked.await {
        Ok(findings) if findings.is_empty() => vec![Finding::skipped("disk", "nothing lies on this machine")],
        Ok(findings) => findings,
        Err(error) => vec![Finding::failed("disk", error.to_string(), "this is a mistake of the program")],
    }
}

fn disk(of: &str, folder: &Path, free_min: u64) -> Finding {
    let check = format!("disk of {of}");
    // A folder that is made later lies on the disk of the one above it.
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match probes::free_bytes(there) {
        Ok(free) if free < free_min => Finding::failed(
            check,
            format!("{} MiB are free at {}, /-/ready wants {} MiB", free >> 20, folder.display(), free_min >> 20),
            "make room, or set probes.disk_free_min",
        ),
        Ok(free) => Finding::ok(check, format!("{} MiB are free at {}", free >> 20, folder.display())),
        Err(error) => Finding::failed(check, format!("{}: {error}", there.display()), "is the disk mounted?"),
    }
}

pub async fn folders(patient: Arc<Patient>) -> Vec<Finding> {
    let looked = tokio::task::spawn_blocking(move || {
        owned(&patient.settings).iter().map(|(of, folder)| owner(of, folder)).collect::<Vec<_>>()
    });
    match looked.await {
        Ok(findings) if findings.is_empty() => vec![Finding::skipped("folders", "no folder is of one process alone")],
        Ok(findings) => findings,
        Err(error) => vec![Finding::failed("folders", error.to_string(), "this is a mistake of the program")],
    }
}

fn owner(of: &str, folder: &Path) -> Finding {
    let check = format!("folder of {of}");
    let shown = folder.display();
    match is_locked(folder) {
        Ok(None) => Finding::ok(check, format!("{shown} is made with the first start")),
        Ok(Some(false)) => Finding::ok(check, format!("{shown} is free")),
        Ok(Some(true)) => Finding::ok(check, format!("{shown} is in use: a process has it open")),
        Err(error) => {
            Finding::failed(check, format!("{shown}: {error}"), "this user must be able to read and write it")
        }
    }
}

/// Does a process have one of the databases in a folder open? `None`: there are none yet.
pub fn is_locked(folder: &Path) -> io::Result<Option<bool>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut found = None;
    for entry in entries {
        let lock = entry?.path().join(LOCK);
        if !lock.is_file() {
            continue;
        }
        // The lock goes with the file, at the end of this turn.
        let file = File::options().read(true).write(true).open(&lock)?;
        let is_taken = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        found = Some(found.unwrap_or(false) || is_taken);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_in_use_while_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(is_locked(&folder.path().join("none")).unwrap(), None);
        assert_eq!(is_locked(folder.path()).unwrap(), None);
        std::fs::create_dir(folder.path().join("db")).unwrap();
        let lock = File::create(folder.path().join("db").join(LOCK)).unwrap();
        assert_eq!(is_locked(folder.path()).unwrap(), Some(false));
        lock.lock().unwrap();
        assert_eq!(is_locked(folder.path()).unwrap(), Some(true));
        drop(lock);
        assert_eq!(is_locked(folder.path()).unwrap(), Some(false));
    }
}
