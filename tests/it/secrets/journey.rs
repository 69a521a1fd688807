//! Secrets on every way that a request can take.
use std::{fmt::Write as _, time::Duration};

use chancery::proto::v1::{
    AppendRequest, AppendResult, AppendStreamRequest, AttributeMatch, CountEventsRequest,
    DiscardQuarantinedRequest, Event, EventFilter, GetEventRequest, GetEventTypeRequest,
    ListProducersRequest, ListQuarantinedRequest, NewEvent, QueryRequest, ReplayQuarantinedRequest,
    audit_service_client::AuditServiceClient, new_event::Family,
    producer_service_client::ProducerServiceClient, quarantine_service_client::QuarantineServiceClient,
};
use prost::Message as _;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::{
    CANARY, generated,
    places::{self, Place},
    wire::{Tee, cut_off},
};
use crate::harness::{
    calls::{Audit, atomic, everything, per_event},
    events::fresh_id,
    server::Server,
    stream::Stream,
    until,
};

/// A client that sends and takes messages of any size.
pub fn audit(channel: Channel) -> Audit {
    AuditServiceClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX)
}

/// The same event once more, as another one.
fn anew(event: &NewEvent) -> NewEvent {
    NewEvent { event_id: fresh_id(), ..event.clone() }
}

/// Everything that was answered, as text: messages, status messages, their details and metadata.
pub async fn travel(server: &Server, tee: &Tee) -> String {
    let mut said = String::new();
    let mut client = audit(tee.channel().await);
    let mut all: Vec<NewEvent> = Vec::new();
    for Place { event, .. } in places::all() {
        all.push(event);
    }
    for generated::Generated { attribute, event } in generated::all() {
        let answer = client.append(per_event(vec![event.clone()])).await.expect("an answer").into_inner();
        let fate = answer.results[0].result();
        assert!(
            [AppendResult::Accepted, AppendResult::Quarantined].contains(&fate),
            "{attribute}: {answer:?}"
        );
        if fate == AppendResult::Accepted {
            let get = GetEventRequest { position: answer.results[0].position, ..GetEventRequest::default() };
            let event = client.get_event(get).await.expect("the event").into_inner().event.expect("an event");
            let dropped = event.attributes.iter().any(|each| each.dropped && each.name == attribute);
            assert!(dropped, "{attribute} is not marked: {event:?}");
        }
        all.push(event);
    }
    fates(&mut client, &all, &mut said).await;
    malformed(&mut client, &all, &mut said).await;
    oversized(&mut client, &all, &mut said).await;
    streamed(tee, &all, &mut said).await;
    cancelled(server, &mut client, &all).await;
    read(tee, &mut client, &mut said).await;
    said
}

/// Validated only, refused, accepted or quarantined, sent again, and in conflict with what is stored.
async fn fates(client: &mut Audit, all: &[NewEvent], said: &mut String) {
    for event in all {
        let event = &anew(event);
        for request in [atomic(vec![event.clone()]), per_event(vec![event.clone()])] {
            let dry = AppendRequest { validate_only: true, ..request };
            let _ = write!(said, "{:?}", client.append(dry).await);
        }
        for request in [atomic, per_event, per_event, atomic] {
            let _ = write!(said, "{:?}", client.append(request(vec![event.clone()])).await);
        }
        // Other public content under the same id.
        let other = NewEvent { correlation_id: "another".to_owned(), ..event.clone() };
        for request in [atomic, per_event] {
            let _ = write!(said, "{:?}", client.append(request(vec![other.clone()])).await);
        }
    }
    for wanted in ["EVENT_ID_REUSED", "UNKNOWN_EVENT_CODE", "CATALOG_VIOLATION", "MALFORMED_EVENT"] {
        assert!(said.contains(wanted), "no event met {wanted}");
    }
}

/// Fills a public field of an event.
fn with_public(event: &NewEvent, text: &str) -> NewEvent {
    let mut event = anew(event);
    match event.family.as_mut().expect("a family") {
        Family::CmsAudit(it) => it.description = text.to_owned(),
        Family::CmsNotification(it) => it.description = text.to_owned(),
        Family::AsAudit(it) => it.domain = Some(text.to_owned()),
        Family::TokenServer(it) => it.client_id = Some(text.to_owned()),
        Family::Chancery(_) => unreachable!("no client's"),
    }
    event
}

