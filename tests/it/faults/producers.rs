//! Producers as they are in life: each sends batch after batch, keeps what is not answered, and sends it
//! again with the same ids, to whatever address the server has by then.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chancery::proto::v1::{AppendMode, AppendRequest, NewEvent};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status, transport::Endpoint};
use tonic_types::StatusExt as _;

use super::{
    Random,
    ledger::{Kind, Ledger, Sent},
    stream,
};
use crate::harness::{
    calls::{Audit, from_producer},
    events,
};

/// How a producer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    Atomic,
    PerEvent,
    Stream,
}

/// One of each two, and one more of the last.
pub const STYLES: [Style; 5] = [Style::Atomic, Style::PerEvent, Style::Stream, Style::Stream, Style::Atomic];

/// Running producers.
pub struct Producers {
    tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    ledger: Ledger,
}

impl Producers {
    /// Starts one producer per style. `address` is where the server is now; several have a comma between them.
    pub fn start(
        styles: &[Style],
        address: &watch::Receiver<String>,
        ledger: &Ledger,
        random: &mut Random,
    ) -> Self {
        Self::named("producer", styles, address, ledger, random)
    }

    /// The same, for producers of different replicas, which must not share their names.
    pub fn named(
        name: &str,
        styles: &[Style],
        address: &watch::Receiver<String>,
        ledger: &Ledger,
        random: &mut Random,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = styles.iter().enumerate().map(|(at, style)| {
            let producer = Producer {
                name: format!("{name}-{at}"),
                style: *style,
                random: random.branch(),
                ledger: ledger.clone(),
                address: address.clone(),
                clients: at,
                stop: Arc::clone(&stop),
            };
            match style {
                Style::Stream => tokio::spawn(stream::run(producer)),
                Style::Atomic | Style::PerEvent => tokio::spawn(producer.run()),
            }
        });
        Self { tasks: tasks.collect(), stop, ledger: ledger.clone() }
    }

    /// Lets every producer get an answer to what it has sent.
    pub async fn finish(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            match timeout(Duration::from_secs(120), task).await {
                Ok(ended) => ended.expect("a producer"),
                Err(_) => self.ledger.stuck("a producer was not answered for two minutes"),
            }
        }
    }
}

/// One producer.
pub struct Producer {
    pub name: String,
    style: Style,
    random: Random,
    pub ledger: Ledger,
    address: watch::Receiver<String>,
    /// Clients made so far.
    clients: usize,
    stop: Arc<AtomicBool>,
}

