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
    /// From where it is to be reached: `extranet` (the government extranet), `internet` (opens in
    /// formal operation, once the ICP filing is recorded), or `isolated` (the tenant's network
    /// alone).
    #[schema(required = false, default = "extranet")]
    pub zone: String,
}

/// An expert who assessed whether a longer trial is needed.
#[derive(Debug, ToSchema)]
#[schema(as = Expert)]
pub struct ExpertForm {
    /// Who.
    pub name: String,
    /// What that person said.
    pub opinion: String,
}

/// A third-party MLPS (等保) assessment.
#[derive(Debug, ToSchema)]
#[schema(as = Assessment)]
pub struct AssessmentForm {
    /// Number of the report.
    pub report_number: String,
    /// The assessing organisation: not the customer itself.
    pub assessor: String,
    /// The level that was assessed.
    #[schema(minimum = 1, maximum = 5)]
    pub level: u8,
    /// The assessor's conclusion.
    pub conclusion: String,
    /// The copy of the report.
    pub document: DocumentForm,
}

/// An ICP filing.
#[derive(Debug, ToSchema)]
#[schema(as = IcpFiling)]
pub struct IcpFilingForm {
    /// Filing number.
    pub number: String,
    /// Domain.
    pub domain: String,
    /// Who holds the filing.
    pub holder: String,
    /// Day of the filing, such as 2026-10-20.
    #[schema(format = Date)]
    pub filed_on: String,
    /// The copy of the proof.
    pub document: DocumentForm,
}

/// A document that stands outside, by its digest.
#[derive(Debug, ToSchema)]
#[schema(as = Document)]
pub struct DocumentForm {
    /// Its title or number.
    pub title: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
}
