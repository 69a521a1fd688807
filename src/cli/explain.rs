//! Turns a google.rpc status, of a call or of one event, into what people read.
//!
//! Does: find the stable reason, the field violations and the retry delay among the details.
//! Does not: choose an exit code. Called by: `failure.rs`, `append/`.
use std::{fmt, time::Duration};

use tonic_types::{ErrorDetails, RpcStatusExt as _, StatusExt as _, pb};

use super::output::escape::visible;
use crate::proto::google::rpc;

/// What a status says, in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// ErrorInfo.reason, or the name of the gRPC code when the server sent no ErrorInfo.
    pub reason: String,
    /// The status message.
    pub message: String,
    /// BadRequest: field path and description.
    pub violations: Vec<(String, String)>,
    /// RetryInfo: how long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether ErrorInfo was there. Without it the status was not made by Chancery.
    pub from_chancery: bool,
}

impl Explained {
    /// Explains a failed call.
    pub fn of_call(status: &tonic::Status) -> Self {
        Self::new(status.code(), status.message(), &status.get_error_details())
    }

    /// Explains the error of one event of a batch.
    pub fn of_event(status: &rpc::Status) -> Self {
        let details = status
            .details
            .iter()
            .map(|any| prost_types::Any { type_url: any.type_url.clone(), value: any.value.to_vec() })
            .collect();
        let status = pb::Status { code: status.code, message: status.message.clone(), details };
        Self::new(tonic::Code::from_i32(status.code), &status.message, &status.get_error_details())
    }

    fn new(code: tonic::Code, message: &str, details: &ErrorDetails) -> Self {
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations.iter().map(|it| (it.field.clone(), it.description.clone())).collect()
        });
        Self {
            reason: details.error_info().map_or_else(|| code_name(code), |info| info.reason.clone()),
            message: message.to_owned(),
            violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            from_chancery: details.error_info().is_some(),
        }
    }
}

/// `REASON: message`, then one indented line per field violation. Texts of the server may quote an
/// event, so they are escaped.
impl fmt::Display for Explained {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", visible(&self.reason), visible(&self.message))?;
        for (field, description) in &self.violations {
            // The message of a refusal with one reason says it all.
            if self.message == *description || self.message == format!("{field}: {description}") {
                continue;
            }
            write!(out, "\n  {}: {}", visible(field), visible(description))?;
        }
        Ok(())
    }
}

/// The gRPC code as the protocol spells it, for example `DEADLINE_EXCEEDED`.
fn code_name(code: tonic::Code) -> String {
    let mut name = String::new();
    for (at, letter) in format!("{code:?}").chars().enumerate() {
        if at > 0 && letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_details_goes_by_its_code() {
        let status = tonic::Status::deadline_exceeded("no answer");
        assert_eq!(Explained::of_call(&status).to_string(), "DEADLINE_EXCEEDED: no answer");
    }

    #[test]
    fn reason_and_violations_are_read_from_the_details() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("UNKNOWN_EVENT_CODE", "chancery.v1", std::collections::HashMap::new())
            .add_bad_request_violation("events[3].cms_audit.code", "nearest: 20151\u{1b}[2J");
        let status = tonic::Status::with_error_details(tonic::Code::InvalidArgument, "no such code", details);
        assert_eq!(
            Explained::of_call(&status).to_string(),
            "UNKNOWN_EVENT_CODE: no such code\n  events[3].cms_audit.code: nearest: 20151\\u{1b}[2J"
        );
    }
}
