//! The first position at which a server's records are not what was signed.
//!
//! Does: compare the roots that were computed here with roots that the server proves, or has signed, for smaller
//! and smaller ranges. Does not: believe a root that neither a proof nor a signature joins to the checkpoint.
//! Called by: `verify/server.rs`.
use std::ops::Range;

use crate::{
    cli::{connect::Connection, failure::Failure, proofs, records::Records},
    verify::{
        Arrived, BLOCK, Believed, Finding, Frontier, Hash, Rehash, Search, TreeHead, Trust, Verdict, base64,
    },
};

/// What the search stands on.
pub struct Searcher<'a> {
    pub connection: &'a Connection,
    /// Opens older checkpoints, which may have fewer cosignatures.
    pub trust: Trust,
    pub checkpoint: &'a Believed,
    pub rehash: &'a Rehash,
    /// The leaf hashes of one block's records, read again, and the size of the tree before them.
    leaves: (u64, Vec<Hash>),
}

impl<'a> Searcher<'a> {
    /// Nothing is known yet.
    pub fn new(
        connection: &'a Connection,
        trust: &Trust,
        checkpoint: &'a Believed,
        rehash: &'a Rehash,
    ) -> Self {
        let trust = trust.without_witnesses();
        Self { connection, trust, checkpoint, rehash, leaves: (0, Vec::new()) }
    }

    /// The first difference between the tree of the records read here and the signed one, from a size on at which
    /// they are the same.
    pub async fn difference(&mut self, mut same: u64, head: &TreeHead) -> Result<Option<Finding>, Failure> {
        match self.proven(head.size).await {
            Some(root) if root == head.root => return Ok(None),
            Some(_) => return self.find(same, head.size).await.map(Some),
            None => {}
        }
        // The tree ends before the signed one, and the server cannot prove that size: older checkpoints may say.
        while let Some(known) = self.signed_within(&(same..head.size + 1)).await {
            if self.tree(known.size).await?.root() != known.root {
                return self.find(same, known.size).await.map(Some);
            }
            same = known.size;
        }
        Ok(None)
    }

    /// Finds the first position that differs: the tree does not at the first size and does at the second.
    async fn find(&mut self, same: u64, differs: u64) -> Result<Finding, Failure> {
        let mut search = Search::new(same, differs);
        while let Some(size) = search.size() {
            let known = match self.proven(size).await {
                Some(root) => Some(TreeHead { size, root }),
                None => self.signed_within(&search.positions()).await,
            };
            let Some(known) = known else { break };
            let same = self.tree(known.size).await?.root() == known.root;
            search.tell(known.size, same);
        }
        let positions = search.positions();
        if positions.end - positions.start > 1 {
            let evidence = "the records of one or more of these positions are not what was signed; the server can \
                            prove no size in between";
            return Ok(Finding::new(Verdict::Tampered, "root_hash", evidence).at(positions));
        }
        self.evidence(positions).await
    }

    /// What the tree has at a position where a record differs.
    async fn evidence(&mut self, positions: Range<u64>) -> Result<Finding, Failure> {
        let position = positions.start;
        let before = self.tree(position).await?;
        let here = self.read(position..position + 1).await?.pop();
        let signed = proofs::leaf(self.connection, self.checkpoint, position).await;
        // The server's word for it, unless it leads to a root that is proven.
        let signed = match (signed, self.proven(position + 1).await) {
            (Some(leaf), Some(root)) if before.extended([&leaf]).root() == root => base64(&leaf),
            _ => "another one".to_owned(),
        };
        let here =
            here.map_or_else(|| "is not there now".to_owned(), |leaf| format!("hashes to {}", base64(&leaf)));
        let evidence =
            format!("the record {here}; the leaf hash that was signed for this position is {signed}");
        Ok(Finding::new(Verdict::Tampered, "record", evidence).at(positions))
    }

    /// The root of a size as the signed tree has it, if the server can prove it.
    async fn proven(&self, size: u64) -> Option<Hash> {
        let signed = &self.checkpoint.head;
        if size == signed.size {
            Some(signed.root)
        } else {
            proofs::root(self.connection, self.checkpoint, size).await
        }
    }

    /// A signed checkpoint of a size inside a range, as near to its middle as halving it finds one.
    async fn signed_within(&self, open: &Range<u64>) -> Option<TreeHead> {
        let mut least = open.start + (open.end - open.start) / 2;
        loop {
            let believe = |note: &str| self.trust.believe(note);
            let found =
                proofs::checkpoint(self.connection, &self.checkpoint.log, least, believe).await.ok()?;
            if found.origin == self.checkpoint.origin
                && open.start < found.head.size
                && found.head.size < open.end
            {
                return Some(found.head);
            }
            let lower = open.start + (least - open.start) / 2;
            if lower == least || least == open.start + 1 {
                return None;
            }
            least = lower.max(open.start + 1);
        }
    }

    /// The tree of the records read here.
    async fn tree(&mut self, size: u64) -> Result<Frontier, Failure> {
        let block = self.rehash.block(size);
        let (start, wanted) = (block.size(), usize::try_from(size - block.size()).unwrap_or(usize::MAX));
        if wanted > 0 && (self.leaves.0 != start || self.leaves.1.is_empty()) {
            self.leaves = (start, self.read(start..start.saturating_add(BLOCK)).await?);
        }
        Ok(block.extended(self.leaves.1.iter().take(wanted)))
    }

    /// The leaf hashes of some positions, as far as records are there or their leaf hashes were told before.
    async fn read(&self, positions: Range<u64>) -> Result<Vec<Hash>, Failure> {
        let mut records = Records::new(self.connection, &self.checkpoint.log, "verify", positions.clone());
        let (mut leaves, mut next) = (Vec::new(), positions.start);
        loop {
            let event = records.next().await?;
            let event = event.as_deref().and_then(Arrived::split);
            let until = event.as_ref().map_or(positions.end, |event| event.position);
            while let Some(leaf) = self.rehash.bridged(next).filter(|_| next < until) {
                leaves.push(leaf);
                next += 1;
            }
            match event {
                Some(event) if event.position == next => leaves.push(event.leaf()),
                _ => return Ok(leaves),
            }
            next += 1;
        }
    }
}
