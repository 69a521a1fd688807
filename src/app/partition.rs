//! Partitions of logs: made by `chancery partition`, or at start for logs that retention removes something of.
use super::{AppError, open};
use crate::{
    config::{ConfigError, PartitionArgs, ServeConfig},
    store::{Store, StoreUrl},
};

/// `chancery partition`.
///
/// # Errors
/// The store cannot be reached, or would not do it.
pub async fn partition(args: PartitionArgs) -> Result<(), AppError> {
    let (url, log, bits) = args.resolve()?;
    let failed = |error| AppError::Store(url.clone(), error);
    let store = open(&url).await?;
    let has = store.partition(&log, bits).await.map_err(failed)?;
    store.close().await;
    println!("log {log} of {url} has partitions of {} events", 1_u64 << has);
    Ok(())
}

/// Sees to it that every log that retention removes something of has partitions of its own.
pub async fn ensure(store: &dyn Store, config: &ServeConfig) -> Result<(), AppError> {
    let failed = |error| AppError::Store(config.store.clone(), error);
    for (log, policy) in &config.retention {
        if store.partition_bits(log).await.map_err(failed)?.is_some() {
            continue;
        }
        // A large log takes a while, in which nobody else can append to it: the operator chooses when.
        let postgres = !matches!(config.store, StoreUrl::Sqlite(_));
        if postgres && store.extent(log).await.map_err(failed)?.size > 0 {
            let reason = format!(
                "{:?}: the log's events lie among other logs'; run `chancery partition {log}` first",
                log.as_str()
            );
            return Err(ConfigError { setting: "retention", reason }.into());
        }
        store.partition(log, policy.partition_bits).await.map_err(failed)?;
    }
    Ok(())
}
