//! Every record of a server's log, hashed here and compared with the signed checkpoint.
//!
//! Does: stream the records to a thread that hashes them and grows the tree; then compare roots. Does not: use a
//! leaf hash that the server says, but to compare it. Called by: `verify::run`.
use std::thread;

use bytes::Bytes;
use tokio::{runtime::Handle, sync::mpsc};

use super::{Report, VerifyArgs, search::Searcher};
use crate::{
    cli::{
        bar,
        connect::Connection,
        failure::Failure,
        proofs,
        records::{self, Records},
    },
    verify::{Arrived, Believed, Finding, Rehash, Told, Trust, Verdict},
};

/// Events that go to the other thread at a time, and bytes after which there are enough of them.
const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// Batches on the way: at most 9 x (1 MiB and one record of 200 KiB), so 11 MiB.
const AHEAD: usize = 8;
/// How often reading goes on to a newer checkpoint: an erasure or a removal was told behind the one before.
const ROUNDS: usize = 3;

/// Checks a log.
pub async fn check(args: &VerifyArgs, trust: &Trust, last: Option<&Believed>) -> Result<Report, Failure> {
    let connection = args.connect.open().await?;
    let believe = |note: &str| trust.believe(note);
    let mut checkpoint = proofs::checkpoint(&connection, &args.log, 0, believe).await?;
    if let Some(Err(finding)) = last.map(|last| checkpoint.after(last)) {
        return Ok(Report { checkpoint: Some(checkpoint), ..Report::of(finding) });
    }
    let oldest = records::oldest(&connection, &args.log, "verify").await?;
    let from = args.from.filter(|from| *from > 0).unwrap_or(oldest);
    if from >= checkpoint.head.size {
        let size = checkpoint.head.size;
        return Err(Failure::Usage(format!(
            "--from: the newest checkpoint has {size} events, and position {from} is not among them"
        )));
    }
    let edge = proofs::edge(&connection, &checkpoint, from).await?;
    let marks = last.map(|last| last.head.size).filter(|size| *size >= from);
    let begun = Rehash::new(edge, marks);
    let begun = if from == oldest { begun.of_log_from(oldest) } else { begun };
    let mut rehash = read(&connection, &checkpoint, begun).await?;
    for _ in 0..ROUNDS {
        // What leads to no signed root tells nothing, and is not gone on with.
        if rehash.head() != checkpoint.head {
            break;
        }
        let Some(newer) = telling(&connection, trust, &checkpoint, rehash.told()).await? else { break };
        if let Err(finding) = newer.after(&checkpoint) {
            return Ok(Report { checkpoint: Some(newer), ..Report::of(finding) });
        }
        rehash = read(&connection, &newer, rehash).await?;
        checkpoint = newer;
    }
    let size = checkpoint.head.size;
    let mut report = Report { positions: from..size, ..Report::default() };
    let (findings, more) = rehash.findings();
    report.findings = findings;
    report.values = rehash.values();
    compare(&connection, trust, &checkpoint, &mut rehash, &mut report, from).await?;
    report.findings.extend(more);
    report.findings.extend(rehash.told().findings());
    report.told = rehash.told().clone();
    if let Some(last) = last {
        match rehash.marked(last.head.size) {
            // Only where the tree is the signed one does a difference say something about the two checkpoints.
            Some(root) if rehash.head() == checkpoint.head => {
                if root != last.head.root {
                    report.findings.push(checkpoint.forked(last));
                }
            }
            _ => report.findings.extend(proofs::continues(&connection, &checkpoint, last).await?),
        }
    }
    report.events = size - from - rehash.unseen();
    report.checkpoint = Some(checkpoint);
    Ok(report)
}

