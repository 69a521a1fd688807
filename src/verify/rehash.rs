//! The tree over records that were hashed here, and the search for the first one that is not what was signed.
use std::{collections::BTreeMap, mem, ops::Range};

use super::{
    Arrived, Finding, Findings, Frontier, Hash, Positions, Told, TreeHead, Values, Verdict, wire::UNSEEN,
};

/// Events between two states of the tree that are kept, so that the search need not begin at the front. A state
/// has 2 KiB at most: 32 MiB for a billion events.
pub const BLOCK: u64 = 1 << 16;
/// Leaves that go into the tree at a time.
const BATCH: usize = 1 << 12;
/// Missing positions whose leaf hashes are asked for, so that what follows can still be checked. Each is a call.
const MOST_BRIDGED: u64 = 1_000;

/// Takes records in the order of their positions.
#[derive(Default)]
pub struct Rehash {
    /// The tree where it began, and at every multiple of [`BLOCK`] from there on.
    blocks: Vec<Frontier>,
    tree: Frontier,
    pending: Vec<Hash>,
    /// Sizes whose roots are wanted on the way.
    marks: BTreeMap<u64, Option<Hash>>,
    next: u64,
    /// Leaf hashes of missing records.
    bridged: BTreeMap<u64, Hash>,
    /// Where the tree ended because a record is missing whose leaf hash nobody has.
    torn: Option<u64>,
    values: Values,
    /// Records that the server did not show.
    unseen: Positions,
    told: Told,
    findings: Findings,
}

impl Rehash {
    /// Begins behind a tree; the roots of these sizes are kept.
    pub fn new(tree: Frontier, marks: impl IntoIterator<Item = u64>) -> Self {
        let marks = marks.into_iter().map(|size| (size, None)).collect();
        let (next, blocks) = (tree.size(), vec![tree.clone()]);
        let mut new = Self { marks, blocks, tree, next, ..Self::default() };
        new.mark();
        new
    }

    /// The same for a log that begins at this position, because what lies before it was removed.
    #[must_use]
    pub fn of_log_from(self, oldest: u64) -> Self {
        Self { told: Told::beginning(oldest), ..self }
    }

    /// The next position.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Takes an event. Where positions are missing, `bridge` is asked for their leaf hashes: they need not be
    /// believed, because a wrong one shows in the root.
    pub fn take(&mut self, event: &Arrived<'_>, bridge: &mut dyn FnMut(u64) -> Option<Hash>) {
        if event.position < self.next {
            let evidence = format!("an event of this position came where {} was next", self.next);
            let finding = Finding::new(Verdict::Tampered, "position", evidence);
            return self.note(finding.at(event.position..event.position + 1));
        }
        if event.position > self.next {
            self.missing(event.position, bridge);
        }
        // What it claims leads to the signed root, or else to a finding.
        let computed = event.leaf();
        if event.is_unseen() {
            self.unseen.add(event.position);
            return self.leaf(computed);
        }
        if computed != event.leaf_hash {
            let evidence = format!(
                "the record hashes to {}; the leaf hash stored with it is {}",
                super::base64(&computed),
                super::base64(&event.leaf_hash)
            );
            let finding = Finding::new(Verdict::Tampered, "leaf_hash", evidence);
            self.note(finding.at(event.position..event.position + 1));
        }
        match Values::sent(event) {
            Ok(values) => {
                self.values.add(&values);
                self.told.see(event.position, event.record, &values);
            }
            Err(why) => {
                let finding = Finding::new(Verdict::Tampered, "personal", why);
                self.note(finding.at(event.position..event.position + 1));
            }
        }
        self.leaf(computed);
    }

    /// Something came that is no event of these positions.
    pub fn unreadable(&mut self) {
        let evidence = format!("what came where position {} was next is no event of the log", self.next);
        self.note(Finding::new(Verdict::Tampered, "record_size", evidence));
    }

