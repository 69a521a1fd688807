//! Errors of callers that are nobody, or that may not do what they ask for. They say what the caller lacks, and nothing
//! of what is there: why a credential shows nothing is in the server's log and in the self-audit.
use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{info, invalid, unavailable};
use crate::{
    auth::{Refused, Role},
    event::{LogName, Producer},
    query::scoped::Personal,
};

/// Reason of a caller that shows nothing.
pub const NO_CREDENTIAL: &str = "NO_CREDENTIAL";
/// Reason of a caller whose credential is not accepted.
pub const CREDENTIAL_REFUSED: &str = "CREDENTIAL_REFUSED";
/// Reasons of refused callers.
const DENIALS: [&str; 10] = [
    NO_CREDENTIAL,
    CREDENTIAL_REFUSED,
    "CREDENTIAL_EXPIRED",
    "PRODUCER_NOT_CREDENTIAL",
    "PRODUCER_RESERVED",
    "ROLE_REQUIRED",
    "LOG_NOT_ALLOWED",
    "LOG_RESERVED",
    "PERSONAL_NOT_ALLOWED",
    FAMILY_NOT_ALLOWED,
];
/// Reason of an event that its caller may not append.
pub const FAMILY_NOT_ALLOWED: &str = "FAMILY_NOT_ALLOWED";
/// Reasons for which queries are cut off.
const QUERY_FAILURES: [&str; 11] = [
    "ACCESS_CHANGED",
    "CONNECTION_AGE",
    "CREDENTIAL_EXPIRED",
    "DRAINING",
    "INTERNAL",
    "OVERLOADED",
    "POSITION_PRUNED",
    "QUERY_TOO_SLOW",
    "SLOW_READER",
    "STORE_UNAVAILABLE",
    "TILES_BEHIND",
];

/// A reason of a refused caller, as a constant.
pub fn denial(reason: &str) -> Option<&'static str> {
    DENIALS.into_iter().find(|known| *known == reason)
}

/// A reason for which a query was cut off, as a constant.
pub fn query_failure(reason: &str) -> Option<&'static str> {
    QUERY_FAILURES.into_iter().find(|known| *known == reason)
}

/// The caller is nobody.
pub fn unauthenticated(refused: &Refused) -> Status {
    let refuse = |reason, message| {
        Status::with_error_details(Code::Unauthenticated, message, info(reason, HashMap::new()))
    };
    match refused {
        Refused::NoCredential => refuse(NO_CREDENTIAL, "a client certificate or a bearer token is needed"),
        Refused::Credential(_) | Refused::Jwt(_) => {
            refuse(CREDENTIAL_REFUSED, "the credential is not accepted")
        }
        Refused::OtherName => refuse(
            "PRODUCER_NOT_CREDENTIAL",
            "x-chancery-producer is not the name of the credential; leave it out",
        ),
        Refused::Name(what) => invalid("INVALID_PRODUCER", "x-chancery-producer", *what),
        Refused::Reserved(name) => producer_reserved(name),
    }
}

/// The name is the one that the server's own events are stored under.
fn producer_reserved(producer: &Producer) -> Status {
    let metadata = HashMap::from([("producer".to_owned(), producer.as_str().to_owned())]);
    let message = format!("the producer name {} is the server's own", producer.as_str());
    Status::with_error_details(Code::PermissionDenied, message, info("PRODUCER_RESERVED", metadata))
}

/// The credential of a stream has ended.
pub fn credential_expired() -> Status {
    let message = "the credential has expired; come back with another one";
    Status::with_error_details(Code::Unauthenticated, message, info("CREDENTIAL_EXPIRED", HashMap::new()))
}

/// What the caller of a stream may do was changed: the next call is answered by what it is now.
pub fn access_changed() -> Status {
    unavailable("ACCESS_CHANGED", "what this caller may do was changed; call again")
}

/// The caller has none of a method's roles.
pub fn role_required(roles: &[Role]) -> Status {
    let metadata = HashMap::from([("roles".to_owned(), names(roles))]);
    let message = format!("this caller is no {}", names(roles).replace(", ", " or "));
    Status::with_error_details(Code::PermissionDenied, message, info("ROLE_REQUIRED", metadata))
}

/// The caller has none of a method's roles for a log.
pub fn log_not_allowed(roles: &[Role], log: &LogName) -> Status {
    let metadata =
        HashMap::from([("roles".to_owned(), names(roles)), ("log".to_owned(), log.as_str().to_owned())]);
    let message = format!("this caller is no {} of log {log}", names(roles).replace(", ", " or "));
    Status::with_error_details(Code::PermissionDenied, message, info("LOG_NOT_ALLOWED", metadata))
}

/// The caller may not ask about all logs together.
pub fn all_logs_not_allowed() -> Status {
    let message = "this caller does not see all logs; name one";
    Status::with_error_details(Code::PermissionDenied, message, info("LOG_NOT_ALLOWED", HashMap::new()))
}

/// Only the server appends to this log.
pub fn log_reserved(log: &LogName) -> Status {
    let metadata = HashMap::from([("log".to_owned(), log.as_str().to_owned())]);
    let message = format!("log {log} is the server's own");
    Status::with_error_details(Code::PermissionDenied, message, info("LOG_RESERVED", metadata))
}

/// A condition is about values that the caller does not see.
pub fn personal(refused: &Personal) -> Status {
    let metadata = HashMap::from([("field".to_owned(), refused.0.clone())]);
    Status::with_error_details(
        Code::PermissionDenied,
        refused.to_string(),
        info("PERSONAL_NOT_ALLOWED", metadata),
    )
}

/// There is no such method.
pub fn unknown_method() -> Status {
    let message = "there is no such method; grpcurl's list shows those that there are";
    Status::with_error_details(Code::Unimplemented, message, info("UNKNOWN_METHOD", HashMap::new()))
}

fn names(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}
