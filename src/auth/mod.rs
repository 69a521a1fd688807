//! Who calls, and what they may do.
//!
//! [`Authenticator`] makes an [`Identity`] of what a call brings, [`Access`] says what it may do, [`rules`] what each
//! method asks for, and a [`Scope`] which events a reader sees. Nothing here knows a wire or a store. Callers:
//! `server::gate`, which does this for every call; `grpc`, which asks the [`Caller`] for each log.
mod access;
mod authenticator;
mod certificate;
pub mod jwt;
pub mod rules;
mod scope;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

pub use access::{Access, Families, Grants, Holder, Logs, ProducerGrant, ReaderGrant, Table, TokenGrant};
pub use authenticator::{Authenticator, Credentials, Refused, bearer};
pub use certificate::{Certificate, Unreadable};
pub use scope::Scope;

use crate::event::{LogName, Producer};

/// Begins the name of a group's line in the access file; nobody's own name does.
pub const GROUP: &str = "group:";

/// What a caller may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Appends events.
    Producer,
    /// Reads events.
    Reader,
    /// Reads proofs, and what is known of logs and producers; no events.
    Auditor,
    /// Erases, removes, replays and discards.
    Admin,
}

impl Role {
    /// Name in the access file, in errors and in the self-audit.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Reader => "reader",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

/// What shows who a caller is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// Nothing: the caller says so itself. Only where everybody may do everything.
    Claim,
    /// A client certificate; with its subject, when that is what the access file maps to the name.
    Certificate { subject: Option<String> },
    /// A token of the access file, by its SHA-256.
    Token([u8; 32]),
    /// A token that the configured issuer has signed.
    Jwt,
}

impl Credential {
    /// Name in the self-audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Claim => "none",
            Self::Certificate { .. } => "certificate",
            Self::Token(_) => "token",
            Self::Jwt => "jwt",
        }
    }
}

/// Who somebody is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Also the producer of what they append.
    pub name: Producer,
    pub credential: Credential,
    /// Groups that a signed token names.
    pub groups: Vec<String>,
    /// When the credential ends, in microseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Who makes a call, and what they may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub identity: Identity,
    /// What they call: service and method.
    pub method: &'static str,
    /// Where from; `None` when the transport does not tell.
    pub address: Option<SocketAddr>,
    pub grants: Arc<Grants>,
    /// Why the answer was cut off, when it was: the name of a gRPC code, and a reason.
    pub cut_off: OnceLock<(&'static str, &'static str)>,
}

impl Caller {
    /// The caller's name.
    pub const fn name(&self) -> &Producer {
        &self.identity.name
    }

    /// Whether the caller is this for some log.
    pub fn is(&self, role: Role) -> bool {
        self.grants.has(role)
    }

    /// Whether the caller is this for a log.
    pub fn is_for(&self, role: Role, log: &LogName) -> bool {
        self.grants.has_for(role, log)
    }

    /// Which events of a log the caller sees; `None` for none.
    pub fn scope(&self, log: &LogName) -> Option<Scope> {
        self.grants.scope(log)
    }
}
