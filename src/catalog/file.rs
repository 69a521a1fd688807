//! The catalog file format: what may stand in a TOML file, as types. `build` turns a parsed file into
//! the model; the format itself is described in `docs/catalog.md`.
use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// A whole file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogFile {
    pub cms_audit: CmsAudit,
    pub cms_notification: CmsNotification,
    pub as_audit: AsAudit,
    pub token_server: TokenServer,
    pub chancery: Option<Spanned<Chancery>>,
}

pub type Attributes = BTreeMap<String, Spanned<AttributeFile>>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CmsAudit {
    pub attribute: Attributes,
    pub event: Vec<Spanned<CmsEvent<CmsAuditRow>>>,
    pub operation: Vec<Spanned<OperationFile>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct CmsNotification {
    pub attribute: Attributes,
    pub event: Vec<Spanned<CmsEvent<CmsNotificationRow>>>,
    pub credential_value: BTreeMap<String, Spanned<KeyFile>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct AsAudit {
    pub attribute: Attributes,
    pub event: Vec<Spanned<AsAuditEvent>>,
    pub parameter: BTreeMap<String, Spanned<KeyFile>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TokenServer {
    pub attribute: Attributes,
    pub event: Vec<Spanned<TokenServerEvent>>,
    pub detail: BTreeMap<String, Spanned<KeyFile>>,
}

/// Only in the embedded file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Chancery {
    pub event: Vec<Spanned<ChanceryEvent>>,
    pub detail: BTreeMap<String, Spanned<KeyFile>>,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KindFile {
    #[default]
    Text,
    Integer,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ClassFile {
    #[default]
    Public,
    Personal,
    Secret,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RoleFile {
    Actor,
    Subject,
    Device,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeFile {
    Started,
    Success,
    Failure,
    Denied,
    Unknown,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum TokenUserFile {
    #[default]
    Actor,
    Subject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeFile {
    #[serde(default, rename = "type")]
    pub kind: KindFile,
    #[serde(default)]
    pub class: ClassFile,
    #[serde(default)]
    pub roles: Vec<RoleFile>,
    #[serde(default)]
    pub closed: bool,
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    #[serde(default)]
    pub summary: String,
}

/// A key of `credential_values`, of `details`, or a parameter code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub attribute: String,
    #[serde(default)]
    pub object: Option<String>,
    #[serde(default)]
    pub class: ClassFile,
    #[serde(default)]
    pub roles: Vec<RoleFile>,
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    #[serde(default)]
    pub summary: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliasFile {
    pub code: String,
    #[serde(default)]
    pub note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationFile {
    pub request_type: i32,
    #[serde(default)]
    pub request_reasons: Vec<String>,
    pub operation_type: String,
}

/// An event of either CMS family; the families differ in their rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmsEvent<Row> {
    pub code: String,
    pub name: String,
    pub category: String,
    pub summary: String,
    #[serde(default)]
    pub aliases: Vec<AliasFile>,
    #[serde(default)]
    pub old_names: Vec<String>,
    #[serde(default)]
    pub reserved: Option<String>,
    #[serde(default = "Vec::new")]
    pub row: Vec<Spanned<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsAuditEvent {
    pub code: String,
    #[serde(default)]
    pub name: Option<String>,
    pub category: String,
    #[serde(default)]
    pub categories: Vec<String>,
    pub summary: String,
    #[serde(default)]
    pub aliases: Vec<AliasFile>,
    #[serde(default)]
    pub reserved: Option<String>,
    #[serde(default)]
    pub codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenServerEvent {
    pub code: String,
    #[serde(default)]
    pub name: Option<String>,
    pub category: String,
    pub summary: String,
    pub outcome: OutcomeFile,
    #[serde(default)]
    pub user: TokenUserFile,
    #[serde(default)]
    pub aliases: Vec<AliasFile>,
    #[serde(default)]
    pub reserved: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChanceryEvent {
    pub code: String,
    pub name: String,
    pub category: String,
    pub summary: String,
    pub outcome: OutcomeFile,
    pub details: Vec<String>,
}

/// A field of a row: the short text form, or an attribute with the row's own list.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a field is text such as \"device_type;request_reason\" or a table with `attribute` and `values`"
)]
pub enum FieldFile {
    Short(String),
    Listed(ListedField),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedField {
    pub attribute: String,
    pub values: Vec<String>,
    #[serde(default)]
    pub closed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmsAuditRow {
    pub severity: u32,
    pub outcome: OutcomeFile,
    #[serde(default)]
    pub variant: String,
    #[serde(default)]
    pub interfaces: Vec<String>,
    #[serde(default)]
    pub summary: String,
    pub client_id: Option<FieldFile>,
    pub operator_id: Option<FieldFile>,
    pub num1: Option<FieldFile>,
    pub num2: Option<FieldFile>,
    pub char1: Option<FieldFile>,
    pub char2: Option<FieldFile>,
    pub error_number: Option<FieldFile>,
    pub error_message: Option<FieldFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CmsNotificationRow {
    #[serde(default = "both_statuses")]
    pub status: Vec<u32>,
    #[serde(default = "success")]
    pub outcome: OutcomeFile,
    #[serde(default)]
    pub variant: String,
    #[serde(default)]
    pub summary: String,
    #[serde(default)]
    pub credential_values: Vec<String>,
    pub client_id: Option<FieldFile>,
    pub operator_id: Option<FieldFile>,
    pub num1: Option<FieldFile>,
    pub num2: Option<FieldFile>,
    pub char1: Option<FieldFile>,
    pub char2: Option<FieldFile>,
    pub char3: Option<FieldFile>,
}

fn both_statuses() -> Vec<u32> {
    vec![0, 1]
}

fn success() -> OutcomeFile {
    OutcomeFile::Success
}
