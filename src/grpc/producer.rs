//! `ProducerService`: what the logs know of their producers, as messages. What is counted is decided in
//! `ingest::producers`.
use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::{audit::Audit, may, status, told};
use crate::{
    auth::{
        Logs, ProducerGrant, Role,
        rules::{ABOUT_ROLES, OWN_ROLES},
    },
    event::{AUDIT_LOG, LogName, Producer, timestamp},
    journal::Entry,
    proto::{servers::producer_service_server::ProducerService, v1},
    store::{EpochRow, Gap, ProducerPage, ProducerRow},
};

/// Producers of a page when the caller does not say.
const DEFAULT_PAGE: u32 = 100;
/// Producers of a page at most.
const LARGEST_PAGE: u32 = 1000;
/// Longest silence to ask for: above that, microseconds before now could lie before 1970.
const MOST_SILENCE_SECONDS: i64 = 100 * 366 * 24 * 3600;

/// The service.
pub struct ProducerRpc(pub Arc<Audit>);

#[tonic::async_trait]
impl ProducerService for ProducerRpc {
    async fn list_producers(
        &self,
        request: Request<v1::ListProducersRequest>,
    ) -> Result<Response<v1::ListProducersResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let limit = match u32::try_from(request.page_size) {
            Err(_) => return Err(status::invalid("INVALID_PAGE_SIZE", "page_size", "is negative")),
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(LARGEST_PAGE),
        };
        let log = match request.log.as_str() {
            "" if ABOUT_ROLES.iter().any(|role| caller.grants.has_for_all(*role)) => None,
            // The logs of others stay out of sight.
            "" => return Err(status::all_logs_not_allowed()),
            name => Some(may::know(&caller, name)?),
        };
        let silence = request.silent_for.as_ref().map(silence).transpose()?;
        let list = format!("{}:{silence:?}", request.log);
        let after = after(&request.page_token, &list)?;
        // One more than is shown tells whether there is a next page.
        let page = ProducerPage {
            log: log.as_ref(),
            producer: None,
            seen_until: silence.map(|silence| self.0.clock.now_micros().saturating_sub(silence)),
            after: after.as_ref().map(|(log, producer)| (log.as_str(), producer.as_str())),
            limit: limit + 1,
        };
        let mut rows = self.0.store.producers(&page).await.map_err(|error| status::store(&error))?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| page_token(&row.log, &row.producer, &list));
        // Of all logs: all but the self-audit, which has to be named.
        rows.retain(|row| log.is_some() || row.log != AUDIT_LOG);
        let who = told::who(&caller);
        let entry = Entry::producers_read(&who, caller.method, log.as_ref(), rows.len() as u64);
        self.0.journal.record(entry);
        Ok(Response::new(v1::ListProducersResponse {
            producers: rows.into_iter().map(message).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get_producer(
        &self,
        request: Request<v1::GetProducerRequest>,
    ) -> Result<Response<v1::GetProducerResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let producer = Producer::parse(&request.producer)
            .map_err(|what| status::invalid("INVALID_PRODUCER", "producer", what))?;
        // A producer sees its own line.
        let roles: &[Role] = if producer == *caller.name() { OWN_ROLES } else { ABOUT_ROLES };
        let log = may::has(&caller, &request.log, roles)?;
        let found = self.0.store.producer(&log, &producer).await.map_err(|error| status::store(&error))?;
        let found = found.ok_or_else(|| {
            let message = format!("log {log} has no event of a producer {:?}", producer.as_str());
            status::not_found("PRODUCER_NOT_FOUND", message, &[])
        })?;
        let entry = Entry::producers_read(&told::who(&caller), caller.method, Some(&log), 1);
        self.0.journal.record(entry.with("producer", producer.as_str()));
        Ok(Response::new(v1::GetProducerResponse {
            producer: Some(message(found.row)),
            epochs: found.epochs.into_iter().map(epoch).collect(),
            gaps: found.gaps.into_iter().map(gap).collect(),
            limits: Some(self.limits(&producer)),
        }))
    }
}

impl ProducerRpc {
    fn limits(&self, producer: &Producer) -> v1::ProducerLimits {
        let [(events_per_second, burst_events), (bytes_per_second, burst_bytes)] =
            self.0.producers.rates(producer).figures();
        let access = self.0.authenticator.current();
        let grant = access.table().map(|table| table.producers.get(producer).map(Arc::as_ref));
        let (no_logs, logs, families) = match grant {
            None => (false, None, None),
            Some(None) => (true, None, None),
            Some(Some(ProducerGrant { logs: Logs::All, families, .. })) => (false, None, families.as_ref()),
            Some(Some(ProducerGrant { logs: Logs::Named(logs), families, .. })) => {
                (logs.is_empty(), Some(logs), families.as_ref())
            }
        };
        v1::ProducerLimits {
            events_per_second,
            burst_events,
            bytes_per_second,
            burst_bytes,
            no_logs,
            logs: logs.into_iter().flatten().map(|log| log.as_str().to_owned()).collect(),
            families: families.into_iter().flatten().map(|family| family.proto() as i32).collect(),
            no_families: families.is_some_and(BTreeSet::is_empty),
        }
    }
}

/// A silence in microseconds.
fn silence(span: &pbjson_types::Duration) -> Result<i64, Status> {
    let pbjson_types::Duration { seconds, nanos } = *span;
    if !(0..=MOST_SILENCE_SECONDS).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(status::invalid("INVALID_SILENCE", "silent_for", "is not between 0 and 100 years"));
    }
    Ok(seconds * 1_000_000 + i64::from(nanos) / 1_000)
}

