//! Small files that must survive a crash, or be nobody else's to read.
//!
//! Does: folders that one process holds at a time, whose files are replaced whole; files with a private key.
//! Does not: know what is in them. All of it blocks, for as long as the disk takes. Called by: the signer and
//! the witness for their heads, `config` and `chancery keys` for keys.
use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Of a file with a private key, and of everything in a [`Folder`]: the owner only.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;
/// Bits by which group and others may do anything with a file.
const OTHERS: u32 = 0o077;
/// The bit by which the group may read a file.
const GROUP_READS: u32 = 0o040;
/// Bits by which group and others may change what is in a folder.
const WRITABLE: u32 = 0o022;
/// Bytes that are read of a file at most: more than any note or key.
const MOST_BYTES: u64 = 1 << 20;
/// The file that is locked while a process has the folder.
const LOCK: &str = "lock";

/// Whether group or others may change what is in a folder.
pub fn others_write(folder: &Metadata) -> bool {
    folder.mode() & WRITABLE != 0
}

/// A folder that this process alone writes to, until it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Locked as long as it is open: the system lets go of it however the process ends.
    _lock: File,
}

impl Folder {
    /// Opens a folder, and makes it when it is not there.
    ///
    /// # Errors
    /// Why it cannot be used, for people.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        // The nearest folder that is there already, which is to keep the names of those that are made.
        let there = path.ancestors().skip(1).find(|parent| parent.as_os_str().is_empty() || parent.exists());
        let made = !path.try_exists().map_err(failed)?;
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path).map_err(failed)?;
        if made {
            for parent in path.ancestors().skip(1) {
                let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
                if Some(parent) == there {
                    break;
                }
            }
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(path.join(LOCK))
            .map_err(failed)?;
        let folder = fs::metadata(path).map_err(failed)?;
        // What others can write to, they can set back: the file of a head, or its absence. A file that was made
        // just now, or by an earlier process of this user, has this user.
        if others_write(&folder) || folder.uid() != lock.metadata().map_err(failed)?.uid() {
            return Err(format!(
                "{0}: it belongs to another user, or group or others can write to it (mode {1:03o}); \
                 run as its owner: chmod 700 {0}",
                path.display(),
                folder.mode() & 0o777
            ));
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("{} is in use by another process: each needs its own", path.display()))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names that end so, without the end.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self, end: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Some(name) = entry?.file_name().to_str().and_then(|name| name.strip_suffix(end)) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The text of a file, when there is one.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        match text_of(File::open(self.path.join(name))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        }
    }

    /// Replaces a file by one with this text. After a crash it has the old text or the new one; after the return
    /// the new one.
    ///
    /// # Errors
    /// After an error, either.
    pub fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join(name))?;
        // The name is in the folder, and only durable with it.
        File::open(&self.path)?.sync_all()
    }

    /// Writes a file unless there is one of this name: the first text is the one that stays. Whether it was written.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, name: &str, text: &str) -> io::Result<bool> {
        if self.path.join(name).try_exists()? {
            return Ok(false);
        }
        self.replace(name, text).map(|()| true)
    }
}

/// The text of a file that nobody but its owner may touch.
///
/// # Errors
/// Why it cannot be used, for people.
pub fn read_private(path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    // Of the open file, so that it cannot be another one by the time it is read.
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & OTHERS != 0 {
        return Err(format!(
            "{0}: group or others may use this private key (mode {1:03o}); run: chmod 600 {0}",
            path.display(),
            mode & 0o777
        ));
    }
    text_of(Ok(file)).map_err(failed)
}

/// The text of a file with a private key that something else has put there: its owner's only, or root's and one
/// group's, which may read it. So a volume of Kubernetes hands out secrets to a process that is not root.
///
/// # Errors
/// Why it cannot be used, for people.
pub fn read_secret(path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let may = if found.uid() == 0 && !rustix::process::geteuid().is_root() {
        OTHERS & !GROUP_READS
    } else {
        OTHERS
    };
    if found.mode() & may != 0 {
        return Err(format!(
            "{0}: others than its owner may use this secret (mode {1:03o}); run: chmod 600 {0}",
            path.display(),
            found.mode() & 0o777
        ));
    }
    text_of(Ok(file)).map_err(failed)
}

/// The text of a file that is no secret.
///
/// # Errors
/// Why it cannot be used, for people.
pub fn read_public(path: &Path) -> Result<String, String> {
    text_of(File::open(path)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a new file that nobody but its owner may touch.
///
/// # Errors
/// Why not, for people; a file that is there stays as it is.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(format!("{} is there already, and a key is never overwritten", path.display()));
        }
        file => file.map_err(failed)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    // A key whose file has no name after a crash must not have been announced before.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn text_of(file: io::Result<File>) -> io::Result<String> {
    let mut text = String::new();
    file?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_processes_and_keeps_what_it_is_given() {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("a/b");
        let folder = Folder::open(&path).expect("a folder");
        assert_eq!(fs::metadata(&path).expect("a folder").mode() & 0o777, 0o700);
        assert!(Folder::open(&path).expect_err("a second one").contains("in use by another process"));
        assert_eq!(folder.read("x.note").expect("read"), None);
        folder.replace("x.note", "1").expect("written");
        folder.replace("x.note", "2").expect("written");
        assert_eq!(folder.read("x.note").expect("read").as_deref(), Some("2"));
        assert_eq!(fs::metadata(path.join("x.note")).expect("a file").mode() & 0o777, 0o600);
        assert!(folder.keep("x.fork", "first").expect("written"));
        assert!(!folder.keep("x.fork", "second").expect("left"));
        assert_eq!(folder.read("x.fork").expect("read").as_deref(), Some("first"));
        assert_eq!(folder.names(".note").expect("names"), ["x"]);
        drop(folder);
        Folder::open(&path).expect("free again");
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().expect("a folder");
        for (mode, taken) in [(0o755, true), (0o750, true), (0o770, false), (0o702, false), (0o777, false)] {
            let path = parent.path().join(format!("{mode:o}"));
            fs::create_dir(&path).expect("a folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let opened = Folder::open(&path);
            assert_eq!(opened.is_ok(), taken, "{mode:o}");
            assert!(opened.map_or_else(|refused| refused.contains("chmod 700"), |_| true), "{mode:o}");
        }
    }

    #[test]
    fn a_private_file_is_its_owners_only_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("key");
        write_private(&path, "secret").expect("written");
        assert!(write_private(&path, "other").expect_err("there already").contains("never overwritten"));
        assert_eq!(read_private(&path).as_deref(), Ok("secret"));
        for mode in [0o640, 0o604, 0o620, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let refused = read_private(&path).expect_err("open to others");
            assert!(refused.contains("chmod 600") && !refused.contains("secret"), "{refused}");
        }
    }
}
