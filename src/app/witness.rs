//! `chancery witness`: composes a witness and runs it until a signal.
use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{AppError, FAREWELL, Signals, bound, connections::unusable, listen};
use crate::{
    clock::SystemClock,
    config::{ConfigError, WitnessArgs},
    files::Folder,
    telemetry,
    witness::{self, Witness},
};

/// Runs a witness until a signal.
///
/// # Errors
/// Why it could not start.
pub async fn witness(args: WitnessArgs) -> Result<(), AppError> {
    let config = args.resolve()?;
    telemetry::init(&config.log_level, config.log_format, None)
        .map_err(|reason| ConfigError { setting: "log_level", reason })?;
    let refused = |reason| ConfigError { setting: "state", reason };
    let folder = Folder::open(&config.state).map_err(refused)?;
    let witness = Witness::open(config.key, config.logs, folder, Arc::new(SystemClock)).map_err(refused)?;
    let listener = listen("listen", config.listen)?;
    let address = bound("listen", &listener, config.listen)?;
    let mut signals = Signals::new().map_err(AppError::Signal)?;
    tracing::info!(http = %address, key = %witness.verifier(), "witnessing");
    let stop = CancellationToken::new();
    let serving = witness::serve(listener, Arc::new(witness), stop.clone().cancelled_owned());
    let mut serving = tokio::spawn(serving);
    tokio::select! {
        ended = &mut serving => {
            // The listener only ends by itself when it is broken.
            return ended.unwrap_or(Ok(())).map_err(|error| unusable("listen", address, &error));
        }
        () = signals.end() => {}
    }
    stop.cancel();
    // Calls that run are answered; an idle connection never ends by itself.
    let _ = timeout(FAREWELL, serving).await;
    tracing::info!("ended");
    Ok(())
}
