//! `CatalogService`: the catalog as messages.
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::status;
use crate::{
    catalog::{
        Catalog, Suggestions,
        model::{Attribute, AttributeUse, Class, EventType, Family, FieldSpec, Role, Row, ValueKind},
    },
    proto::{servers::catalog_service_server::CatalogService, v1},
};

/// Types of a page when the caller does not say.
const DEFAULT_PAGE: usize = 100;
/// Types of a page at most.
const LARGEST_PAGE: usize = 1000;

/// Entries of `families`; there are four families.
const MAX_FAMILIES: usize = 16;

/// The service.
pub struct CatalogRpc {
    pub catalog: Arc<Catalog>,
}

#[tonic::async_trait]
impl CatalogService for CatalogRpc {
    async fn list_event_types(
        &self,
        request: Request<v1::ListEventTypesRequest>,
    ) -> Result<Response<v1::ListEventTypesResponse>, Status> {
        let request = request.into_inner();
        let size = match usize::try_from(request.page_size) {
            Err(_) => return Err(status::invalid("INVALID_PAGE_SIZE", "page_size", "is negative")),
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(LARGEST_PAGE),
        };
        if request.families.len() > MAX_FAMILIES {
            let description = format!("holds {} families; at most {MAX_FAMILIES}", request.families.len());
            return Err(status::invalid("INVALID_FAMILY", "families", description));
        }
        let mut families = Vec::new();
        for (at, family) in request.families.iter().enumerate() {
            families.push(self::family(*family, &format!("families[{at}]"))?);
        }
        let text = request.text.to_lowercase();
        let list = format!("{}:{:?}:{text}", self.catalog.version(), families);
        let offset = offset(&request.page_token, &list)?;
        let matching: Vec<_> = self
            .catalog
            .types()
            .filter(|event_type| families.is_empty() || families.contains(&event_type.family))
            .filter(|event_type| text.is_empty() || mentions(event_type, &text))
            .collect();
        let page = matching.iter().skip(offset).take(size);
        let event_types: Vec<_> = page.map(|event_type| message(&self.catalog, event_type)).collect();
        let next = offset + event_types.len();
        let more = next < matching.len();
        Ok(Response::new(v1::ListEventTypesResponse {
            event_types,
            next_page_token: if more { page_token(next, &list) } else { String::new() },
            total_size: u32::try_from(matching.len()).unwrap_or(u32::MAX),
            catalog_version: self.catalog.version().to_owned(),
        }))
    }

    async fn get_event_type(
        &self,
        request: Request<v1::GetEventTypeRequest>,
    ) -> Result<Response<v1::GetEventTypeResponse>, Status> {
        let request = request.into_inner();
        let family = family(request.family, "family")?;
        let Some((event_type, _)) = self.catalog.find(family, &request.code) else {
            let unknown = self.catalog.unknown(family, &request.code, &mut Suggestions::default());
            return Err(status::not_found("EVENT_TYPE_NOT_FOUND", unknown.message(), &unknown.nearest));
        };
        Ok(Response::new(v1::GetEventTypeResponse { event_type: Some(message(&self.catalog, event_type)) }))
    }
}

fn family(value: i32, field: &str) -> Result<Family, Status> {
    Family::from_proto(value)
        .ok_or_else(|| status::invalid("INVALID_FAMILY", field, "is not set or not a known family"))
}

/// A token is the offset and a digest of what is listed, the catalog's version among it: a page of
/// another list would skip or repeat.
fn page_token(offset: usize, list: &str) -> String {
    let digest = Sha256::digest(list);
    URL_SAFE_NO_PAD.encode([&(offset as u64).to_be_bytes(), &digest[..8]].concat())
}

fn offset(token: &str, list: &str) -> Result<usize, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let offset = bytes.and_then(|bytes| bytes.first_chunk().copied()).map(u64::from_be_bytes);
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    offset.filter(|offset| page_token(*offset, list) == token).ok_or_else(|| {
        let description = "is not a page token of this list and the loaded catalog; begin again without one";
        status::invalid("INVALID_PAGE_TOKEN", "page_token", description)
    })
}

fn mentions(event_type: &EventType, text: &str) -> bool {
    let aliases = event_type.aliases.iter().map(|alias| &alias.code);
    [&event_type.code, &event_type.name, &event_type.category, &event_type.summary]
        .into_iter()
        .chain(aliases)
        .any(|each| each.to_lowercase().contains(text))
}

