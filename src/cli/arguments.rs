//! Reads the command line, and says of a value that cannot be used where it came from and what it is to be.
//!
//! Does: what clap leaves out: that a value came from a variable and not from its flag, and the unit of a number. Does
//! not: know any flag by its name. Called by: `main.rs`.
use std::{env, error::Error as _, ffi::OsString, num::ParseIntError};

use clap::{
    Arg, Command, CommandFactory as _, Error, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Cli;

/// Reads what the process was started with.
///
/// # Errors
/// What cannot be used, ready to be printed; help, too.
pub fn read() -> Result<Cli, Error> {
    let words: Vec<_> = env::args_os().collect();
    let mut command = Cli::command();
    command
        .try_get_matches_from_mut(&words)
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)))
        .map_err(|error| explained(error, &command, words.get(1..).unwrap_or_default()))
}

fn explained(mut error: Error, command: &Command, words: &[OsString]) -> Error {
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let Some(ContextValue::String(shown)) = error.get(kind) else { continue };
        let Some(arg) = declared(command, words, shown) else { continue };
        if kind == ContextKind::InvalidArg
            && let Some(tip) = wanted(&error, arg)
        {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        if let Some(variable) = variable(arg, words) {
            error.insert(kind, ContextValue::String(format!("{arg} (variable {variable})")));
        }
    }
    error
}

/// The argument that clap shows like this, of the command that was asked for or of one above it.
fn declared<'a>(command: &'a Command, words: &[OsString], shown: &str) -> Option<&'a Arg> {
    let mut found = None;
    let mut command = Some(command);
    let mut words = words.iter();
    while let Some(at) = command {
        found = at.get_arguments().find(|arg| arg.to_string() == shown).or(found);
        command = words.find_map(|word| at.find_subcommand(word));
    }
    found
}

/// The variable that a value came from: its flag was not given.
fn variable(arg: &Arg, words: &[OsString]) -> Option<String> {
    let variable = arg.get_env().filter(|variable| env::var_os(variable).is_some())?;
    let long = format!("--{}", arg.get_long()?);
    let is_flag = |word: &OsString| {
        let word = word.to_string_lossy();
        word.strip_prefix(long.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    (!words.iter().any(is_flag)).then(|| variable.to_string_lossy().into_owned())
}

/// What a value is to be, where clap has the text of a library for it.
fn wanted(error: &Error, arg: &Arg) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let unit = arg.get_value_names()?.first()?.as_str();
    if unit == "BOOL" {
        return Some("true or false".to_owned());
    }
    error.source()?.downcast_ref::<ParseIntError>()?;
    // One letter, N for instance, is no unit.
    let unit = if unit.len() > 1 { format!("{}, ", unit.to_lowercase()) } else { String::new() };
    let example = arg.get_default_values().first().map(|text| format!(" such as {}", text.to_string_lossy()));
    Some(format!("{unit}a whole number{}", example.unwrap_or_default()))
}