/// Refused before anything is known of the fields: the secret is in another one than the fault, or the fault itself.
async fn malformed(client: &mut Audit, all: &[NewEvent], said: &mut String) {
    let mut bad = Vec::new();
    for event in all {
        bad.push(NewEvent { event_id: "no-uuid".to_owned(), ..event.clone() });
        bad.push(NewEvent { occurred_at: None, ..anew(event) });
        bad.push(with_public(event, "a\0b"));
        bad.push(with_public(event, &"x".repeat(9000)));
        bad.push(with_public(event, &"x".repeat(70_000)));
    }
    for secret in [format!("{CANARY}\0"), CANARY.repeat(2000), CANARY.repeat(20_000)] {
        bad.push(places::unlock_challenge("20011", 100, &secret));
        bad.push(places::listed("createUser", &[("TRA", &secret)]));
        bad.push(places::raw(&format!("TRA=\"{secret}\" Action=createUser")));
        // The code itself, where something else should be.
        bad.push(places::unlock_challenge("20011", 100, "1"));
        if let Some(Family::CmsAudit(it)) = &mut bad.last_mut().expect("an event").family {
            it.char2 = Some(secret);
        }
    }
    for event in bad {
        for request in [atomic, per_event] {
            let _ = write!(said, "{:?}", client.append(request(vec![event.clone()])).await);
        }
    }
    assert!(said.contains("EVENT_TOO_LARGE"));
}

/// Refused by their number and their size.
async fn oversized(client: &mut Audit, all: &[NewEvent], said: &mut String) {
    let many: Vec<_> = all.iter().cycle().take(1001).map(anew).collect();
    let large: Vec<_> =
        all.iter().cycle().take(600).map(|event| with_public(event, &"x".repeat(8000))).collect();
    for (batch, reason) in [(many, "BATCH_TOO_LARGE"), (large, "MESSAGE_TOO_LARGE")] {
        let refused = client.append(atomic(batch)).await.expect_err("refused");
        let text = format!("{refused:?}");
        assert!(text.contains(reason), "{text}");
        said.push_str(&text);
    }
}

/// On a stream, good and bad ones together.
async fn streamed(tee: &Tee, all: &[NewEvent], said: &mut String) {
    let mut client = audit(tee.channel().await);
    let mut stream = Stream::of(&mut client, "streamer").await.expect("a stream");
    let batches: Vec<_> = all.chunks(10).collect();
    for (number, batch) in batches.iter().enumerate() {
        let mut events: Vec<_> = batch.iter().map(anew).collect();
        events.push(NewEvent { event_id: "no-uuid".to_owned(), ..batch[0].clone() });
        stream.send(number as u64 + 1, events).await;
    }
    loop {
        let answer = stream.answer().await;
        let _ = write!(said, "{answer:?}");
        if format!("{answer:?}").contains(&format!("acked_through: {}", batches.len())) {
            break;
        }
    }
    // A message that is too large ends it.
    let large = all.iter().cycle().take(600).map(|event| with_public(event, &"x".repeat(8000))).collect();
    stream.send(batches.len() as u64 + 1, large).await;
    while let Ok(Some(answer)) = stream.next().await.inspect_err(|error| {
        let _ = write!(said, "{error:?}");
    }) {
        let _ = write!(said, "{answer:?}");
    }
}

/// Left before the answer, and before the message was there.
async fn cancelled(server: &Server, client: &mut Audit, all: &[NewEvent]) {
    for (at, event) in all.iter().enumerate() {
        let patience = Duration::from_micros(200 * (at as u64 % 10));
        drop(timeout(patience, client.append(per_event(vec![anew(event)]))).await);
    }
    let message = per_event(all.iter().map(anew).collect()).encode_to_vec();
    let batch = AppendStreamRequest {
        batch_number: 1,
        events: all.iter().map(anew).collect(),
        ..AppendStreamRequest::default()
    };
    let batch = batch.encode_to_vec();
    for part in 1..=8 {
        cut_off(server, "Append", &message, message.len() * part / 8).await;
        cut_off(server, "AppendStream", &batch, batch.len() * part / 8 + 5).await;
    }
    let mut stream = Stream::open(server).await;
    stream.send(1, all.iter().map(anew).collect()).await;
    // Perhaps while it is worked on.
    drop(stream.answer().await);
}

/// Read back, in every way that there is.
async fn read(tee: &Tee, client: &mut Audit, said: &mut String) {
    for event in everything(client, "").await {
        let _ = write!(said, "{event:?}");
    }
    let groups = ["family", "code", "name", "category", "outcome", "producer"].map(str::to_owned).to_vec();
    let count = CountEventsRequest { group_by: groups, ..CountEventsRequest::default() };
    let _ = write!(said, "{:?}", client.count_events(count).await.expect("counts"));
    let mut producers = ProducerServiceClient::new(tee.channel().await);
    let _ = write!(said, "{:?}", producers.list_producers(ListProducersRequest::default()).await);
    let mut quarantine =
        QuarantineServiceClient::new(tee.channel().await).max_decoding_message_size(usize::MAX);
    let request = ListQuarantinedRequest::default();
    let mut list = quarantine.list_quarantined(request).await.expect("a list").into_inner();
    let mut ids = Vec::new();
    while let Some(message) = list.message().await.expect("a message") {
        let _ = write!(said, "{message:?}");
        ids.push(message.event.expect("an event").id);
    }
    assert!(ids.len() > 20, "{} are in quarantine", ids.len());
    // The catalog refuses them as before.
    let request = ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() };
    let _ = write!(said, "{:?}", quarantine.replay_quarantined(request).await.expect("a replay"));
    let request = DiscardQuarantinedRequest {
        ids: ids.split_off(ids.len() - 5),
        reason: "kept-discarded".to_owned(),
        ..DiscardQuarantinedRequest::default()
    };
    let _ = write!(said, "{:?}", quarantine.discard_quarantined(request).await.expect("discarded"));
}

