//! The end of the log's tree, from the records themselves: what the proofs of a bundle are made of.
//!
//! Called by: `export::run`.
use crate::{
    cli::{bar, connect::Connection, failure::Failure, proofs, records::Records},
    verify::{Arrived, Believed, Branch, Finding, Verdict, bundle::MOST_EVENTS},
};

/// Events that may lie between the first of a bundle and the end of its checkpoint's tree. Each takes 64 bytes:
/// 256 MB. A log is signed every second, so what lies behind a bundle is little.
const MOST_LEAVES: u64 = 4 * MOST_EVENTS;

/// Reads every record from a position to the checkpoint's end.
pub async fn read(connection: &Connection, checkpoint: &Believed, start: u64) -> Result<Branch, Failure> {
    let size = checkpoint.head.size;
    if size - start > MOST_LEAVES {
        return Err(Failure::Usage(format!(
            "the smallest checkpoint that covers the range has {size} events: {} from position {start} on, and at most \
             {MOST_LEAVES} can be read",
            size - start
        )));
    }
    let mut tree = Branch::of(&proofs::edge(connection, checkpoint, start).await?);
    let mut records = Records::new(connection, &checkpoint.log, "export", start..size);
    let bar = bar::events(size - start);
    for position in start..size {
        let here = |verdict, field, evidence: &str| {
            Failure::from(Finding::new(verdict, field, evidence).at(position..position + 1))
        };
        let Some(event) = records.next().await? else {
            return Err(here(Verdict::Missing, "record", "the server has no event of this position"));
        };
        let Some(event) = Arrived::split(&event) else {
            return Err(here(
                Verdict::Tampered,
                "record_size",
                "what came for this position is no event of a log",
            ));
        };
        if event.position != position {
            return Err(here(Verdict::Missing, "record", "the server has no event of this position"));
        }
        let leaf = event.leaf();
        if leaf != event.leaf_hash {
            let evidence = "the record does not hash to the leaf hash that is stored with it";
            return Err(here(Verdict::Tampered, "leaf_hash", evidence));
        }
        tree.push(&leaf);
        bar.inc(1);
    }
    records.end().await?;
    bar.finish_and_clear();
    if tree.head() != checkpoint.head {
        let evidence = "these records do not lead to the signed root; chancery verify --server finds the first that \
                        is not what was signed";
        return Err(Finding::new(Verdict::Tampered, "root_hash", evidence).at(start..size).into());
    }
    Ok(tree)
}
