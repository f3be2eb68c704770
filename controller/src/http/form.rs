//! The shape of `core`'s request types for the OpenAPI document: `core` itself knows nothing of
//! documents. Limits and patterns are those of [`crate::core::admission`]; the API's tests hold the
//! two together.

use serde::Serialize;
use tenure_protocol::channel::BotKind;
use utoipa::{
    ToSchema,
    openapi::{
        ArrayBuilder, Object, ObjectBuilder, RefOr, Schema,
        schema::{SchemaType, Type},
    },
};

use crate::{
    core::{
        access::NAME_MAX as PERSON_LIMIT,
        admission::{
            CHANNELS_LIMIT, CONTACTS_LIMIT, INGRESS_LIMIT, INSTANCES_LIMIT, MEMORY_LEAST_MIB,
            MEMORY_LIMIT_MIB, MLPS_LEVELS, MOBILE_PATTERN, NAME_LIMIT, NAME_PATTERN, ROLE_LIMIT,
            ROLE_PATTERN, TEXT_LIMIT, TEXT_PATTERN, VCPUS_LIMIT, VOLUME_LIMIT_GIB,
            VOLUME_LIMIT_MIB, VOLUMES_LIMIT,
        },
        tenant::Designated,
    },
    engine::NAME_LIMIT as HOST_NAME_LIMIT,
};

/// An application for resources on the government cloud (clause 4.2).
#[derive(Debug, ToSchema)]
#[schema(as = Application)]
pub struct ApplicationForm {
    /// The organisation that applies: the token's own.
    #[schema(schema_with = name)]
    pub customer: String,
    /// The system that it wants to run.
    pub system: SystemForm,
    /// Whom to notify, at least one.
    #[schema(schema_with = contacts)]
    pub contacts: Vec<ContactForm>,
    /// What it needs, at least one.
    #[schema(schema_with = instances)]
    pub instances: Vec<InstanceForm>,
    /// The rest of the form: see `/v1/application-forms/{version}`.
    #[schema(value_type = Object)]
    pub form: serde_json::Value,
}

/// An application that is still being written: what is there is well formed, and anything may be
/// missing.
#[derive(Debug, ToSchema)]
#[schema(as = Draft)]
pub struct DraftForm {
    /// The organisation that applies: the token's own.
    #[schema(schema_with = name)]
    pub customer: String,
    /// The system that it wants to run.
    pub system: DraftSystemForm,
    /// Whom to notify; none, as yet.
    #[schema(schema_with = contacts_so_far)]
    pub contacts: Vec<ContactForm>,
    /// What it needs; nothing, as yet.
    #[schema(schema_with = instances_so_far)]
    pub instances: Vec<InstanceForm>,
    /// The rest of the form, as far as it is there: see `/v1/application-forms/{version}`.
    #[schema(required = false, value_type = Option<Object>)]
    pub form: serde_json::Value,
}

/// The application system of a draft.
#[derive(Debug, ToSchema)]
#[schema(as = DraftSystem)]
pub struct DraftSystemForm {
    /// Its name; empty, as yet.
    #[schema(schema_with = name_so_far)]
    pub name: String,
    /// Its short code; empty, as yet.
    #[schema(schema_with = name_so_far)]
    pub code: String,
    /// Whether it is a major one (重大应用系统).
    #[schema(required = false, default = false)]
    pub major: bool,
    /// Whether it serves the Internet.
    #[schema(required = false, default = false)]
    pub internet_facing: bool,
}

/// The application system.
#[derive(Debug, ToSchema)]
#[schema(as = System)]
pub struct SystemForm {
    /// Its name.
    #[schema(schema_with = name)]
    pub name: String,
    /// Its short code.
    #[schema(schema_with = name)]
    pub code: String,
    /// Whether it is a major one (重大应用系统).
    #[schema(required = false, default = false)]
    pub major: bool,
    /// Whether it serves the Internet.
    #[schema(required = false, default = false)]
    pub internet_facing: bool,
}

/// A person or desk to notify, over every channel given, at least one.
#[derive(Debug, ToSchema)]
#[schema(as = Contact)]
pub struct ContactForm {
    /// Who.
    #[schema(schema_with = name)]
    pub name: String,
    /// E-mail address.
    #[schema(format = Email)]
    pub email: Option<String>,
    /// Webhook.
    pub webhook: Option<WebhookForm>,
    /// Bot in a group's chat.
    pub bot: Option<BotForm>,
    /// Mobile telephone, for people to call; for short messages too if `sms` is designated.
    #[schema(required = false, schema_with = mobile)]
    pub mobile: Option<String>,
    /// When it can be reached: `24x7`.
    #[schema(required = false, schema_with = optional_name)]
    pub available: Option<String>,
    /// Which of `email`, `webhook`, `sms` and `bot` are the systems that it designates.
    #[schema(required = false, schema_with = designated)]
    pub designated: Vec<String>,
}

