//! The disk is full: acked events stay, new ones are UNAVAILABLE with a time to come back, and when there
//! is room again everything goes on. Root gets a small disk that is filled up; any user can forbid a
//! process to make its files any longer, which the kernel enforces at the same place.
use std::{
    fs::File,
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES},
    site::Site,
    verifier::verify,
};
use crate::harness::{
    Kind, TestStore, block_on,
    calls::everything,
    cluster::{Cluster, Options},
    database::Database,
    guarded::Guarded,
    postgres::is_root,
};

/// The disks are smaller than what the server would like to have free.
const NO_WATERMARK: [&str; 2] = ["--min-free-disk", "0"];

/// Writes to a file until the disk is full.
pub fn fill(folder: &Path) {
    let mut ballast = File::create(folder.join("ballast")).expect("a file");
    for size in [1 << 20, 1 << 12, 1] {
        while ballast.write_all(&vec![1; size]).is_ok() {}
    }
}

pub fn make_room(folder: &Path) {
    std::fs::remove_file(folder.join("ballast")).expect("the ballast");
}

/// Forbids a server's process files beyond this size, or lifts that.
fn limit(site: &Site, bytes: &str) {
    let mut limited = Command::new("prlimit");
    limited.args([&format!("--fsize={bytes}:"), "--pid", &site.server.pid().to_string()]);
    assert!(limited.status().expect("prlimit").success(), "prlimit --fsize");
}

/// Runs producers, fills the disk under them, and makes room again.
fn run(site: &Site, direct: &TestStore, ledger: &Ledger, fill: impl FnOnce(), make_room: impl FnOnce()) {
    let mut random = Random::of("full");
    block_on(async {
        let producers = Producers::start(&STYLES, &site.address.subscribe(), ledger, &mut random);
        ledger.progress(100).await;
        fill();
        let began = Instant::now();
        let told = |ledger: &Ledger| {
            let book = ledger.book();
            book.unavailable + book.throttled + book.internal > 0
        };
        while !told(ledger) {
            assert!(began.elapsed() < Duration::from_secs(120), "nobody was told that the disk is full");
            sleep(Duration::from_millis(20)).await;
        }
        make_room();
        ledger.progress(50).await;
        producers.finish().await;
        check("after a full disk", &verify(&site.server, direct, ledger, &mut random).await);
    });
}

fn sqlite(folder: &Path) -> TestStore {
    let url = format!("sqlite:{}", folder.join("chancery.db").display());
    TestStore { kind: Kind::Sqlite, url, folder: tempfile::tempdir().expect("a temporary folder") }
}

fn intact(direct: &TestStore) {
    block_on(async {
        let check = Database::open(direct).await.texts("PRAGMA integrity_check").await;
        assert_eq!(check, ["ok"]);
    });
}

#[test]
fn sqlite_on_a_small_disk() {
    let disk = is_root().then_some(24);
    let guarded = Guarded::new(disk, |_| Command::new("true"));
    let direct = sqlite(&guarded.folder);
    let ledger = Ledger::new();
    let site = Site::start_with(Kind::Sqlite, direct.url.clone(), &NO_WATERMARK);
    match disk {
        Some(_) => {
            let folder = &guarded.folder;
            run(&site, &direct, &ledger, || fill(folder), || make_room(folder));
        }
        None => run(&site, &direct, &ledger, || limit(&site, "4096"), || limit(&site, "unlimited")),
    }
    intact(&direct);
}

#[test]
fn sqlite_with_files_that_cannot_grow() {
    let direct = TestStore::new(Kind::Sqlite);
    let ledger = Ledger::new();
    let site = Site::start_with(Kind::Sqlite, direct.url.clone(), &NO_WATERMARK);
    run(&site, &direct, &ledger, || limit(&site, "65536"), || limit(&site, "unlimited"));
    intact(&direct);
}

#[test]
fn postgres_on_a_small_disk() {
    let disk = is_root().then_some(128);
    let cluster = std::cell::RefCell::new(Cluster::start(&Options { disk, ..Options::default() }));
    let direct = cluster.borrow().store("small");
    let ledger = Ledger::new();
    let site = Site::start(Kind::Postgres, direct.url.clone());
    let folder = cluster.borrow().folder().to_owned();
    match disk {
        Some(_) => {
            let room = || {
                make_room(&folder);
                cluster.borrow_mut().resume_if_ended();
            };
            run(&site, &direct, &ledger, || fill(&folder), room);
        }
        None => {
            // PostgreSQL takes this for an error of its own, and the server passes it on as such.
            ledger.book().internal_is_fine = true;
            let limit = |bytes| cluster.borrow().limit_files(bytes);
            let room = || {
                limit("unlimited");
                cluster.borrow_mut().resume_if_ended();
            };
            run(&site, &direct, &ledger, || limit("65536"), room);
        }
    }
    block_on(async { assert!(!everything(&mut site.server.audit().await, "").await.is_empty()) });
}
