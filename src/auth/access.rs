//! What everybody may do: the table of the access file. Made by `config::access`, asked once per call.
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Credential, Identity, Role, Scope};
use crate::{
    catalog::model::Family,
    event::{LogName, Producer},
    ingest::rate::Rates,
};

/// What everybody may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// There is no table: everybody may do everything, under any name.
    #[default]
    Open,
    Table(Table),
}

/// The access file. Who is not in it may do nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    pub producers: BTreeMap<Producer, Arc<ProducerGrant>>,
    /// How fast each of them may send. No grant: streams go on when only this changes, and keep to it.
    pub rates: BTreeMap<Producer, Rates>,
    pub readers: BTreeMap<Holder, Arc<ReaderGrant>>,
    pub auditors: BTreeMap<Holder, Logs>,
    pub admins: BTreeMap<Holder, Logs>,
    /// Whose token has this SHA-256.
    pub tokens: HashMap<[u8; 32], TokenGrant>,
    /// Who a certificate without a URI names, by its subject.
    pub subjects: BTreeMap<String, Producer>,
}

/// Who a line of the table is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder {
    Name(Producer),
    /// Everybody whose signed token names this group.
    Group(String),
}

/// The logs of a line of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Logs {
    /// Every log but the self-audit, which has to be named.
    All,
    Named(BTreeSet<LogName>),
}

impl Logs {
    fn hold(&self, log: &LogName) -> bool {
        match self {
            Self::All => !log.is_audit(),
            Self::Named(logs) => logs.contains(log),
        }
    }
}

/// The families of a line of the table; `None` for all.
pub type Families = Option<BTreeSet<Family>>;

/// What a producer may append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerGrant {
    pub logs: Logs,
    pub families: Families,
}

/// What a reader sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReaderGrant {
    pub logs: Logs,
    pub families: Families,
    pub personal: bool,
}

/// Whose a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenGrant {
    pub name: Producer,
    /// In microseconds since 1970; `None` for ever.
    pub expires_at: Option<i64>,
}

impl Access {
    /// The table; `None` when everybody may do everything.
    pub const fn table(&self) -> Option<&Table> {
        match self {
            Self::Open => None,
            Self::Table(table) => Some(table),
        }
    }

    /// What somebody may do.
    pub fn grants(&self, identity: &Identity) -> Grants {
        let Self::Table(table) = self else { return Grants::Everything };
        let groups = identity.groups.iter().cloned().map(Holder::Group);
        let holders: Vec<_> = std::iter::once(Holder::Name(identity.name.clone())).chain(groups).collect();
        Grants::Listed {
            producer: table.producers.get(&identity.name).cloned(),
            readers: holders.iter().filter_map(|holder| table.readers.get(holder)).cloned().collect(),
            auditors: holders.iter().filter_map(|holder| table.auditors.get(holder)).cloned().collect(),
            admins: holders.iter().filter_map(|holder| table.admins.get(holder)).cloned().collect(),
        }
    }

    /// Whether what showed who somebody is still does, and they may do what they could.
    pub fn still(&self, identity: &Identity, grants: &Grants) -> bool {
        let known = match (self, &identity.credential) {
            (Self::Open, _) => true,
            (Self::Table(_), Credential::Claim) => false,
            (Self::Table(table), Credential::Token(digest)) => {
                let same = |token: &TokenGrant| {
                    token.name == identity.name && token.expires_at == identity.expires_at
                };
                table.tokens.get(digest).is_some_and(same)
            }
            (Self::Table(table), Credential::Certificate { subject: Some(subject) }) => {
                table.subjects.get(subject) == Some(&identity.name)
            }
            (Self::Table(_), Credential::Certificate { subject: None } | Credential::Jwt) => true,
        };
        known && self.grants(identity) == *grants
    }
}

/// What one caller may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grants {
    Everything,
    Listed {
        producer: Option<Arc<ProducerGrant>>,
        readers: Vec<Arc<ReaderGrant>>,
        auditors: Vec<Logs>,
        admins: Vec<Logs>,
    },
}

impl Grants {
    /// Whether a role is there for some log.
    pub(super) fn has(&self, role: Role) -> bool {
        self.any(role, |_| true)
    }

    /// Whether a role is there for a log.
    pub(super) fn has_for(&self, role: Role, log: &LogName) -> bool {
        self.any(role, |logs| logs.hold(log))
    }

    /// Whether a role is there for every log but the self-audit.
    pub fn has_for_all(&self, role: Role) -> bool {
        self.any(role, |logs| *logs == Logs::All)
    }

    /// Whether a role is there whose logs are like this.
    fn any(&self, role: Role, mut like: impl FnMut(&Logs) -> bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed { producer, readers, auditors, admins } => match role {
                Role::Producer => producer.iter().any(|grant| like(&grant.logs)),
                Role::Reader => readers.iter().any(|grant| like(&grant.logs)),
                Role::Auditor => auditors.iter().any(like),
                Role::Admin => admins.iter().any(like),
            },
        }
    }

    /// Whether events of a family may be appended.
    pub fn may_append(&self, family: Family) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed { producer, .. } => producer
                .as_ref()
                .is_some_and(|grant| grant.families.as_ref().is_none_or(|only| only.contains(&family))),
        }
    }

    /// Which events of a log are seen. Where several lines are about a caller, it sees the families of all of them,
    /// and personal values only when all of them show them: which line an event is seen by cannot be told.
    pub fn scope(&self, log: &LogName) -> Option<Scope> {
        let Self::Listed { readers, .. } = self else { return Some(Scope::new(None, true)) };
        let mut lines = readers.iter().filter(|grant| grant.logs.hold(log));
        let first = lines.next()?;
        let (mut families, mut personal) = (first.families.clone(), first.personal);
        for line in lines {
            families = families.zip(line.families.as_ref()).map(|(all, more)| &all | more);
            personal &= line.personal;
        }
        Some(Scope::new(families, personal))
    }
}
