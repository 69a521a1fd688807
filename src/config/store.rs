//! Which store, of every command that opens one: its address, or a file with it.
use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, FromArgMatches};

use super::{ConfigError, error, given::origin, origin::Origin, retention, settings::arguments};
use crate::{event::LogName, files, store::StoreUrl};

/// `--store` and `--store-file`, as `chancery serve` has them.
#[derive(Clone)]
pub struct StoreArgs {
    store: Option<(String, Origin)>,
    file: Option<(PathBuf, Origin)>,
}

/// Flags of `chancery migrate`.
#[derive(clap::Args, Clone, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    store: StoreArgs,
}

/// Flags of `chancery partition`.
#[derive(clap::Args, Clone, Debug)]
pub struct PartitionArgs {
    /// The log that gets partitions of its own.
    pub log: String,
    /// Events of a partition: a power of two between 16384 and 67108864 [default: 4194304].
    #[arg(long, value_name = "EVENTS")]
    pub partition_events: Option<u64>,
    #[command(flatten)]
    store: StoreArgs,
}

impl StoreArgs {
    /// The store.
    ///
    /// # Errors
    /// It is given twice, or is none.
    pub fn resolve(self) -> Result<StoreUrl, ConfigError> {
        match (self.store, self.file) {
            (Some((_, store)), Some((_, file))) if store != Origin::Default => Err(twice(&store, &file)),
            (_, Some((path, from))) => of_file(&path).map_err(|error| error.from(&from)),
            (Some((text, from)), None) => of_text(&text).map_err(|error| error.from(&from)),
            (None, None) => Err(error("store", "is not given")),
        }
    }
}

impl MigrateArgs {
    /// The database to migrate.
    ///
    /// # Errors
    /// The address is not one.
    pub fn resolve(self) -> Result<StoreUrl, ConfigError> {
        self.store.resolve()
    }
}

impl PartitionArgs {
    /// The database, the log, and the size of its partitions as a power of two.
    ///
    /// # Errors
    /// One of them is none.
    pub fn resolve(self) -> Result<(StoreUrl, LogName, u32), ConfigError> {
        let log = LogName::parse(&self.log).map_err(|reason| error("log", reason))?;
        let events = self.partition_events.unwrap_or(retention::default_partition());
        let bits = retention::bits(events).map_err(|reason| error("partition_events", reason))?;
        Ok((self.store.resolve()?, log, bits))
    }
}

/// The store of an address.
///
/// # Errors
/// It is none.
pub fn of_text(text: &str) -> Result<StoreUrl, ConfigError> {
    text.parse().map_err(|reason| error("store", reason))
}

/// The store of a file with its address.
pub(super) fn of_file(path: &Path) -> Result<StoreUrl, ConfigError> {
    let wrong = |reason: &dyn fmt::Display| error("store_file", reason);
    if path.to_string_lossy().contains("://") {
        // Perhaps with a password, which is not for the log.
        return Err(wrong(&"is an address and not the path of a file: give it as store"));
    }
    let text = secret(path).map_err(|reason| wrong(&reason))?;
    text.parse().map_err(|reason| wrong(&format!("{}: {reason}", path.display())))
}

/// The text of a file with a secret, without the end of its line.
pub(super) fn secret(path: &Path) -> Result<String, String> {
    let text = files::read_secret(path)?;
    match text.trim() {
        "" => Err(format!("{}: is empty", path.display())),
        text => Ok(text.to_owned()),
    }
}

/// Two answers to one question.
pub(super) fn twice(store: &Origin, file: &Origin) -> ConfigError {
    error(
        "store_file",
        format!("the store is given twice, as store ({store}) and as store_file ({file}): give one of them"),
    )
}

impl clap::Args for StoreArgs {
    fn augment_args(command: Command) -> Command {
        command.args(
            arguments().into_iter().filter(|arg| ["store", "store_file"].contains(&arg.get_id().as_str())),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StoreArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let store = matches.get_one::<String>("store").cloned().zip(origin(matches, "store"));
        let file = matches.get_one::<PathBuf>("store_file").cloned().zip(origin(matches, "store_file"));
        Ok(Self { store, file })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl fmt::Debug for StoreArgs {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store.as_ref().map(|(_, origin)| origin);
        f.debug_struct("StoreArgs").field("store", &store).field("file", &self.file).finish()
    }
}
