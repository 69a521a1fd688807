//! Keeps true what the server says of its health: over gRPC, and on the admin port.
use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    event::LogName,
    server::{
        self,
        checks::{Check, Readiness},
    },
    store::{Store, StoreError},
};

/// How often the store is asked whether it is ready.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long it may take to answer: a host that has stopped answering is not ready either.
const ANSWER: Duration = Duration::from_secs(10);

/// Mirrors readiness. The whole server is ready or not, as `/readyz` says; a service is well when what it does can be done.
/// With a full disk everything can be read, and appends are told to come back, which a balancer that finds no server at
/// all could not tell them. Proofs are not served as a whole when some log has no more of them: nobody may take its last
/// checkpoint for its newest. Nor when the signer has ended, which before the server itself is a fault.
pub async fn report(health: &HealthReporter, readiness: &Readiness, halted: &watch::Receiver<Vec<LogName>>) {
    let is_halted = !halted.borrow().is_empty() || halted.has_changed().is_err();
    for service in server::SERVICES {
        let serving = match service {
            server::ALL => readiness.is_ready(),
            server::PROOF => readiness.reads() && !is_halted,
            _ => readiness.reads(),
        };
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        health.set_service_status(service, status).await;
    }
}

/// Keeps gRPC health true to what is found of the store, of its disk and of the signer.
pub async fn mirror(
    health: HealthReporter,
    readiness: watch::Sender<Readiness>,
    mut halted: watch::Receiver<Vec<LogName>>,
) {
    let mut changes = readiness.subscribe();
    let mut signs = true;
    loop {
        // Before anything is reported: who hears of a halted log over gRPC finds its name on the admin port.
        let logs = halted.borrow_and_update().clone();
        readiness.send_if_modified(|readiness| {
            let changed = readiness.halted != logs;
            readiness.halted = logs;
            changed
        });
        let now = changes.borrow_and_update().clone();
        report(&health, &now, &halted).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = halted.changed(), if signs => {
                signs = changed.is_ok();
                if !signs {
                    tracing::error!("the signer has ended: no checkpoint is signed until the server is started again");
                }
            }
        }
    }
}

/// Asks the store now and then, and says when its answer changes.
pub async fn watch(store: Arc<dyn Store>, readiness: watch::Sender<Readiness>) {
    loop {
        sleep(INTERVAL).await;
        let answer = timeout(ANSWER, store.ready()).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!("no answer within {} s", ANSWER.as_secs()).into()))
        });
        let fault = answer.as_ref().err().map(|error| format!("{error}; appends and queries wait for it"));
        let changed = Readiness::tell(&readiness, Check::Store, fault);
        match answer {
            _ if !changed => {}
            Ok(()) => tracing::info!("the store is back"),
            Err(error) => tracing::error!(%error, "the store is not ready"),
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

    async fn status(service: &HealthService, name: &str) -> i32 {
        let request = HealthCheckRequest { service: name.to_owned() };
        let answer = service.check(tonic::Request::new(request)).await.expect("a known service");
        answer.into_inner().status
    }

    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;

    #[tokio::test]
    async fn proofs_are_not_served_when_the_signer_has_ended() {
        let health = HealthReporter::new();
        let (signer, halted) = watch::channel(Vec::new());
        let service = HealthService::from_health_reporter(health.clone());
        let ready = Readiness::default();
        report(&health, &ready, &halted).await;
        assert_eq!(status(&service, server::PROOF).await, SERVING);
        assert_eq!(status(&service, server::ALL).await, SERVING);
        drop(signer);
        report(&health, &ready, &halted).await;
        assert_eq!(status(&service, server::PROOF).await, NOT_SERVING);
        assert_eq!(status(&service, server::ALL).await, SERVING);
    }

    #[tokio::test]
    async fn with_a_full_disk_the_server_is_not_ready_and_its_services_are_well() {
        let health = HealthReporter::new();
        let (_signer, halted) = watch::channel(Vec::new());
        let service = HealthService::from_health_reporter(health.clone());
        for (check, of_services) in [(Check::Disk, SERVING), (Check::Store, NOT_SERVING)] {
            let mut readiness = Readiness::default();
            readiness.set(check, Some("not so".to_owned()));
            report(&health, &readiness, &halted).await;
            for name in server::SERVICES {
                let expected = if name == server::ALL { NOT_SERVING } else { of_services };
                assert_eq!(status(&service, name).await, expected, "{name:?}, {check:?}");
            }
        }
    }
}
