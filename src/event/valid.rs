//! [`ParsedEvent`] to [`ValidEvent`] or [`RefusedEvent`]: the secret policy, then the catalog.
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Sequence, new::ParsedEvent, personal::RECORD_VERSION, timestamp};
use crate::{
    catalog::{Catalog, Classified, Draft, Suggestions, reading::Personal, rejection::Rejection, secret},
    proto::v1::{self, NewEvent},
};

/// An event that the catalog accepts: every field checked and named, no secret left in it.
pub struct ValidEvent {
    pub(super) event_id: Uuid,
    pub(super) occurred_at: i64,
    pub(super) content_hash: [u8; 32],
    /// Everything but log, producer, receipt time, position and leaf hash.
    pub(super) event: v1::Event,
    pub(super) family: v1::EventFamily,
    pub(super) outcome: v1::Outcome,
    /// What of it can be erased later.
    pub(super) personal: Vec<Personal>,
}

impl ValidEvent {
    /// The event's id.
    pub const fn event_id(&self) -> Uuid {
        self.event_id
    }

    /// What a second event with the same id is compared with.
    pub const fn content_hash(&self) -> &[u8; 32] {
        &self.content_hash
    }

    /// What the vendor's documents do not say about the event.
    pub fn warnings(&self) -> &[v1::Warning] {
        &self.event.warnings
    }
}

/// An event that the catalog refuses, without its secrets.
pub struct RefusedEvent {
    /// The event's id.
    pub event_id: Uuid,
    /// Why.
    pub rejection: Rejection,
    /// What a second event with the same id is compared with.
    pub content_hash: [u8; 32],
    /// The producer's number of it.
    pub sequence: Option<Sequence>,
    /// The event as submitted, after the secret policy, encoded.
    pub submitted: Vec<u8>,
}

/// Applies the secret policy and the catalog to a parsed event.
///
/// The content hash is taken after the policy: a hash over a secret of eight digits would be the
/// secret itself to anyone who can count to a hundred million.
///
/// # Errors
/// The event without its secrets, and why it is refused.
pub fn admit(
    catalog: &Catalog,
    parsed: ParsedEvent,
    suggestions: &mut Suggestions,
) -> Result<ValidEvent, Box<RefusedEvent>> {
    let (event_id, occurred_at, mut event) = parsed.into_parts();
    let parameters = secret::drop_secrets(catalog, &mut event);
    let submitted = event.encode_to_vec();
    let content_hash = Sha256::digest(&submitted).into();
    match catalog.classify(&event, parameters.as_ref(), suggestions) {
        Ok(classified) => Ok(valid(catalog, event_id, occurred_at, content_hash, event, classified)),
        Err(rejection) => {
            let sequence = Sequence::of(&event);
            Err(Box::new(RefusedEvent { event_id, rejection, content_hash, sequence, submitted }))
        }
    }
}

fn valid(
    catalog: &Catalog,
    event_id: Uuid,
    occurred_at: i64,
    content_hash: [u8; 32],
    source: NewEvent,
    classified: Classified,
) -> ValidEvent {
    let Classified { code, name, category, draft } = classified;
    let Draft { reading, outcome, variant, severity } = draft;
    let family = family_of(&source);
    ValidEvent {
        event_id,
        occurred_at,
        content_hash,
        family,
        outcome,
        personal: reading.personal,
        event: v1::Event {
            event_id: event_id.to_string(),
            family: family as i32,
            code,
            name,
            category,
            variant,
            severity,
            outcome: outcome as i32,
            occurred_at: Some(timestamp(occurred_at)),
            actor: reading.actor,
            subject: reading.subject,
            device: reading.device,
            correlation_id: source.correlation_id.clone(),
            attributes: reading.attributes,
            warnings: reading.warnings,
            catalog_version: catalog.version().to_owned(),
            source: Some(source),
            record_version: RECORD_VERSION,
            ..v1::Event::default()
        },
    }
}

fn family_of(event: &NewEvent) -> v1::EventFamily {
    match &event.family {
        None => v1::EventFamily::Unspecified,
        Some(v1::new_event::Family::CmsAudit(_)) => v1::EventFamily::CmsAudit,
        Some(v1::new_event::Family::CmsNotification(_)) => v1::EventFamily::CmsNotification,
        Some(v1::new_event::Family::AsAudit(_)) => v1::EventFamily::AsAudit,
        Some(v1::new_event::Family::TokenServer(_)) => v1::EventFamily::TokenServer,
        Some(v1::new_event::Family::Chancery(_)) => v1::EventFamily::Chancery,
    }
}
