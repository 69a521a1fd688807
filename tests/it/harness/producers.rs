//! Producers as clients see them, and as they must be by what else is stored.
use chancery::proto::v1::{
    AppendRequest, GetProducerRequest, GetProducerResponse, ListProducersRequest, NewEvent, Producer,
    producer_service_client::ProducerServiceClient,
};
use tonic::{Request, transport::Channel};

use super::{
    TestStore,
    calls::{from_producer, per_event},
    database::Database,
};

/// A client of `ProducerService`.
pub type Producers = ProducerServiceClient<Channel>;

/// An event with its producer's number.
pub fn numbered(event: NewEvent, epoch: Option<u64>, number: u64) -> NewEvent {
    NewEvent { producer_sequence: Some(number), producer_epoch: epoch, ..event }
}

/// A PER_EVENT batch of a producer.
pub fn batch(producer: &str, events: Vec<NewEvent>) -> Request<AppendRequest> {
    from_producer(producer, per_event(events))
}

/// Every producer that a request selects, page after page.
pub async fn list(producers: &mut Producers, mut request: ListProducersRequest) -> Vec<Producer> {
    let mut listed = Vec::new();
    loop {
        let page = producers.list_producers(request.clone()).await.expect("a page").into_inner();
        listed.extend(page.producers);
        if page.next_page_token.is_empty() {
            return listed;
        }
        assert_ne!(page.next_page_token, request.page_token, "the list goes on");
        request.page_token = page.next_page_token;
    }
}

/// One producer of the default log.
pub async fn get(producers: &mut Producers, producer: &str) -> GetProducerResponse {
    let request = GetProducerRequest { producer: producer.to_owned(), ..GetProducerRequest::default() };
    producers.get_producer(request).await.expect("a producer").into_inner()
}

/// The gaps of an answer, lowest first: epoch, first and last number.
pub fn gaps(answer: &GetProducerResponse) -> Vec<(u64, u64, u64)> {
    let gaps = answer.gaps.iter().rev();
    gaps.map(|gap| (gap.epoch, gap.from_sequence, gap.to_sequence)).collect()
}

/// Asserts that the tables of producers say what the events and the quarantine do, and agree among
/// themselves.
pub async fn assert_exact(store: &TestStore) {
    let mut database = Database::open(store).await;
    let of = |table: &str| format!("{table} AS each WHERE each.log = p.log AND each.producer = p.producer");
    let (events, quarantine) = (of("events"), of("quarantine"));
    let wrong = format!(
        "SELECT count(*) FROM producers AS p WHERE
            p.events <> (SELECT count(*) FROM {events})
            OR p.quarantined <> (SELECT count(*) FROM {quarantine})
            OR coalesce(p.last_position, -1) <> (SELECT coalesce(max(each.position), -1) FROM {events})
            OR p.first_seen > p.last_seen OR p.first_seen <= 0"
    );
    assert_eq!(database.number(&wrong).await, 0, "counts on {:?}", store.kind);
    for table in ["events", "quarantine"] {
        let unknown = format!(
            "SELECT count(*) FROM {table} AS e WHERE NOT EXISTS
                (SELECT 1 FROM producers AS p WHERE p.log = e.log AND p.producer = e.producer)"
        );
        assert_eq!(database.number(&unknown).await, 0, "producers of {table} on {:?}", store.kind);
    }
    let gaps =
        "FROM producer_gaps AS g WHERE g.log = p.log AND g.producer = p.producer AND g.epoch = p.epoch";
    let wrong = format!(
        "SELECT count(*) FROM producer_epochs AS p WHERE
            p.gaps <> (SELECT count(*) {gaps})
            OR p.last_sequence - p.first_sequence + 1 - p.seen
                <> (SELECT coalesce(sum(g.to_sequence - g.from_sequence + 1), 0) {gaps})"
    );
    assert_eq!(database.number(&wrong).await, 0, "epochs on {:?}", store.kind);
}
