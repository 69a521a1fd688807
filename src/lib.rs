//! Chancery takes in the audit events of identity products, checks every one against a catalog, stores
//! it durably in one provable order, and streams it back.
//!
//! # Every call through the crate
//!
//! 1. [`server::listener`] accepts the connection, within its limits, and [`server::tls`] shakes hands; the certificate
//!    says who is at the other end.
//! 2. The layers of [`server`]: a place among all calls, then the gate, which makes out who calls
//!    ([`auth::Authenticator`]: certificate, signed token, token of the access file) and whether the method is for them
//!    ([`auth::rules`]). A stream ends when that does.
//! 3. `grpc::may` is asked for the log; a reader gets a [`auth::Scope`] with it, without which no query is made
//!    ([`query::scoped`]).
//! 4. What callers did, and what they were refused, goes to the [`journal`], which appends it to the log `audit`.
//!
//! # One Append through the crate
//!
//! 1. The layer `intake` reads a message when there is room for it ([`ingest::admission`]), and refuses one that is too
//!    large by its prefix.
//! 2. `grpc::limits` makes the producer pay by its rate ([`ingest::rate`]); `grpc::append` waits for room for the events
//!    and takes the batch apart.
//! 3. [`event::ParsedEvent::parse`] checks ids, times and sizes. What fails is rejected and stored nowhere.
//! 4. [`event::admit`] drops secrets ([`catalog::secret`]), then looks the event up and names its fields
//!    ([`catalog::Catalog::classify`]). What the catalog refuses fails the batch or goes to quarantine.
//! 5. [`event::seal`] makes the record bytes and the leaf hash. Up to here nothing holds a lock.
//! 6. [`ingest::Ingest::submit`] queues the batch. The log's one task takes what is queued as a group,
//!    borrows a connection, locks the head of the log, and lets [`ingest::sequencer::plan`] decide
//!    positions, duplicates and conflicts. One transaction writes it all. Stored keys are only looked up
//!    when the unique key of the store has told that there are some.
//!    [`ingest::producers`] decides what that says about the events' producers; the same transaction writes it.
//! 7. After the commit every caller hears its verdicts, and `grpc::append` makes results of them.
//!
//! # One Query through the crate
//!
//! 1. [`grpc::query`] turns filter and `where` into one [`query::predicate::Predicate`], narrows it to what the caller
//!    sees, and opens the resume token ([`query::token`]).
//! 2. A reader task reads pages by keyset, one ahead of the client, up to the head as it was when the call
//!    began. [`query::plan`] says what the [`index`] can look up; [`query::pages`] reads what that leaves.
//!    `store::sql` makes the statements, values only ever as bind parameters.
//! 3. One that follows goes on with [`query::live`]: what the sequencers of this replica commit, and what
//!    others commit, in memory and in order. A client too slow for that reads from the store again.
//! 4. Each stored record becomes a message with its position, its leaf hash and a token to continue after
//!    it. Its bytes go to the wire as they are ([`grpc::spliced`]). A summary ends the stream.
//!
//! The index lags behind: [`ingest::indexer`] builds it, segment by segment, from what is stored.
//!
//! # One proof through the crate
//!
//! 1. The transaction of an append takes the leaf hashes into the edge of the log's tree ([`tree::Frontier`]).
//! 2. Behind it, [`proof::tiles`] writes full tiles of 256 hashes: of leaves, then of the roots of tiles.
//! 3. [`grpc::proof`] finds the size, and [`proof::prover`] reads the few tiles that hold what the proof is made
//!    of. The library that made it checks it, so that a damaged tile is an error.
//!
//! # One replay through the crate
//!
//! `grpc::quarantine` lists and discards; `grpc::replay` reads rows of the quarantine, takes each event
//! through [`event::admit`] and [`event::seal`] again, and queues it as [`ingest::sequencer::Entry::Replayed`].
//! The row leaves the quarantine in the transaction that appends its event.
//!
//! # One checkpoint through the crate
//!
//! 1. Every second [`proof::signer`] asks which logs grew. [`proof::tiles`] makes sure of what proofs are made of.
//! 2. [`proof::prover`] proves that the log extends the last signed head, which [`proof::heads`] keeps outside of the
//!    store, and [`tree::check_extension`] verifies it. A log that does not is halted for good.
//! 3. [`note::Key::sign`] signs. The new head is made durable in its file, and then stored.
//! 4. [`proof::witness`] has it cosigned by each witness, which may be this crate's own [`witness`].
//!
//! # One verification through the crate
//!
//! 1. `cli::verify` reads records as they come, and [`verify::Arrived::split`] tells where each one ends.
//! 2. [`verify::Rehash`] hashes them and grows a tree of its own. Its root is compared with a checkpoint that
//!    [`verify::Trust`] believes; [`verify::Search`] finds the first position that differs.
//! 3. A bundle ([`verify::bundle`]) is the same without a server: every record comes with its proof.
//!
//! # One erasure, and one removal, through the crate
//!
//! 1. [`ingest::erasure`] has the log tell of it ([`ingest::own`]), finds the events of the person, and takes their
//!    values ([`event::personal`]) out of columns, index and the bytes beside the records, batch by batch.
//! 2. [`retention`] asks its policy for the partitions that may go, lets the log begin later
//!    ([`store::Retention::begin_at`]), has it tell of that, and drops them when nobody reads them any more.
//!
//! Records, leaf hashes and tiles stay as they are: what was signed can be proven for ever.
//!
//! # One call through the self-audit
//!
//! A handler tells [`journal::Journal::record`] who asked for what and what they were given; its one task appends that
//! to the log `audit` ([`ingest::own`]), in groups, however long the store is away. What is lost is counted and told.
//!
//! # One setting through the crate
//!
//! A field of `config::settings` declares it. [`config::ServeArgs`] lays defaults, the file, variables and flags over each
//! other and knows where each value came from; [`config::ServeConfig`] holds what has been checked.
//!
//! # Which module may use which
//!
//! `grpc -> {ingest, query, proof, retention, catalog} -> {event, index, tree, note, store} <- store::{sqlite,
//! postgres}`; `journal` stands between `grpc` and `ingest`. `tree` and `note` are pure, and so is `verify`, the
//! auditor's side, which knows only them; `witness` knows them and `files`. `app` composes and sees everything; `cli`
//! is a client and sees the contract and `verify` only. `tests/it/layering.rs` checks it.
pub mod app;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod files;
pub mod grpc;
pub mod index;
pub mod ingest;
pub mod journal;
pub mod note;
pub mod proof;
pub mod proto;
pub mod query;
pub mod retention;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tree;
pub mod verify;
pub mod witness;
