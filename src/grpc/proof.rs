//! `ProofService`: checkpoints and proofs as messages. What is proved is made in `proof::prover`.
use std::sync::Arc;

use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::{audit::Audit, may, status};
use crate::{
    event::LogName,
    proof::prover::{ProofError, Prover},
    proto::{servers::proof_service_server::ProofService, v1},
    store::{StoredCheckpoint, WantedCheckpoint},
    tree::{Hash, TreeHead},
};

/// The service.
pub struct ProofRpc(pub Arc<Audit>);

#[tonic::async_trait]
impl ProofService for ProofRpc {
    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::prove(&caller, &request.log)?;
        let wanted = match request.min_tree_size {
            0 => WantedCheckpoint::Newest,
            size => WantedCheckpoint::AtLeast(size),
        };
        let Some(checkpoint) = self.stored(&log, wanted).await? else {
            self.reached(&log, "min_tree_size", request.min_tree_size).await?;
            return Err(no_checkpoint(&log, request.min_tree_size));
        };
        let checkpoint = Some(signed(&log, checkpoint));
        Ok(Response::new(v1::GetCheckpointResponse { checkpoint }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::prove(&caller, &request.log)?;
        let position = request.position;
        let newest = self.stored(&log, WantedCheckpoint::Newest).await?;
        let size = self.size(&log, "tree_size", request.tree_size, newest.as_ref()).await?;
        if position >= size {
            return Err(match request.tree_size {
                0 => {
                    let description = format!("{position} is not in the newest checkpoint, of {size} events");
                    status::not_reached("POSITION_NOT_REACHED", "position", description, size)
                }
                _ => {
                    let description = format!("a tree of {size} events does not hold position {position}");
                    status::invalid("INVALID_TREE_SIZE", "tree_size", description)
                }
            });
        }
        let anchor = newest.as_ref().map(|newest| newest.tree);
        let proof = self.prover().anchored_inclusion(&log, position, size, anchor).await;
        let proof = proof.map_err(|error| failed(&log, &error))?;
        let tree = TreeHead { size, root: proof.root };
        Ok(Response::new(v1::GetInclusionProofResponse {
            leaf_hash: bytes(&proof.leaf_hash),
            hashes: proof.hashes.iter().map(bytes).collect(),
            checkpoint: Some(self.checkpoint(&log, tree, newest).await?),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        let _running = self.0.calls.token();
        let caller = may::caller(&request)?;
        let request = request.into_inner();
        let log = may::prove(&caller, &request.log)?;
        let first = request.first_size;
        if first == 0 {
            let description = "is 0; every tree begins with the empty one";
            return Err(status::invalid("INVALID_TREE_SIZE", "first_size", description));
        }
        let newest = self.stored(&log, WantedCheckpoint::Newest).await?;
        let second = self.size(&log, "second_size", request.second_size, newest.as_ref()).await?;
        if first > second {
            return Err(match request.second_size {
                0 => {
                    let description = format!("{first} is above the newest checkpoint, of {second} events");
                    status::not_reached("SIZE_NOT_REACHED", "first_size", description, second)
                }
                _ => {
                    let description = format!("{first} is above second_size, {second}");
                    status::invalid("INVALID_TREE_SIZE", "first_size", description)
                }
            });
        }
        let anchor = newest.as_ref().map(|newest| newest.tree);
        let proof = self.prover().anchored_consistency(&log, first, second, anchor).await;
        let proof = proof.map_err(|error| failed(&log, &error))?;
        let one = TreeHead { size: first, root: proof.first_root };
        let two = TreeHead { size: second, root: proof.second_root };
        Ok(Response::new(v1::GetConsistencyProofResponse {
            hashes: proof.hashes.iter().map(bytes).collect(),
            first: Some(self.checkpoint(&log, one, newest.clone()).await?),
            second: Some(self.checkpoint(&log, two, newest).await?),
        }))
    }
}

impl ProofRpc {
    fn prover(&self) -> Prover {
        Prover { store: Arc::clone(&self.0.store) }
    }

    async fn stored(
        &self,
        log: &LogName,
        wanted: WantedCheckpoint,
    ) -> Result<Option<StoredCheckpoint>, Status> {
        self.0.store.checkpoint(log, wanted).await.map_err(|error| status::store(&error))
    }

    /// The size that a field asks for, which the log must have reached; for 0 that of the newest checkpoint.
    async fn size(
        &self,
        log: &LogName,
        field: &str,
        asked: u64,
        newest: Option<&StoredCheckpoint>,
    ) -> Result<u64, Status> {
        match newest {
            None if asked == 0 => Err(no_checkpoint(log, 0)),
            Some(newest) if asked == 0 => Ok(newest.tree.size),
            // What was signed was reached.
            Some(newest) if asked <= newest.tree.size => Ok(asked),
            _ => self.reached(log, field, asked).await.map(|()| asked),
        }
    }

    async fn reached(&self, log: &LogName, field: &str, size: u64) -> Result<(), Status> {
        let head = self.0.store.extent(log).await.map_err(|error| status::store(&error))?.size;
        if size <= head {
            return Ok(());
        }
        let description = format!("{size} is above the size of log {log}, which is {head}");
        Err(status::not_reached("SIZE_NOT_REACHED", field, description, head))
    }

    /// A tree as a message, signed where a checkpoint of its size was. A root that contradicts what was signed is
    /// not given out.
    async fn checkpoint(
        &self,
        log: &LogName,
        tree: TreeHead,
        newest: Option<StoredCheckpoint>,
    ) -> Result<v1::Checkpoint, Status> {
        let known = match newest {
            Some(newest) if newest.tree.size == tree.size => Some(newest),
            Some(newest) if newest.tree.size > tree.size => {
                self.stored(log, WantedCheckpoint::Exactly(tree.size)).await?
            }
            _ => None,
        };
        match known {
            None => Ok(message(log, tree, String::new())),
            Some(known) if known.tree == tree => Ok(signed(log, known)),
            Some(_) => {
                let what = format!("the root at size {} is not the signed one", tree.size);
                Err(failed(log, &ProofError::Damaged(what)))
            }
        }
    }
}

fn signed(log: &LogName, checkpoint: StoredCheckpoint) -> v1::Checkpoint {
    message(log, checkpoint.tree, checkpoint.signed_note)
}

fn message(log: &LogName, tree: TreeHead, signed_note: String) -> v1::Checkpoint {
    v1::Checkpoint {
        log: log.as_str().to_owned(),
        tree_size: tree.size,
        root_hash: bytes(&tree.root),
        signed_note,
    }
}

fn bytes(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash)
}

fn no_checkpoint(log: &LogName, least: u64) -> Status {
    let of_size = if least > 0 { format!(" of {least} events or more") } else { String::new() };
    let message = format!(
        "log {log} has no checkpoint{of_size}; a log is signed within seconds, by a server that has a key"
    );
    status::not_found("NO_CHECKPOINT", message, &[])
}

/// A proof that could not be made. The cause is logged here or in `status`, once.
fn failed(log: &LogName, error: &ProofError) -> Status {
    match error {
        ProofError::Store(error) => status::store(error),
        ProofError::Behind => status::tiles_behind(),
        // Sizes and positions were checked before.
        ProofError::Invalid(_) | ProofError::Damaged(_) => {
            tracing::error!(%log, %error, "a proof could not be made");
            status::internal()
        }
    }
}
