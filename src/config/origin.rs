//! Where the value of a setting came from, so that what is wrong with it can be corrected there.
use std::{collections::BTreeSet, fmt, path::PathBuf};

use super::{
    ConfigError,
    layers::Layer,
    settings::{flag, variable},
};

/// Where a value came from. The later ones win.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This variable of the environment.
    Variable(String),
    /// This flag.
    Flag(String),
}

impl Origin {
    /// The flag of a key.
    pub(super) fn flag(key: &str) -> Self {
        Self::Flag(flag(key))
    }

    /// The variable of a key.
    pub(super) fn variable(key: &str) -> Self {
        Self::Variable(variable(key))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Where every setting came from.
#[derive(Clone, Default, Debug)]
pub struct Origins(Vec<(String, Origin)>);

impl Origins {
    pub(super) fn of(layer: &Layer) -> Self {
        let named = |(path, (_, origin)): (&Vec<String>, &(_, Origin))| {
            path.first().map(|setting| (setting.clone(), origin.clone()))
        };
        Self(layer.iter().filter_map(named).collect())
    }

    /// The error, and behind its reason where the setting came from. A table may come from several places.
    pub fn explain(&self, error: ConfigError) -> ConfigError {
        let from = self.0.iter().filter(|(setting, _)| setting == error.setting).map(|(_, origin)| origin);
        let from: Vec<_> = from.collect::<BTreeSet<_>>().into_iter().map(ToString::to_string).collect();
        match from.is_empty() {
            true => error,
            false => ConfigError { reason: format!("{} ({})", error.reason, from.join(", ")), ..error },
        }
    }
}
