//! Calls of ProofService whose answers are checked before they are used.
//!
//! Does: a checkpoint that the auditor believes, the tree before a position, proofs that two checkpoints are of one
//! history. Does not: take an answer for true that leads to no signed root. Called by: `export`, `verify`.
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::Code;

use super::{connect::Connection, failure::Failure};
use crate::{
    proto::v1::{
        Checkpoint, GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest,
        GetInclusionProofResponse,
    },
    verify::{Believed, Finding, Frontier, Hash, TreeHead, Verdict, check_extension, left_edge},
};

/// The smallest checkpoint of at least this size, or the newest one for 0, as the server has it.
pub async fn served(connection: &Connection, log: &str, min_tree_size: u64) -> Result<Checkpoint, Failure> {
    let request = GetCheckpointRequest { log: log.to_owned(), min_tree_size };
    let answer = connection.unary(connection.proof().get_checkpoint(request)).await?;
    Ok(answer.checkpoint.unwrap_or_default())
}

/// How long is waited for a checkpoint to be signed or cosigned, which takes a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// The same, believed. Where cosignatures lack, the witnesses may not have been asked yet: they are given time for
/// this checkpoint, and for newer ones, because they cosign only the newest.
pub async fn checkpoint(
    connection: &Connection,
    log: &str,
    min_tree_size: u64,
    believe: impl Fn(&str) -> Result<Believed, Finding>,
) -> Result<Believed, Failure> {
    let first = served(connection, log, min_tree_size).await?;
    let mut ended = judged(log, &first, &believe);
    let until = Instant::now() + PATIENCE;
    while ended.as_ref().is_err_and(|finding| finding.field == "cosignatures") && Instant::now() < until {
        sleep(PAUSE).await;
        ended = judged(log, &served(connection, log, first.tree_size).await?, &believe);
        if ended.is_err() {
            ended = judged(log, &served(connection, log, 0).await?, &believe);
        }
    }
    Ok(ended?)
}

/// A checkpoint of at least this size, once there is one; none when none is signed within some seconds.
pub async fn covering(
    connection: &Connection,
    log: &str,
    size: u64,
    believe: impl Fn(&str) -> Result<Believed, Finding>,
) -> Result<Option<Believed>, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        match checkpoint(connection, log, size, &believe).await {
            Err(Failure::Call(status)) if status.code() == Code::NotFound => {}
            ended => return ended.map(Some),
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        sleep(PAUSE).await;
    }
}

fn judged(
    log: &str,
    served: &Checkpoint,
    believe: &impl Fn(&str) -> Result<Believed, Finding>,
) -> Result<Believed, Finding> {
    let believed = believe(&served.signed_note)?;
    let wrong = |evidence: String| Err(Finding::new(Verdict::Tampered, "checkpoint", evidence));
    if believed.log != log {
        return wrong(format!("the signed checkpoint is of {:?}", believed.origin));
    }
    if served.tree_size != believed.head.size || served.root_hash != believed.head.root[..] {
        return wrong("size or root beside the signed checkpoint are not those in it".to_owned());
    }
    Ok(believed)
}

/// The tree before a position. It shows whether it is right in the root that is reached from it.
pub async fn edge(
    connection: &Connection,
    checkpoint: &Believed,
    position: u64,
) -> Result<Frontier, Failure> {
    if position == 0 {
        return Ok(Frontier::default());
    }
    let answer = inclusion(connection, checkpoint, position).await?;
    let edge = left_edge(position, checkpoint.head.size, &hashes(&answer.hashes)?);
    Ok(edge.map_err(|evidence| {
        Finding::new(Verdict::Tampered, "proof", evidence).at(position..position.saturating_add(1))
    })?)
}

/// The leaf hash of a position by the server's word.
pub async fn leaf(connection: &Connection, checkpoint: &Believed, position: u64) -> Option<Hash> {
    let answer = inclusion(connection, checkpoint, position).await.ok()?;
    Hash::try_from(&answer.leaf_hash[..]).ok()
}

/// The root of a smaller tree, when the server proves that the checkpoint's tree continues it.
pub async fn root(connection: &Connection, checkpoint: &Believed, size: u64) -> Option<Hash> {
    let (first, proof) = consistency(connection, checkpoint, size).await.ok()?;
    let root = Hash::try_from(&first.root_hash[..]).ok()?;
    let proven = check_extension(&TreeHead { size, root }, &checkpoint.head, &proof);
    proven.is_ok().then_some(root)
}

/// The proof that the checkpoint's tree continues the one of a smaller size.
pub async fn consistency(
    connection: &Connection,
    checkpoint: &Believed,
    first_size: u64,
) -> Result<(Checkpoint, Vec<Hash>), Failure> {
    let (log, second_size) = (checkpoint.log.clone(), checkpoint.head.size);
    let request = GetConsistencyProofRequest { log, first_size, second_size };
    let answer = connection.unary(connection.proof().get_consistency_proof(request)).await?;
    Ok((answer.first.unwrap_or_default(), hashes(&answer.hashes)?))
}

/// What is wrong when the server does not prove that its checkpoint continues the auditor's last one.
pub async fn continues(
    connection: &Connection,
    checkpoint: &Believed,
    last: &Believed,
) -> Result<Option<Finding>, Failure> {
    if checkpoint.head == last.head {
        return Ok(None);
    }
    let (first, proof) = consistency(connection, checkpoint, last.head.size).await?;
    let Err(why) = check_extension(&last.head, &checkpoint.head, &proof) else { return Ok(None) };
    // A fork is shown when the proof joins another tree of that size to what was signed; else nothing is shown.
    let other = Hash::try_from(&first.root_hash[..]).map(|root| TreeHead { size: last.head.size, root });
    let parted = other.is_ok_and(|other| {
        other.root != last.head.root && check_extension(&other, &checkpoint.head, &proof).is_ok()
    });
    let evidence = format!(
        "the server does not prove that the log continues its tree of {} events: {why}",
        last.head.size
    );
    Ok(Some(if parted {
        checkpoint.forked(last)
    } else {
        Finding::new(Verdict::Tampered, "proof", evidence)
    }))
}

async fn inclusion(
    connection: &Connection,
    checkpoint: &Believed,
    position: u64,
) -> Result<GetInclusionProofResponse, Failure> {
    let (log, tree_size) = (checkpoint.log.clone(), checkpoint.head.size);
    let request = GetInclusionProofRequest { log, position, tree_size };
    Ok(connection.unary(connection.proof().get_inclusion_proof(request)).await?)
}

fn hashes(bytes: &[impl AsRef<[u8]>]) -> Result<Vec<Hash>, Finding> {
    let hashes = bytes.iter().map(|hash| Hash::try_from(hash.as_ref()));
    let wrong = |_| Finding::new(Verdict::Tampered, "proof", "a proof of the server holds what is no hash");
    hashes.collect::<Result<_, _>>().map_err(wrong)
}