fn message(catalog: &Catalog, event_type: &EventType) -> v1::EventType {
    let shapes = match event_type.family {
        Family::CmsAudit | Family::CmsNotification => {
            event_type.rows.iter().map(|row| row_shape(catalog, event_type.family, row)).collect()
        }
        Family::AsAudit | Family::TokenServer | Family::Chancery => vec![free_shape(catalog, event_type)],
    };
    v1::EventType {
        family: event_type.family.proto() as i32,
        code: event_type.code.clone(),
        aliases: event_type.aliases.iter().map(|alias| alias.code.clone()).collect(),
        name: event_type.name.clone(),
        old_names: event_type.old_names.clone(),
        category: event_type.category.clone(),
        other_categories: event_type.other_categories.clone(),
        summary: event_type.summary.clone(),
        reserved_reason: event_type.reserved.clone().unwrap_or_default(),
        shapes,
    }
}

fn row_shape(catalog: &Catalog, family: Family, row: &Row) -> v1::EventShape {
    let mut fields: Vec<_> = row
        .fields
        .iter()
        .map(|(field, spec)| v1::FieldShape {
            field: field.name().to_owned(),
            unused: matches!(spec, FieldSpec::Unused),
            attributes: spec.uses().iter().map(attribute_use).collect(),
            separator: match spec {
                FieldSpec::Composite { separator, .. } => separator.to_string(),
                FieldSpec::Unused | FieldSpec::One(_) => String::new(),
            },
        })
        .collect();
    for (key, value) in &catalog.family(family).credential_values {
        if row.credential_objects.contains(&value.object) {
            fields.push(keyed(format!("credential_values[{key}]"), &value.attribute));
        }
    }
    v1::EventShape {
        severity: row.severity,
        statuses: row.statuses.clone(),
        variant: row.variant.clone(),
        outcome: row.outcome as i32,
        interfaces: row.interfaces.clone(),
        summary: row.summary.clone(),
        fields,
    }
}

/// The one shape of a type without positional fields: what its keys mean.
fn free_shape(catalog: &Catalog, event_type: &EventType) -> v1::EventShape {
    let family = catalog.family(event_type.family);
    let mut fields = Vec::new();
    let (list, known) = match event_type.family {
        Family::Chancery => ("details", &family.details),
        _ => ("parameters", &family.parameters),
    };
    for code in &event_type.parameter_codes {
        if let Some(attribute) = known.get(code) {
            fields.push(keyed(format!("{list}[{code}]"), attribute));
        }
    }
    if event_type.family == Family::TokenServer {
        for name in ["client_id", "user_id", "client_ip", "user_agent", "transaction_id"] {
            if let Some(attribute) = family.attributes.get(name) {
                fields.push(keyed(name.to_owned(), attribute));
            }
        }
    }
    v1::EventShape { outcome: event_type.outcome as i32, fields, ..v1::EventShape::default() }
}

fn keyed(field: String, attribute: &Attribute) -> v1::FieldShape {
    v1::FieldShape { field, attributes: vec![shape(attribute)], ..v1::FieldShape::default() }
}

fn attribute_use(each: &AttributeUse) -> v1::AttributeShape {
    v1::AttributeShape { constant: each.constant.clone().unwrap_or_default(), ..shape(&each.attribute) }
}

fn shape(attribute: &Attribute) -> v1::AttributeShape {
    v1::AttributeShape {
        name: attribute.name.clone(),
        r#type: match attribute.kind {
            ValueKind::Text => v1::ValueType::Text,
            ValueKind::Integer => v1::ValueType::Integer,
        } as i32,
        class: match attribute.class {
            Class::Public => v1::AttributeClass::Public,
            Class::Personal => v1::AttributeClass::Personal,
            Class::Secret => v1::AttributeClass::Secret,
        } as i32,
        allowed_values: attribute
            .values
            .iter()
            .map(|(value, meaning)| v1::AllowedValue { value: value.clone(), meaning: meaning.clone() })
            .collect(),
        closed: attribute.closed,
        constant: String::new(),
        roles: attribute
            .roles
            .iter()
            .map(|role| match role {
                Role::Actor => "actor".to_owned(),
                Role::Subject => "subject".to_owned(),
                Role::Device => "device".to_owned(),
            })
            .collect(),
        summary: attribute.summary.clone(),
    }
}