/// A webhook of the Standard Webhooks kind.
#[derive(Debug, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookForm {
    /// Where to post.
    #[schema(format = "uri", max_length = 512)]
    pub url: String,
    /// `whsec_` and the base64 of 24 to 64 bytes: the signing secret that both sides know.
    #[schema(write_only, pattern = "^whsec_[A-Za-z0-9+/]{32,86}={0,2}$")]
    pub secret: String,
}

/// A bot in a group's chat.
#[derive(Debug, ToSchema)]
#[schema(as = Bot)]
pub struct BotForm {
    /// Whose product the chat is.
    #[schema(schema_with = bot_kind)]
    pub kind: String,
    /// Where to post, with the token in it: at the vendor's host, or at one that the site allows.
    #[schema(write_only, format = "uri", max_length = 512)]
    pub url: String,
    /// The signature secret of `dingtalk` and `feishu`; `wecom` has none.
    #[schema(write_only, required = false, min_length = 8, max_length = 128)]
    pub secret: String,
}

/// A number of like instances.
#[derive(Debug, ToSchema)]
#[schema(as = InstanceRequest)]
pub struct InstanceForm {
    /// What they do; their names are `<role>-<n>`.
    #[schema(schema_with = role)]
    pub role: String,
    /// How many.
    #[schema(schema_with = count)]
    pub count: u16,
    /// Virtual processors of each.
    #[schema(schema_with = vcpus)]
    pub vcpus: u16,
    /// Memory of each, MiB.
    #[schema(schema_with = memory)]
    pub memory_mib: u32,
    /// Name of an image of the catalogue.
    #[schema(schema_with = image)]
    pub image: String,
    /// Volumes of each, GiB: at least one, or `volumes_mib`.
    #[schema(required = false, schema_with = volumes_gib)]
    pub volumes_gib: Vec<u32>,
    /// Volumes of each, MiB: instead of `volumes_gib`.
    #[schema(required = false, schema_with = volumes_mib)]
    pub volumes_mib: Vec<u32>,
    /// What may come in.
    #[schema(required = false, schema_with = ingress)]
    pub ingress: Vec<IngressForm>,
}

/// One port to be opened.
#[derive(Debug, ToSchema)]
#[schema(as = IngressRequest)]
pub struct IngressForm {
    /// `tcp` or `udp`.
    #[schema(schema_with = protocol)]
    pub protocol: String,
    /// The port.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// From where it is to be reached: `extranet` (the government extranet), `internet` (opens in
    /// formal operation, once a reviewer has found the ICP filing in the ministry's register), or
    /// `isolated` (the tenant's network alone).
    #[schema(required = false, schema_with = zone)]
    pub zone: String,
}

/// An expert who assessed whether a longer trial is needed.
#[derive(Debug, ToSchema)]
#[schema(as = Expert)]
pub struct ExpertForm {
    /// Who.
    #[schema(schema_with = name)]
    pub name: String,
    /// What that person said.
    #[schema(schema_with = text)]
    pub opinion: String,
}

/// A third-party MLPS (等保) assessment.
#[derive(Debug, ToSchema)]
#[schema(as = Assessment)]
pub struct AssessmentForm {
    /// Number of the report.
    #[schema(schema_with = text)]
    pub report_number: String,
    /// The assessing organisation: not the customer itself.
    #[schema(schema_with = text)]
    pub assessor: String,
    /// The level that was assessed.
    #[schema(schema_with = level)]
    pub level: u8,
    /// The assessor's conclusion.
    #[schema(schema_with = text)]
    pub conclusion: String,
    /// The copy of the report.
    pub document: DocumentForm,
}

/// An ICP filing.
#[derive(Debug, ToSchema)]
#[schema(as = IcpFiling)]
pub struct IcpFilingForm {
    /// Filing number.
    #[schema(schema_with = text)]
    pub number: String,
    /// Domain.
    #[schema(schema_with = text)]
    pub domain: String,
    /// Who holds the filing.
    #[schema(schema_with = text)]
    pub holder: String,
    /// Day of the filing, such as 2026-10-20.
    #[schema(format = Date)]
    pub filed_on: String,
    /// The copy of the proof.
    pub document: DocumentForm,
}

/// A document: an attachment of the tenant, by its digest.
#[derive(Debug, ToSchema)]
#[schema(as = Document)]
pub struct DocumentForm {
    /// Its title or number.
    #[schema(schema_with = text)]
    pub title: String,
    /// SHA-256 of the attachment, 64 lower-case hexadecimal digits: upload the file first.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1))
}

fn number(least: u32, most: u32) -> Object {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    number.minimum(Some(least)).maximum(Some(most)).build()
}