    /// Positions up to here did not come.
    pub fn missing(&mut self, end: u64, bridge: &mut dyn FnMut(u64) -> Option<Hash>) {
        let (from, evidence) = (self.next, "no event of these positions is there");
        self.note(Finding::new(Verdict::Missing, "record", evidence).at(from..end));
        // Part of a gap would bridge nothing.
        let room = self.bridged.len() as u64 + (end - from) <= MOST_BRIDGED;
        while self.torn.is_none() && self.next < end {
            match room.then(|| bridge(self.next)).flatten() {
                Some(hash) => {
                    self.bridged.insert(self.next, hash);
                    self.leaf(hash);
                }
                None => self.torn = Some(self.next),
            }
        }
        self.next = end;
    }

    fn leaf(&mut self, leaf: Hash) {
        self.next += 1;
        if self.torn.is_some() {
            return;
        }
        self.pending.push(leaf);
        let ends_block = self.next.is_multiple_of(BLOCK);
        if self.pending.len() >= BATCH || ends_block || self.marks.contains_key(&self.next) {
            self.grow();
            self.mark();
        }
        if ends_block {
            self.blocks.push(self.tree.clone());
        }
    }

    fn grow(&mut self) {
        self.tree = self.tree.extended(&mem::take(&mut self.pending));
    }

    fn mark(&mut self) {
        let size = self.tree.size();
        if self.marks.contains_key(&size) {
            let root = self.tree.root();
            self.marks.insert(size, Some(root));
        }
    }

    fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The tree so far: of everything, or of what lies before the first record that nobody has.
    pub fn head(&mut self) -> TreeHead {
        self.grow();
        self.tree.head()
    }

    /// The root of a size that was asked for, once the tree has come so far.
    pub fn marked(&self, size: u64) -> Option<Hash> {
        self.marks.get(&size).copied().flatten()
    }

    /// The largest tree that was kept and is not larger than this.
    pub fn block(&self, size: u64) -> &Frontier {
        let at = self.blocks.partition_point(|block| block.size() <= size).saturating_sub(1);
        self.blocks.get(at).unwrap_or(&self.tree)
    }

    /// The leaf hash that was told for a missing position.
    pub fn bridged(&self, position: u64) -> Option<Hash> {
        self.bridged.get(&position).copied()
    }

    /// What became of personal values.
    pub const fn values(&self) -> Values {
        self.values
    }

    /// What the log tells of what is not there.
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// How many records the server did not show.
    pub const fn unseen(&self) -> u64 {
        self.unseen.count
    }

    /// What was found on the way, and one finding about those that were not kept.
    pub fn findings(&mut self) -> (Vec<Finding>, Option<Finding>) {
        let more = self.unseen.more();
        for range in mem::take(&mut self.unseen.ranges) {
            self.findings.push(Finding::new(Verdict::Missing, "record", UNSEEN).at(range));
        }
        if more > 0 {
            let evidence = format!("there are {more} more records like these");
            self.findings.push(Finding::new(Verdict::Missing, "record", evidence));
        }
        self.findings.take()
    }
}

/// The search for the first position at which a log is not what was signed: of two sizes, the smaller one is, and
/// the larger one is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Search {
    same: u64,
    differs: u64,
}

impl Search {
    /// The trees of these two sizes.
    pub const fn new(same: u64, differs: u64) -> Self {
        Self { same, differs }
    }

    /// The size to look at next: of whole blocks first, because their trees are at hand. None when the position
    /// is found.
    pub fn size(&self) -> Option<u64> {
        let middle = self.same + (self.differs - self.same) / 2;
        let block = middle.next_multiple_of(BLOCK);
        if block > self.same && block < self.differs {
            return Some(block);
        }
        (middle > self.same).then_some(middle)
    }

    /// Whether a size is what was signed. Sizes outside of what is still open say nothing new.
    pub fn tell(&mut self, size: u64, same: bool) {
        if same {
            self.same = self.same.max(size.min(self.differs - 1));
        } else if size > self.same {
            self.differs = self.differs.min(size);
        }
    }

    /// Where it is: one position when the search is at its end.
    pub const fn positions(&self) -> Range<u64> {
        self.same..self.differs
    }
}

#[cfg(test)]
#[path = "rehash_tests.rs"]
mod tests;
