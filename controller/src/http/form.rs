//! The shape of `core`'s request types for the OpenAPI document: `core` itself knows nothing of
//! documents. The API's tests hold the two together.

use utoipa::ToSchema;

/// An application for resources on the government cloud (clause 4.2).
#[derive(Debug, ToSchema)]
#[schema(as = Application)]
pub struct ApplicationForm {
    /// The organisation that applies: the token's own.
    pub customer: String,
    /// The system that it wants to run.
    pub system: SystemForm,
    /// Whom to notify, at least one.
    #[schema(min_items = 1)]
    pub contacts: Vec<ContactForm>,
    /// What it needs, at least one.
    #[schema(min_items = 1)]
    pub instances: Vec<InstanceForm>,
    /// The rest of the form: see `/v1/application-forms/{version}`.
    #[schema(value_type = Object)]
    pub form: serde_json::Value,
}

/// The application system.
#[derive(Debug, ToSchema)]
#[schema(as = System)]
pub struct SystemForm {
    /// Its name.
    pub name: String,
    /// Its short code.
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
    pub name: String,
    /// E-mail address.
    #[schema(format = Email)]
    pub email: Option<String>,
    /// Webhook.
    pub webhook: Option<WebhookForm>,
    /// Mobile telephone, for people to call.
    pub mobile: Option<String>,
    /// When it can be reached: `24x7`.
    pub available: Option<String>,
    /// Which of `email` and `webhook` are the systems that it designates.
    #[schema(required = false)]
    pub designated: Vec<String>,
}

/// A webhook of the Standard Webhooks kind.
#[derive(Debug, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookForm {
    /// Where to post.
    #[schema(format = "uri")]
    pub url: String,
    /// `whsec_` and the base64 of 24 to 64 bytes: the signing secret that both sides know.
    pub secret: String,
}

/// A number of like instances.
#[derive(Debug, ToSchema)]
#[schema(as = InstanceRequest)]
pub struct InstanceForm {
    /// What they do; their names are `<role>-<n>`.
    pub role: String,
    /// How many.
    #[schema(minimum = 1)]
    pub count: u16,
    /// Virtual processors of each.
    #[schema(minimum = 1)]
    pub vcpus: u16,
    /// Memory of each, MiB.
    #[schema(minimum = 1)]
    pub memory_mib: u32,
    /// Name of an image of the catalogue.
    pub image: String,
    /// Volumes of each, GiB.
    #[schema(required = false)]
    pub volumes_gib: Vec<u32>,
    /// Volumes of each, MiB: instead of `volumes_gib`.
    #[schema(required = false)]
    pub volumes_mib: Vec<u32>,
    /// What may come in.
    #[schema(required = false)]
    pub ingress: Vec<IngressForm>,
}

/// One port to be opened.
#[derive(Debug, ToSchema)]
#[schema(as = IngressRequest)]
pub struct IngressForm {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port.
    #[schema(minimum = 1)]
    pub port: u16,
}

/// A document: an attachment of the tenant, by its digest.
#[derive(Debug, ToSchema)]
#[schema(as = Document)]
pub struct DocumentForm {
    /// Its title or number.
    pub title: String,
    /// SHA-256 of the attachment, 64 lower-case hexadecimal digits: upload the file first.
    pub sha256: String,
}
