//! What flags, variables and the configuration file say, put together: the flag wins over the variable, that over the
//! file, and that over the default.
use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, FromArgMatches, error::ErrorKind, parser::ValueSource};
use serde_json::{Map, Value};

use super::{
    ConfigError, ServeConfig, error,
    fault::toml_fault,
    layers::{self, Layer},
    origin::{Origin, Origins},
    otlp,
    settings::{Settings, arguments},
    show::{self, Secrets},
    store::twice,
};

/// Flags of `chancery serve`, and their variables.
#[derive(Clone, Default)]
pub struct ServeArgs {
    config: Option<PathBuf>,
    defaults: Layer,
    given: Layer,
}

/// The settings of a server, not yet checked, and where each came from.
struct Effective {
    settings: Settings,
    layer: Layer,
    origins: Origins,
}

impl ServeArgs {
    /// Reads the configuration file, applies defaults and checks every value.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(self) -> Result<ServeConfig, ConfigError> {
        let Effective { settings, layer, origins } = self.effective()?;
        let hash = show::hash(&layer);
        ServeConfig::of(settings, hash, origins.clone()).map_err(|error| origins.explain(error))
    }

    /// The settings that hold, as a configuration file that says where each came from. Only their keys and types have
    /// been checked, so that it shows where a wrong one came from.
    ///
    /// # Errors
    /// The file cannot be used, or two settings exclude each other.
    pub fn show(self, secrets: Secrets) -> Result<String, ConfigError> {
        Ok(show::show(&self.effective()?.layer, secrets, true))
    }

    /// Reads the configuration file and lays flags and variables over it.
    ///
    /// # Errors
    /// The file cannot be used, or two settings exclude each other.
    fn effective(self) -> Result<Effective, ConfigError> {
        let mut layer = self.defaults;
        if let Some(path) = &self.config {
            let (_, tables) = read(path)?;
            layer.extend(layers::layer(tables, &|_| Some(Origin::File(path.clone()))));
        }
        layer.extend(self.given);
        if let Ok(endpoint) = std::env::var(otlp::VARIABLE)
            && !endpoint.is_empty()
        {
            let origin = Origin::Variable(otlp::VARIABLE.to_owned());
            layer.entry(vec!["otlp_endpoint".to_owned()]).or_insert((Value::String(endpoint), origin));
        }
        one_store(&mut layer)?;
        let settings = serde_json::from_value(layers::tables(&layer))
            .map_err(|reason| error("config", format!("does not fit together: {reason}")))?;
        let origins = Origins::of(&layer);
        Ok(Effective { settings, layer, origins })
    }
}

/// Sees to it that the store is named once: its default does not stand beside a file that names it.
fn one_store(layer: &mut Layer) -> Result<(), ConfigError> {
    let origin = |key: &str| layer.get(&vec![key.to_owned()]).map(|(_, origin)| origin.clone());
    match (origin("store"), origin("store_file")) {
        (Some(Origin::Default), Some(_)) => {
            layer.remove(&vec!["store".to_owned()]);
            Ok(())
        }
        (Some(store), Some(file)) => Err(twice(&store, &file)),
        _ => Ok(()),
    }
}

/// The configuration file, by itself, and as tables.
pub(super) fn read(path: &Path) -> Result<(Settings, Map<String, Value>), ConfigError> {
    let at = |reason: &dyn fmt::Display| error("config", format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|reason| at(&reason))?;
    // Checked as settings first, because only that says on which line something is wrong.
    let settings: Settings = toml::from_str(&text).map_err(|reason| at(&toml_fault(&text, &reason)))?;
    if !settings.trace_ratio.is_finite() {
        return Err(at(&"trace_ratio is not a number"));
    }
    let tables = toml::from_str(&text).map_err(|reason| at(&toml_fault(&text, &reason)))?;
    Ok((settings, tables))
}

/// Where a flag's value came from; nothing when it has none.
pub(super) fn origin(matches: &ArgMatches, key: &str) -> Option<Origin> {
    match matches.value_source(key)? {
        ValueSource::CommandLine => Some(Origin::flag(key)),
        ValueSource::EnvVariable => Some(Origin::variable(key)),
        _ => Some(Origin::Default),
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        command.args(arguments())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let settings = Settings::from_arg_matches(matches)?;
        let tables = match serde_json::to_value(&settings) {
            Ok(Value::Object(tables)) => tables,
            // Only a path can be something that is no text.
            _ => return Err(clap::Error::raw(ErrorKind::InvalidUtf8, "a path is not UTF-8\n")),
        };
        let (defaults, given) = layers::layer(tables, &|key| origin(matches, key))
            .into_iter()
            .partition(|(_, (_, origin))| *origin == Origin::Default);
        Ok(Self { config: settings.config, defaults, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl fmt::Debug for ServeArgs {
    /// Without values, some of which are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.values().map(|(_, origin)| origin.to_string())).finish()
    }
}
