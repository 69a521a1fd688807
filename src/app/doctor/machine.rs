//! The machine below a server: its disk, how many files it may open.
use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use super::super::{
    connections::OTHER_FILES,
    disk::{self, Found},
};
use crate::{config::ServeConfig, store::Finding};

/// Writes that are measured, each of a page of the database.
const WRITES: usize = 20;
const PAGE: usize = 8192;
/// Watermarks that are enough for some time.
const AMPLE: u64 = 4;

/// The disk of a SQLite database: how much is free, and how long it takes until something is on it.
pub(super) fn disk(config: &ServeConfig, reusable: u64) -> Vec<Finding> {
    let Some(folder) = disk::folder(&config.store) else { return Vec::new() };
    let least = config.min_free_disk;
    let shown = folder.display();
    let free = match disk::free(&folder) {
        Err(error) => {
            return vec![Finding::bad(
                "disk",
                format!("{shown}: {error}"),
                "make the folder of the database",
            )];
        }
        Ok(free) => room(&folder, Found { free, reusable }, least),
    };
    let fsync = match measured(&folder) {
        Ok(mut took) => Finding::of_writes("fsync", "writing 8 KiB through to the disk", &mut took),
        Err(error) => Finding::bad(
            "fsync",
            format!("no file can be written in {shown}: {error}"),
            "let the server's user write there",
        ),
    };
    vec![free, fsync]
}

/// How the room that the server counts stands to its watermark.
fn room(folder: &Path, disk: Found, least: u64) -> Finding {
    let found = format!(
        "{} MiB are free in {} and {} MiB in the database, of at least {} MiB",
        disk.free >> 20,
        folder.display(),
        disk.reusable >> 20,
        least >> 20
    );
    let remedy = "make room there: below the watermark appends are refused";
    match disk.room() {
        room if room < least => Finding::bad("disk", found, remedy),
        room if room < least.saturating_mul(AMPLE) => Finding::doubtful("disk", found, remedy),
        _ => Finding::good("disk", found),
    }
}

/// Writes a file that nobody else sees and that is gone when it is closed.
fn measured(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".chancery-doctor-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    std::fs::remove_file(&path)?;
    let mut took = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        file.write_all(&[0; PAGE])?;
        let began = std::time::Instant::now();
        file.sync_all()?;
        took.push(began.elapsed());
    }
    Ok(took)
}

/// The limit of open files, as far as the server can raise it.
pub(super) fn open_files(config: &ServeConfig) -> Finding {
    let wanted = u64::from(config.connections.limits.total) + OTHER_FILES;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < wanted => Finding::doubtful(
            "open files",
            format!("the process may open {most} files, and would have {wanted} with all its connections"),
            "raise the hard limit (ulimit -H -n, LimitNOFILE) or lower max_connections",
        ),
        Some(most) => Finding::good("open files", format!("the process may open {most} files")),
        None => Finding::good("open files", "there is no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Standing;

    #[test]
    fn what_the_database_has_to_spare_counts_as_it_does_for_the_server() {
        let standing = |free: u64, reusable: u64| {
            let disk = Found { free: free << 20, reusable: reusable << 20 };
            room(Path::new("."), disk, 256 << 20).standing
        };
        assert_eq!(standing(40, 0), Standing::Bad);
        assert_eq!(standing(40, 248), Standing::Doubtful);
        assert_eq!(standing(20, 10_000), Standing::Bad, "the WAL needs room on the disk");
        assert_eq!(standing(200, 1000), Standing::Good);
    }

    #[test]
    fn the_file_that_is_measured_with_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(measured(folder.path()).expect("a disk").len(), WRITES);
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