/// Somebody looks for a secret that they have. The answers say what was asked; nothing else does.
pub async fn look_for(server: &Server) {
    let mut client = server.audit().await;
    for name in ["challenge_code", "session_transfer_code", "access_token", "no_such_attribute"] {
        let value = format!("{CANARY}-{name}");
        let filter = EventFilter {
            attributes: vec![AttributeMatch { name: name.to_owned(), value: value.clone() }],
            ..EventFilter::default()
        };
        let request = QueryRequest { filter: Some(filter.clone()), ..QueryRequest::default() };
        let answer = client.query(request).await.expect("a query");
        drain(answer.into_inner()).await;
        let count = CountEventsRequest { filter: Some(filter), ..CountEventsRequest::default() };
        drop(client.count_events(count).await.expect("counts"));
        for expression in [
            format!("attributes.{name} = \"{value}\""),
            format!("attributes.{name} = \"{value}*\""),
            format!("attributes.{name}:\"{value}\" OR actor = \"ann\""),
            // Not one.
            format!("attributes.{name} = \"{value}"),
            format!("{value} = 1 AND ("),
        ] {
            let request = QueryRequest { r#where: expression.clone(), ..QueryRequest::default() };
            if let Ok(answer) = client.query(request).await {
                drain(answer.into_inner()).await;
            }
            let count = CountEventsRequest { r#where: expression, ..CountEventsRequest::default() };
            drop(client.count_events(count).await);
        }
        let asked = GetEventTypeRequest { code: value.clone(), ..GetEventTypeRequest::default() };
        drop(server.catalog().await.get_event_type(asked).await);
        let asked =
            GetEventRequest { producer: value.clone(), event_id: value, ..GetEventRequest::default() };
        drop(client.get_event(asked).await);
    }
    // A credential is a secret too, whether it is believed or not.
    for value in [format!("Bearer {CANARY}-bearer"), format!("Basic {CANARY}")] {
        let mut request = tonic::Request::new(QueryRequest { limit: 1, ..QueryRequest::default() });
        request.metadata_mut().insert("authorization", value.parse().expect("a header value"));
        if let Ok(answer) = client.query(request).await {
            drain(answer.into_inner()).await;
        }
    }
    // The self-audit has told what was asked for, and not which value.
    let told = "attributes.challenge_code = \"\u{2026}\"";
    let is_told = |event: &Event| event.attributes.iter().any(|each| each.value == told);
    until("the queries are in the self-audit", || {
        let mut client = client.clone();
        async move { everything(&mut client, "audit").await.iter().any(is_told) }
    })
    .await;
}

async fn drain(mut answer: tonic::Streaming<chancery::proto::v1::QueryResponse>) {
    while let Ok(Some(_)) = answer.message().await {}
}

/// Takes everything out of quarantine, on a server that accepts it.
pub async fn replay(server: &Server) -> String {
    let mut quarantine = server.quarantine().await;
    let before = everything(&mut server.audit().await, "").await.len();
    let request = ReplayQuarantinedRequest { all: true, ..ReplayQuarantinedRequest::default() };
    let answer = quarantine.replay_quarantined(request).await.expect("a replay").into_inner();
    let mut said = format!("{answer:?}");
    let after = everything(&mut server.audit().await, "").await;
    assert!(after.len() > before, "nothing was replayed: {said}");
    let _ = write!(said, "{after:?}");
    said
}

/// What the command line prints when it sends and reads them.
pub fn command_line(server: &Server) -> String {
    use crate::harness::cli::run;
    let mut said = String::new();
    let lines: String = places::all()
        .iter()
        .map(|place| serde_json::to_string(&anew(&place.event)).expect("JSON") + "\n")
        .collect();
    for mode in ["atomic", "per-event"] {
        let ran = run(&mut server.cli(&["append", "--mode", mode, "--batch", "5"]), &lines);
        let _ = write!(said, "{ran:?}");
    }
    for output in ["table", "json", "csv", "ndjson"] {
        let ran = run(&mut server.cli(&["query", "-o", output]), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        let _ = write!(said, "{}{}", ran.out, ran.err);
    }
    let ran = run(&mut server.cli(&["quarantine", "list", "-o", "json"]), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let _ = write!(said, "{ran:?}");
    said
}