impl Producer {
    /// Whether what is sent already is all that it has to send.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A client of the server where it is now, of several the next one. Connects when it is used.
    pub fn client(&mut self) -> Audit {
        let servers = self.address.borrow_and_update().clone();
        let server = servers.split(',').cycle().nth(self.clients).expect("an address");
        self.clients += 1;
        let url = format!("http://{server}");
        let endpoint = Endpoint::from_shared(url).expect("a URL");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(90));
        Audit::new(endpoint.connect_lazy())
    }

    /// A while between two batches.
    pub async fn pause(&mut self) {
        sleep(Duration::from_micros(self.random.below(10_000))).await;
    }

    /// The next events to send.
    pub fn batch(&mut self) -> Vec<Sent> {
        let size = if self.random.percent(3) { 100 } else { self.random.below(8) + 1 };
        // An atomic batch with one bad event is refused as a whole, so there are few of them.
        let spoilt = self.style == Style::Atomic && self.random.percent(6);
        let bad = if spoilt { self.random.below(size) } else { size };
        (0..size)
            .map(|at| {
                let kind = match (self.style, self.random.below(100)) {
                    (_, 0..10) => Kind::Again,
                    (Style::Atomic, roll) if at == bad => {
                        [Kind::Reused, Kind::Unknown, Kind::Malformed][roll as usize % 3]
                    }
                    (Style::PerEvent | Style::Stream, 10..14) => Kind::Reused,
                    (Style::PerEvent | Style::Stream, 14..20) => Kind::Unknown,
                    (Style::PerEvent | Style::Stream, 20..24) => Kind::Malformed,
                    _ => Kind::Good,
                };
                self.event(kind)
            })
            .collect()
    }

    fn event(&mut self, kind: Kind) -> Sent {
        let id = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        let event_id = uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid().to_string();
        let fresh = NewEvent { event_id: event_id.clone(), ..events::hold(&format!("{}", id % 1000)) };
        let event = match kind {
            Kind::Good => fresh,
            Kind::Unknown => NewEvent { event_id, ..events::token("NO_SUCH_TYPE") },
            Kind::Malformed => NewEvent { occurred_at: None, ..fresh },
            Kind::Again | Kind::Reused => match self.acked() {
                Some(event) if kind == Kind::Again => event,
                Some(event) => NewEvent { correlation_id: "changed".to_owned(), ..event },
                None => return Sent { kind: Kind::Good, event: fresh },
            },
        };
        Sent { kind, event }
    }

    /// One of this producer's acked events.
    fn acked(&mut self) -> Option<NewEvent> {
        let book = self.ledger.book();
        let tries = (0..8).filter(|_| !book.events.is_empty());
        let mut drawn = tries.map(|_| &book.events[self.random.below(book.events.len() as u64) as usize]);
        drawn.find(|(producer, _)| *producer == self.name).map(|(_, event)| event.clone())
    }

    async fn run(mut self) {
        let mut client = self.client();
        while !self.stopped() {
            let mut batch = self.batch();
            while !batch.is_empty() {
                let mode =
                    if self.style == Style::Atomic { AppendMode::Atomic } else { AppendMode::PerEvent };
                let request = AppendRequest {
                    events: batch.iter().map(|sent| sent.event.clone()).collect(),
                    mode: mode as i32,
                    ..AppendRequest::default()
                };
                match client.append(from_producer(&self.name, request)).await {
                    Ok(answer) => {
                        let answer = answer.into_inner();
                        self.ledger.tree(answer.tree_size, &answer.root_hash);
                        let mut results = answer.results.iter();
                        let ledger = &self.ledger;
                        batch.retain(|sent| {
                            let result = results.next().expect("a result per event");
                            !ledger.answer(&self.name, sent, result)
                        });
                    }
                    Err(status) if is_refusal(&status) && self.style == Style::Atomic => {
                        let spoilt = |sent: &Sent| !matches!(sent.kind, Kind::Good | Kind::Again);
                        if !batch.iter().any(spoilt) {
                            self.ledger.wrong(format!("a batch without a bad event is refused: {status:?}"));
                        }
                        self.ledger.refuse(&self.name, &batch);
                        batch.clear();
                    }
                    Err(status) => {
                        failed(&self.ledger, &status).await;
                        client = self.client();
                    }
                }
            }
            self.pause().await;
        }
    }
}

/// Whether a whole batch is refused for what is in it.
fn is_refusal(status: &Status) -> bool {
    let of_server = status.get_details_error_info().is_some();
    of_server && matches!(status.code(), Code::InvalidArgument | Code::AlreadyExists)
}

/// Takes the failure of a call, and waits for the next try: `UNAVAILABLE` says when, a broken connection
/// does not, and anything else is wrong.
pub async fn failed(ledger: &Ledger, status: &Status) {
    let (info, retry) = (status.get_details_error_info(), status.get_details_retry_info());
    match (info, status.code(), retry.and_then(|retry| retry.retry_delay)) {
        // What the client's library says of a connection that is not there or breaks off.
        (None, Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal, _) => {
            ledger.book().broken += 1;
        }
        (Some(_), Code::Unavailable, Some(_)) => ledger.book().unavailable += 1,
        (Some(_), Code::Internal, _) if ledger.book().internal_is_fine => ledger.book().internal += 1,
        _ => ledger.wrong(format!("a call fails with {status:?}")),
    }
    sleep(Duration::from_millis(50)).await;
}
