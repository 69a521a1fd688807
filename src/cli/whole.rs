//! Files that are written whole or not at all.
//!
//! Called by: `export`, `trust.rs`.
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::failure::Failure;

/// A file under another name until it is kept; gone when it is not. Whenever the machine stops, the name stands for
/// what was there before or for all that was written.
pub struct Whole {
    path: PathBuf,
    part: PathBuf,
    file: File,
    kept: bool,
}

impl Whole {
    /// Begins to write.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let part = beside(path, ".part");
        let file = File::create(&part).map_err(|error| failed(&part, &error))?;
        Ok(Self { path: path.to_owned(), part, file, kept: false })
    }

    /// Gives the file its name, on the disk.
    pub fn keep(mut self) -> Result<(), Failure> {
        self.name().map_err(|error| failed(&self.path, &error))?;
        self.kept = true;
        Ok(())
    }

    fn name(&self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.path)?;
        // A name is on the disk when its folder is.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// The name with something behind it.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// What went wrong with a file.
pub fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Files(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        for (text, kept) in [("first", true), ("second", false), ("third", true)] {
            let before = fs::read_to_string(&path).ok();
            let mut whole = Whole::create(&path).expect("a file");
            whole.write_all(text.as_bytes()).expect("room");
            assert_eq!(fs::read_to_string(&path).ok(), before);
            if kept {
                whole.keep().expect("a name");
            } else {
                drop(whole);
            }
            let expected = if kept { Some(text.to_owned()) } else { before };
            assert_eq!(fs::read_to_string(&path).ok(), expected);
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        }
        assert!(Whole::create(&folder.path().join("no/file")).is_err());
    }
}
