//! The vendor documents' facts. The extractors make them of the documents' text; the facts themselves are
//! committed under `tests/seeds/`, because the documents are not part of the project.
pub mod as_audit;
pub mod cms_audit;
pub mod cms_notification;
pub mod token_server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::harness::root;

/// A file of committed facts.
pub fn committed(name: &str) -> String {
    let path = root().join("tests/seeds").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of a file of committed facts: tabs between cells, a line per row.
pub fn table(name: &str) -> Vec<Vec<String>> {
    committed(name).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The folder with the vendor documents: `CHANCERY_SEEDS`, or `../shared/reference/seeds` beside the
/// project. `None`, with one line on stderr, where neither is.
pub fn documents() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let beside = root().parent().map(|parent| parent.join("shared/reference/seeds"));
        let folder = match std::env::var_os("CHANCERY_SEEDS") {
            Some(named) => {
                let named = PathBuf::from(named);
                assert!(named.is_dir(), "CHANCERY_SEEDS={} is no folder", named.display());
                Some(named)
            }
            None => beside.filter(|folder| folder.is_dir()),
        };
        if folder.is_none() {
            eprintln!("vendor documents are not here; compared with the committed facts only");
        }
        folder
    };
    FOLDER.get_or_init(find).as_deref()
}