/// A token is the last log and producer, and a digest of what is listed: a page of another list would skip.
fn page_token(log: &str, producer: &str, list: &str) -> String {
    let digest = Sha256::digest(list);
    URL_SAFE_NO_PAD.encode([&digest[..8], format!("{log}\n{producer}").as_bytes()].concat())
}

/// The log and producer behind which the page of a token begins.
fn after(token: &str, list: &str) -> Result<Option<(LogName, Producer)>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (log, producer) = str::from_utf8(bytes.get(8..)?).ok()?.split_once('\n')?;
        let (log, producer) = (LogName::parse(log).ok()?, Producer::parse(producer).ok()?);
        (page_token(log.as_str(), producer.as_str(), list) == token).then_some((log, producer))
    };
    let description = "is not a page token of this list; begin again without one";
    read().map(Some).ok_or_else(|| status::invalid("INVALID_PAGE_TOKEN", "page_token", description))
}

fn message(row: ProducerRow) -> v1::Producer {
    v1::Producer {
        log: row.log,
        producer: row.producer,
        first_seen: Some(timestamp(row.first_seen)),
        last_seen: Some(timestamp(row.last_seen)),
        last_position: row.last_position,
        events: row.events,
        quarantined_events: row.quarantined,
        missing_sequences: row.missing,
        gap_count: row.gaps,
    }
}

fn epoch(EpochRow { number, epoch }: EpochRow) -> v1::ProducerEpoch {
    v1::ProducerEpoch {
        epoch: number,
        first_sequence: epoch.first_sequence,
        last_sequence: epoch.last_sequence,
        seen_sequences: epoch.seen,
        repeated_events: epoch.repeated,
        missing_sequences: epoch.missing(),
        gap_count: epoch.gaps,
        first_seen: Some(timestamp(epoch.first_seen)),
        last_seen: Some(timestamp(epoch.last_seen)),
    }
}

fn gap((epoch, gap): (u64, Gap)) -> v1::SequenceGap {
    v1::SequenceGap {
        epoch,
        from_sequence: gap.from,
        to_sequence: gap.to,
        seen_at: Some(timestamp(gap.seen_at)),
    }
}
