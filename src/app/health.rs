//! What the server says of its health: over gRPC, and to the admin port.
use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{event::LogName, server, store::Store};

/// How often the store is asked whether it is ready.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// Proofs are not served as a whole when some log has no more of them: nobody may take its last checkpoint for
/// its newest. Nor when the signer has ended, which before the server itself is a fault.
pub async fn report(health: &HealthReporter, ready: bool, halted: &watch::Receiver<Vec<LogName>>) {
    let is_halted = !halted.borrow().is_empty() || halted.has_changed().is_err();
    for service in server::SERVICES {
        let serving = ready && !(is_halted && service == server::PROOF);
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(service, status).await;
    }
}

/// Keeps gRPC health and `/readyz` true to the store's state and to the signer's, and says when the store's
/// changes; the signer says so itself.
pub async fn watch(
    store: Arc<dyn Store>,
    health: HealthReporter,
    ready: watch::Sender<bool>,
    mut halted: watch::Receiver<Vec<LogName>>,
) {
    let mut signs = true;
    loop {
        tokio::select! {
            () = sleep(HEALTH_INTERVAL) => {}
            changed = halted.changed(), if signs => {
                signs = changed.is_ok();
                if !signs {
                    tracing::error!("the signer has ended: no checkpoint is signed until the server is started again");
                }
                let now = *ready.borrow();
                report(&health, now, &halted).await;
                continue;
            }
        }
        let answer = store.ready().await;
        let now = answer.is_ok();
        if ready.send_replace(now) != now {
            match answer {
                Ok(()) => tracing::info!("the store is back"),
                Err(error) => tracing::error!(%error, "the store is not ready"),
            }
            report(&health, now, &halted).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_health::{
        pb::{HealthCheckRequest, health_server::Health as _},
        server::HealthService,
    };

    use super::*;

    #[tokio::test]
    async fn proofs_are_not_served_when_the_signer_has_ended() {
        let health = HealthReporter::new();
        let (signer, halted) = watch::channel(Vec::new());
        let service = HealthService::from_health_reporter(health.clone());
        let status = async |service_name: &str| {
            let request = HealthCheckRequest { service: service_name.to_owned() };
            let answer = service.check(tonic::Request::new(request)).await.expect("a known service");
            answer.into_inner().status
        };
        let (serving, not_serving) = (1, 2);
        report(&health, true, &halted).await;
        assert_eq!((status(server::PROOF).await, status("").await), (serving, serving));
        drop(signer);
        report(&health, true, &halted).await;
        assert_eq!((status(server::PROOF).await, status("").await), (not_serving, serving));
    }
}
