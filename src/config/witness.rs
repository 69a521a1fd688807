//! The settings of `chancery witness`.
use std::{net::SocketAddr, path::PathBuf};

use super::{ConfigError, error};
use crate::{
    files,
    note::{Cosigner, Kind, VerifierKey},
};

/// One head is kept in memory and one file on disk for each.
const MOST_LOGS: usize = 4096;

/// Flags of `chancery witness`.
#[derive(clap::Args, Clone, Debug)]
pub struct WitnessArgs {
    /// File with the witness's key, which nobody but its owner may use (`chancery keys generate --witness`).
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Verifier key of a log whose checkpoints are cosigned (`chancery keys show --log`); may be repeated.
    #[arg(long, value_name = "KEY", required = true)]
    pub log: Vec<String>,
    /// Address for HTTP; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7380")]
    pub listen: String,
    /// Folder for the last head of each log, of this witness alone.
    #[arg(long, value_name = "FOLDER", default_value = "chancery-witness")]
    pub state: PathBuf,
    /// What is logged: error, warn, info, debug.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// How log lines look: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
}

/// The checked settings of a witness.
#[derive(Debug)]
pub struct WitnessConfig {
    pub key: Cosigner,
    pub logs: Vec<VerifierKey>,
    pub listen: SocketAddr,
    pub state: PathBuf,
    pub log_level: String,
    pub log_format: crate::telemetry::LogFormat,
}

impl WitnessArgs {
    /// Reads the keys and checks every value.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn resolve(self) -> Result<WitnessConfig, ConfigError> {
        let text = files::read_private(&self.key).map_err(|reason| error("key", reason))?;
        let key = Cosigner::parse(text.trim_end())
            .map_err(|reason| error("key", format!("{}: {reason}", self.key.display())))?;
        if self.log.len() > MOST_LOGS {
            return Err(error("log", format!("more than {MOST_LOGS} logs")));
        }
        let mut logs = Vec::new();
        for text in &self.log {
            let log =
                VerifierKey::parse(text).map_err(|reason| error("log", format!("{text:?}: {reason}")))?;
            if log.kind() != Kind::Log {
                return Err(error("log", format!("{text:?} is the key of a witness, not that of a log")));
            }
            logs.push(log);
        }
        let listen = self.listen.parse().map_err(|_| {
            error("listen", format!("{:?} is not an address such as 127.0.0.1:7380", self.listen))
        })?;
        let log_format = self.log_format.parse().map_err(|reason| error("log_format", reason))?;
        Ok(WitnessConfig { key, logs, listen, state: self.state, log_level: self.log_level, log_format })
    }
}