/// A newer checkpoint, when an event behind this one says what nothing up to it accounts for: an erasure or a removal
/// that went on while records were read.
async fn telling(
    connection: &Connection,
    trust: &Trust,
    checkpoint: &Believed,
    told: &Told,
) -> Result<Option<Believed>, Failure> {
    for code in told.wanted() {
        if let Some(at) =
            records::coded(connection, &checkpoint.log, code, checkpoint.head.size, "verify").await?
        {
            let size = at.saturating_add(1);
            return proofs::covering(connection, &checkpoint.log, size, |note| trust.believe(note)).await;
        }
    }
    Ok(None)
}

/// Compares the tree with the signed one.
async fn compare(
    connection: &Connection,
    trust: &Trust,
    checkpoint: &Believed,
    rehash: &mut Rehash,
    report: &mut Report,
    from: u64,
) -> Result<(), Failure> {
    let head = rehash.head();
    if head == checkpoint.head {
        return Ok(());
    }
    let mut searcher = Searcher::new(connection, trust, checkpoint, rehash);
    if let Some(found) = searcher.difference(from, &head).await? {
        // It says more than that a record does not fit the leaf hash beside it.
        report.findings.retain(|finding| finding.positions != found.positions);
        report.findings.push(found);
    }
    if head.size < checkpoint.head.size {
        let evidence = "nobody could tell the leaf hash of a missing event, so what comes after it was compared with \
                        the leaf hashes beside it only";
        let unchecked = Finding::new(Verdict::Missing, "proof", evidence);
        report.findings.push(unchecked.at(head.size..checkpoint.head.size));
    }
    Ok(())
}

/// Reads all records up to the checkpoint's size.
async fn read(connection: &Connection, checkpoint: &Believed, rehash: Rehash) -> Result<Rehash, Failure> {
    let positions = rehash.next()..checkpoint.head.size;
    let bar = bar::events(positions.end - positions.start);
    let (batches, hashed) = hasher(connection.clone(), checkpoint.clone(), rehash);
    let mut records = Records::new(connection, &checkpoint.log, "verify", positions);
    let mut batch = Vec::with_capacity(BATCH_EVENTS);
    let mut bytes = 0;
    let ended = loop {
        let event = match records.next().await {
            Ok(event) => event,
            Err(failure) => break Err(failure),
        };
        let last = event.is_none();
        bytes += event.as_ref().map_or(0, Bytes::len);
        batch.extend(event);
        if last || batch.len() == BATCH_EVENTS || bytes >= BATCH_BYTES {
            bar.inc(batch.len() as u64);
            bytes = 0;
            // It ends early only by a panic, which joining it shows.
            let events = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_EVENTS));
            let sent = batches.send(Batch { events, last }).await;
            if last || sent.is_err() {
                break Ok(());
            }
        }
    };
    drop(batches);
    let rehash = tokio::task::spawn_blocking(move || hashed.join()).await;
    bar.finish_and_clear();
    ended?;
    match rehash {
        Ok(Ok(rehash)) => Ok(rehash),
        _ => Err(Failure::Files("the thread that hashes has failed".to_owned())),
    }
}

/// Events on their way to the thread that hashes.
struct Batch {
    events: Vec<Bytes>,
    /// The log has no more. Reading that fails ends without this.
    last: bool,
}

/// The thread that hashes: reading and hashing have a core each.
fn hasher(
    connection: Connection,
    checkpoint: Believed,
    mut rehash: Rehash,
) -> (mpsc::Sender<Batch>, thread::JoinHandle<Rehash>) {
    let (sender, mut batches) = mpsc::channel::<Batch>(AHEAD);
    let runtime = Handle::current();
    let thread = thread::spawn(move || {
        let mut bridge = |position| runtime.block_on(proofs::leaf(&connection, &checkpoint, position));
        while let Some(batch) = batches.blocking_recv() {
            for event in batch.events {
                match Arrived::split(&event) {
                    Some(event) if event.position < checkpoint.head.size => rehash.take(&event, &mut bridge),
                    _ => rehash.unreadable(),
                }
            }
            if batch.last && rehash.next() < checkpoint.head.size {
                rehash.missing(checkpoint.head.size, &mut bridge);
            }
        }
        rehash
    });
    (sender, thread)
}
