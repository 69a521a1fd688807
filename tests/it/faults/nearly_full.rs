//! The disk is nearly full: appends are refused before anything is written, everything else goes on, and when there is room
//! again so do appends.
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use chancery::proto::v1::{
    AppendResult::{NotAttempted, Rejected},
    EraseSubjectRequest, NewEvent,
    admin_service_client::AdminServiceClient,
};
use tokio::time::sleep;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::harness::{
    Kind, TestStore, block_on,
    calls::{Refusal, accept, append, atomic, everything, per_event, results},
    events,
    guarded::Guarded,
    metrics::metrics,
    server::Server,
    stream::Stream,
};

const MIB: u64 = 1 << 20;

async fn health(server: &Server, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(server.channel().await).check(request).await;
    answer.expect("a known service").into_inner().status()
}

/// Waits until `/readyz` answers this, and returns what it says.
async fn readyz(server: &Server, code: u16) -> String {
    let began = Instant::now();
    loop {
        let (now, page) = server.admin_get("/readyz").await;
        if now == code {
            return page;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{now} {page}\n{}", server.log());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Takes room on a disk.
fn ballast(folder: &Path, mib: u64) {
    let mut file = File::create(folder.join("ballast")).expect("a file");
    for _ in 0..mib {
        file.write_all(&vec![1; 1 << 20]).expect("room");
    }
}

/// No disk has as much free as this watermark asks for.
#[test]
fn below_the_watermark_nothing_of_callers_is_written_and_everything_is_read() {
    let store = TestStore::new(Kind::Sqlite);
    let person = "Quillon.Zephyrine";
    let before = Server::start(&store);
    block_on(async {
        let mut audit = before.audit().await;
        accept(&mut audit, atomic(vec![events::hold(person), events::hold("other")])).await;
    });
    drop(before);
    let mut server = Server::start_with(&store, &["--min-free-disk", &(1_u64 << 50).to_string()]);
    block_on(async {
        let mut audit = server.audit().await;
        let status = audit.append(atomic(vec![events::hold("x")])).await.expect_err("no room");
        let refusal = Refusal::of(&status);
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORAGE_FULL"));
        assert!(refusal.retry_after.is_some(), "{refusal:?}");
        let malformed = NewEvent { occurred_at: None, ..events::hold("malformed") };
        let unknown = events::token("NO_SUCH_TYPE");
        let answer = append(&mut audit, per_event(vec![events::hold("x"), malformed, unknown])).await;
        assert_eq!(results(&answer), [NotAttempted, Rejected, NotAttempted]);
        assert_eq!(Refusal::of_event(&answer.results[0]).reason, "STORAGE_FULL");
        assert!(answer.results[0].retryable);
        let mut stream = Stream::open(&server).await;
        stream.answer().await;
        stream.send(1, vec![events::hold("x")]).await;
        assert_eq!(stream.answer().await.throttle.expect("a throttle").reason, "STORAGE_FULL");

        assert_eq!(everything(&mut audit, "").await.len(), 2);
        let page = readyz(&server, 503).await;
        assert!(page.starts_with("not ready\ndisk: ") && page.contains("min_free_disk"), "{page}");
        assert_eq!(page.lines().count(), 2, "{page}");
        assert_eq!(server.admin_get("/livez").await.0, 200);
        assert_eq!(health(&server, "").await, ServingStatus::NotServing);
        assert_eq!(health(&server, "chancery.v1.AuditService").await, ServingStatus::Serving);
        let samples = metrics(&server).await;
        assert_eq!(samples["chancery_writes_refused{cause=\"disk\"}"], 1.0);
        assert!(samples["chancery_storage_free_bytes"] > 0.0);

        // What makes room goes on, and so does what tells of it.
        let erase = EraseSubjectRequest {
            subject: person.to_owned(),
            reason: "they asked".to_owned(),
            request_id: events::fresh_id(),
            ..EraseSubjectRequest::default()
        };
        AdminServiceClient::new(server.channel().await).erase_subject(erase).await.expect("an erasure");
        assert_eq!(everything(&mut audit, "").await.len(), 3, "the event that tells of it");
        // A stream that waits for room does not hold up the end.
        server.signal("TERM");
        assert_eq!(server.wait(Duration::from_secs(10)).code(), Some(0), "{}", server.log());
    });
}

/// A server whose database lies on a disk of so many MiB, of which so many bytes are to stay free.
fn on_small_disk(mib: u32, min_free: u64) -> (Guarded, TestStore, Server) {
    let guarded = Guarded::new(Some(mib), |_| Command::new("true"));
    let url = format!("sqlite:{}", guarded.path.join("chancery.db").display());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = TestStore { kind: Kind::Sqlite, url, folder };
    let wrapper: Vec<_> = guarded.wrapper.iter().map(String::as_str).collect();
    let server = Server::start_under(&store, &wrapper, &["--min-free-disk", &min_free.to_string()]);
    (guarded, store, server)
}

#[test]
fn appends_go_on_by_themselves_when_there_is_room_again() {
    let (guarded, _store, server) = on_small_disk(64, 24 * MIB);
    block_on(async {
        let mut audit = server.audit().await;
        let mut head = accept(&mut audit, atomic(vec![events::hold("before")])).await[0];
        for _ in 0..2 {
            ballast(&guarded.folder, 48);
            readyz(&server, 503).await;
            let status = audit.append(atomic(vec![events::hold("x")])).await.expect_err("no room");
            assert_eq!(Refusal::of(&status).reason, "STORAGE_FULL");
            assert_eq!(everything(&mut audit, "").await.len() as u64, head + 1);
            std::fs::remove_file(guarded.folder.join("ballast")).expect("the ballast");
            readyz(&server, 200).await;
            head += 1;
            assert_eq!(accept(&mut audit, atomic(vec![events::hold("again")])).await, [head]);
        }
    });
    let log = server.log();
    assert_eq!(log.matches("the disk is nearly full").count(), 2, "{log}");
    assert_eq!(log.matches("the disk has room again").count(), 2, "{log}");
}

/// The disk fills between two looks, to the last byte.
#[test]
fn a_disk_that_is_full_under_a_server_is_told_as_such() {
    let (guarded, _store, server) = on_small_disk(16, 0);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("before")])).await;
        super::full::fill(&guarded.folder);
        let mut stored = 1;
        let refusal = loop {
            // What the WAL has room for already is taken.
            match audit.append(atomic((0..100).map(|_| events::hold("x")).collect())).await {
                Ok(_) => stored += 100,
                Err(status) => break Refusal::of(&status),
            }
        };
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "STORAGE_FULL"));
        assert_eq!(everything(&mut audit, "").await.len(), stored);
        super::full::make_room(&guarded.folder);
        accept(&mut audit, atomic(vec![events::hold("again")])).await;
    });
}
