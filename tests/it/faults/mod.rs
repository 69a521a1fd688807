//! Faults: what an ack promises holds while servers, databases, connections, disks and clocks fail.
//!
//! `producers` write through the front door as real ones do: they keep what is not acked and send it
//! again with the same ids. What they were told stands in a `ledger`. After every fault `verifier` reads
//! the whole log back and compares. Everything random comes from one seed, which every failure names;
//! `docs/faults.md` says how to repeat it and how to run more.
mod away;
mod cancelled;
mod cancelled_begin;
pub mod clock;
mod failover;
mod full;
mod ledger;
mod nearly_full;
mod producers;
mod proxy;
mod random;
mod rolling;
mod site;
mod standby;
mod stopped;
mod storm;
mod stream;
mod upgrade;
mod verifier;
mod weak;

use std::{env, fmt::Display, sync::OnceLock};

/// Cycles of random faults per store, unless `CHANCERY_FAULT_CYCLES` says otherwise.
const CYCLES: u64 = 20;

/// From this many cycles on, the run is a long one: faults last as long as they do in life.
const LONG: u64 = 100;

/// Where everything random begins: `CHANCERY_FAULT_SEED`, or something else every time.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = setting("CHANCERY_FAULT_SEED").unwrap_or_else(|| {
            let id = crate::harness::events::fresh_id().replace('-', "");
            u64::from_str_radix(&id[..8], 16).expect("hexadecimal digits")
        });
        println!("CHANCERY_FAULT_SEED={seed}");
        seed
    })
}

fn cycles() -> u64 {
    setting("CHANCERY_FAULT_CYCLES").unwrap_or(CYCLES)
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Fails with everything that is wrong, and how to see it again.
fn check(what: impl Display, wrong: &[String]) {
    let shown = wrong.iter().take(20).map(|each| format!("\n  {each}")).collect::<String>();
    assert!(wrong.is_empty(), "CHANCERY_FAULT_SEED={} {what}: {} wrong:{shown}", seed(), wrong.len());
}

/// SplitMix64: small, and the same everywhere.
#[derive(Clone)]
struct Random(u64);

impl Random {
    /// The numbers of one test; different tests draw different ones from the same seed.
    fn of(test: &str) -> Self {
        let name = test.bytes().fold(seed(), |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self(name)
    }

    /// Numbers that depend on nothing that is drawn from these later.
    fn branch(&mut self) -> Self {
        Self(self.next())
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0, below `end`.
    const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

#[test]
fn the_page_about_faults_names_every_test() {
    let page = crate::documents::read("docs/faults.md");
    let test = regex::Regex::new(r"#\[test\]\n\s*fn (\w+)").expect("a pattern");
    let mut tests = 0;
    for file in std::fs::read_dir(crate::harness::root().join("tests/it/faults")).expect("the folder") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("a source");
        for name in test.captures_iter(&text).map(|found| found[1].to_owned()) {
            let named =
                name == "the_page_about_faults_names_every_test" || page.contains(&format!("`{name}`"));
            assert!(named, "docs/faults.md does not name {name}");
            tests += 1;
        }
    }
    assert!(tests > 10, "only {tests} tests");
}