pub(super) fn many(items: impl Into<RefOr<Schema>>, least: usize, most: usize) -> RefOr<Schema> {
    ArrayBuilder::new().items(items.into()).min_items(Some(least)).max_items(Some(most)).into()
}

/// The texts of an enumeration, as they are written.
pub(super) fn words<T: Serialize>(values: impl IntoIterator<Item = T>) -> RefOr<Schema> {
    let texts = values.into_iter().filter_map(|value| serde_json::to_value(value).ok());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts)).build().into()
}

/// A name of people's, by [`NAME_PATTERN`].
pub(super) fn name() -> RefOr<Schema> {
    string().max_length(Some(NAME_LIMIT)).pattern(Some(NAME_PATTERN)).build().into()
}

/// As [`name`], or null.
fn optional_name() -> RefOr<Schema> {
    let types = [Type::String, Type::Null];
    let name = ObjectBuilder::new().schema_type(SchemaType::from_iter(types));
    let name = name.min_length(Some(1)).max_length(Some(NAME_LIMIT));
    name.pattern(Some(NAME_PATTERN)).build().into()
}

/// A text for people, by [`TEXT_PATTERN`].
pub(super) fn text() -> RefOr<Schema> {
    string().max_length(Some(TEXT_LIMIT)).pattern(Some(TEXT_PATTERN)).build().into()
}

/// A host's name: a DNS label.
pub(super) fn host_name() -> RefOr<Schema> {
    let label = "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$";
    string().max_length(Some(HOST_NAME_LIMIT)).pattern(Some(label)).build().into()
}

/// The name of a person or a token.
pub(super) fn person() -> RefOr<Schema> {
    let name = string().max_length(Some(PERSON_LIMIT)).pattern(Some("^[a-z][a-z0-9._-]*$"));
    name.build().into()
}

fn role() -> RefOr<Schema> {
    string().max_length(Some(ROLE_LIMIT)).pattern(Some(ROLE_PATTERN)).build().into()
}

fn image() -> RefOr<Schema> {
    string().max_length(Some(NAME_LIMIT)).build().into()
}

fn protocol() -> RefOr<Schema> {
    words(["tcp", "udp"])
}

fn zone() -> RefOr<Schema> {
    let zones = ["extranet", "internet", "isolated"];
    let zone = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(zones));
    zone.default(Some("extranet".into())).build().into()
}

fn count() -> RefOr<Schema> {
    number(1, INSTANCES_LIMIT.into()).into()
}

fn vcpus() -> RefOr<Schema> {
    number(1, VCPUS_LIMIT.into()).into()
}

fn level() -> RefOr<Schema> {
    number((*MLPS_LEVELS.start()).into(), (*MLPS_LEVELS.end()).into()).into()
}

fn memory() -> RefOr<Schema> {
    number(MEMORY_LEAST_MIB, MEMORY_LIMIT_MIB).into()
}

fn name_so_far() -> RefOr<Schema> {
    let name = ObjectBuilder::new().schema_type(Type::String).max_length(Some(NAME_LIMIT));
    name.build().into()
}

pub(super) fn contacts() -> RefOr<Schema> {
    many(utoipa::openapi::Ref::from_schema_name("Contact"), 1, CONTACTS_LIMIT)
}

fn contacts_so_far() -> RefOr<Schema> {
    many(utoipa::openapi::Ref::from_schema_name("Contact"), 0, CONTACTS_LIMIT)
}

fn designated() -> RefOr<Schema> {
    let all = [Designated::Email, Designated::Webhook, Designated::Sms, Designated::Bot];
    many(words(all), 0, CHANNELS_LIMIT)
}

fn bot_kind() -> RefOr<Schema> {
    words(BotKind::ALL)
}

fn mobile() -> RefOr<Schema> {
    let types = [Type::String, Type::Null];
    let text = ObjectBuilder::new().schema_type(SchemaType::from_iter(types));
    text.max_length(Some(16)).pattern(Some(MOBILE_PATTERN)).build().into()
}

fn instances() -> RefOr<Schema> {
    let one = utoipa::openapi::Ref::from_schema_name("InstanceRequest");
    many(one, 1, INSTANCES_LIMIT.into())
}

fn instances_so_far() -> RefOr<Schema> {
    let one = utoipa::openapi::Ref::from_schema_name("InstanceRequest");
    many(one, 0, INSTANCES_LIMIT.into())
}

fn volumes_gib() -> RefOr<Schema> {
    many(number(1, VOLUME_LIMIT_GIB), 0, VOLUMES_LIMIT)
}

fn volumes_mib() -> RefOr<Schema> {
    many(number(1, VOLUME_LIMIT_MIB), 0, VOLUMES_LIMIT)
}

fn ingress() -> RefOr<Schema> {
    many(utoipa::openapi::Ref::from_schema_name("IngressRequest"), 0, INGRESS_LIMIT)
}
