//! Reads that go on for longer than a moment after the server has begun to go away are given up: another one answers them
//! as well. What appends or changes something is waited for (`app::running`). Called by: the reads whose failure the
//! self-audit is told of, and `server::parting` for the others.
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::status;

/// How long a read may go on: most take some milliseconds, a count may take a minute.
const MOMENT: Duration = Duration::from_secs(2);

/// Does this read unless that is over first.
///
/// # Errors
/// Its own, or that the server goes away.
pub async fn unless_over<T>(
    drain: &CancellationToken,
    read: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let over = async {
        drain.cancelled().await;
        sleep(MOMENT).await;
    };
    tokio::select! {
        answer = read => answer,
        () = over => Err(status::draining()),
    }
}
