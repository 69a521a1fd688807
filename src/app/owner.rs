//! One server owns a SQLite file: what it holds in memory of the file, such as who works on its index while a person is
//! erased from it, holds for nobody else. Commands that open the file for a moment need no more than SQLite's own locks.
use std::{
    fs::{File, OpenOptions, TryLockError, canonicalize},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use super::AppError;
use crate::store::{StoreError, StoreUrl};

/// Owns the file, if it is one, and makes it when it is not there; until what this returns is dropped, or the process is gone.
///
/// # Errors
/// Another server has it.
pub(super) fn own(url: &StoreUrl) -> Result<Option<File>, AppError> {
    let StoreUrl::Sqlite(path) = url else { return Ok(None) };
    let unavailable = |why: String| AppError::Store(url.clone(), StoreError::Unavailable(why.into()));
    let failed = |error: io::Error| unavailable(format!("{}: {error}", path.display()));
    // It is made here, so that links lead to it.
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    if !made.metadata().map_err(failed)?.is_file() {
        return Ok(None);
    }
    let mut beside = canonicalize(path).map_err(failed)?.into_os_string();
    beside.push("-lock");
    let beside = PathBuf::from(beside);
    let failed = |error: io::Error| unavailable(format!("{}: {error}", beside.display()));
    // A file of its own: a lock on the database would meet those of SQLite on some file systems.
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&beside);
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => {
            let why =
                format!("{} is served by another process: a SQLite file has one server", path.display());
            Err(unavailable(why))
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
