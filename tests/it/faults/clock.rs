//! The clock of a server jumps an hour ahead and back, and two replicas disagree by an hour: order is the
//! position and never a time, so nothing that was acked cares.
use std::{fs, path::PathBuf, time::Duration};

use chancery::proto::v1::{AppendResult, NewEvent};
use tokio::time::sleep;

use super::{
    Random, check,
    ledger::Ledger,
    producers::{Producers, STYLES},
    site::Site,
    verifier::verify,
};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{accept, append, atomic, everything, results},
    events,
    metrics::unconserved,
};

const HOUR: i64 = 3600;

/// A clock that can be set, for one process.
struct Watch {
    file: PathBuf,
    environment: Vec<String>,
}

impl Watch {
    fn new(store: &TestStore, name: &str) -> Self {
        let file = store.folder.path().join(name);
        let environment = vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", library().display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            // As in life: timers count on while the time of day is set.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        let watch = Self { file, environment };
        watch.set(0);
        watch
    }

    /// Seconds ahead of the true time.
    fn set(&self, seconds: i64) {
        // A reader must not see half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("a file");
        fs::rename(&new, &self.file).expect("a file");
    }

    fn site(&self, store: &TestStore) -> Site {
        let wrapper: Vec<_> = self.environment.iter().map(String::as_str).collect();
        Site::start_under(store.kind, store.url.clone(), &wrapper)
    }
}

/// Debian's package `faketime` puts it below a folder of the architecture.
pub fn library() -> PathBuf {
    let below = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders = below("/usr/lib").chain(below("/usr")).map(|folder| folder.join("faketime"));
    let library = folders.find_map(|folder| {
        let library = folder.join("libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    library.expect("no libfaketime found: install the package faketime (./test.sh does)")
}

fn received(event: &chancery::proto::v1::Event) -> i64 {
    event.received_at.as_ref().expect("a time").seconds
}

#[test]
fn a_clock_that_jumps_by_an_hour() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let watch = Watch::new(&store, "clock");
        let mut random = Random::of("clock");
        let ledger = Ledger::new();
        block_on(async {
            let site = watch.site(&store);
            let producers = Producers::start(&STYLES, &site.address.subscribe(), &ledger, &mut random);
            for ahead in [HOUR, 0, -HOUR, HOUR, 0] {
                ledger.progress(40).await;
                sleep(Duration::from_micros(random.below(5_000))).await;
                watch.set(ahead);
            }
            ledger.progress(40).await;
            producers.finish().await;
            check(format!("{kind:?}"), &verify(&site.server, &store, &ledger, &mut random).await);
            let failed = ledger.book().failed();
            assert_eq!(failed, 0, "somebody noticed a clock");
            // The clock did jump, both ways, in the middle of the log.
            let stored = everything(&mut site.server.audit().await, "").await;
            let jumps: Vec<_> = stored.windows(2).map(|two| received(&two[1]) - received(&two[0])).collect();
            assert!(jumps.iter().any(|jump| *jump > HOUR - 60), "{kind:?}: no jump ahead");
            assert!(jumps.iter().any(|jump| *jump < 60 - HOUR), "{kind:?}: no jump back");
        });
    }
}

#[test]
fn replicas_whose_clocks_disagree_share_one_order() {
    let store = TestStore::new(Kind::Postgres);
    let (behind, ahead) = (Watch::new(&store, "behind"), Watch::new(&store, "ahead"));
    ahead.set(HOUR);
    let mut random = Random::of("clocks");
    let ledger = Ledger::new();
    block_on(async {
        let sites = [behind.site(&store), ahead.site(&store)];
        let mut running = Vec::new();
        for (site, name) in sites.iter().zip(["behind", "ahead"]) {
            let address = site.address.subscribe();
            running.push(Producers::named(name, &STYLES, &address, &ledger, &mut random));
        }
        ledger.progress(300).await;
        for producers in running {
            producers.finish().await;
        }
        for site in &sites {
            check("clocks", &verify(&site.server, &store, &ledger, &mut random).await);
            check("clocks", &unconserved(&site.server).await);
        }
        // A retry an hour later, or earlier, by the other clock, is still a retry.
        let (first, second) = (sites[0].server.audit().await, sites[1].server.audit().await);
        for (mut one, mut two) in [(first.clone(), second.clone()), (second, first)] {
            let event: NewEvent = events::hold("device-1");
            let places = accept(&mut one, atomic(vec![event.clone()])).await;
            let again = append(&mut two, atomic(vec![event])).await;
            assert_eq!(results(&again), [AppendResult::Duplicate]);
            assert_eq!(again.results[0].position, Some(places[0]));
        }
    });
}
