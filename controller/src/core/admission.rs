//! Whether an application is well formed: everything is checked before anything is touched, and the
//! first thing wrong is named together with what to do.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    fleet::Image,
    lifecycle::Document,
    refusal::{Code, Refusal},
    tenant::{Application, Contact, InstanceRequest, Zone},
};

/// Longest name of a customer, system, contact or document, characters.
pub const NAME_LIMIT: usize = 200;
/// Longest reason or opinion, characters.
pub const TEXT_LIMIT: usize = 4_000;
/// Most contacts of an application.
pub const CONTACTS_LIMIT: usize = 16;
/// Most instances of an application.
pub const INSTANCES_LIMIT: u32 = 200;
/// Most virtual processors of an instance.
pub const VCPUS_LIMIT: u16 = 64;
/// Least memory of an instance, MiB.
pub const MEMORY_LEAST_MIB: u32 = 64;
/// Most memory of an instance, MiB: 4 TiB.
pub const MEMORY_LIMIT_MIB: u32 = 4 << 20;
/// Most volumes of an instance.
pub const VOLUMES_LIMIT: usize = 16;
/// Largest volume, bytes: 64 TiB.
pub const VOLUME_LIMIT_BYTES: u64 = 64 << 40;
/// Smallest volume, bytes: 1 MiB.
pub const VOLUME_LEAST_BYTES: u64 = 1 << 20;
/// Most open ports of an instance.
pub const INGRESS_LIMIT: usize = 64;

/// Checks an application against the limits and the image catalogue.
///
/// # Errors
/// `invalid-application` or `unknown-image`, with a sentence.
pub fn check(application: &Application, images: &[Image]) -> Result<(), Refusal> {
    name("customer", &application.customer)?;
    name("system.name", &application.system.name)?;
    name("system.code", &application.system.code)?;
    contacts(&application.contacts)?;
    if application.instances.is_empty() {
        return invalid("instances is empty: ask for at least one instance");
    }
    let mut roles = BTreeSet::new();
    let mut total = 0_u32;
    for request in &application.instances {
        instance(request, images)?;
        let internet = request.ingress.iter().find(|one| one.zone == Zone::Internet);
        if let Some(one) = internet.filter(|_| !application.system.internet_facing) {
            return invalid(format!(
                "{}: port {} is to be reached from the Internet, but system.internet_facing is \
                 false: set it, or give the port another zone",
                request.role, one.port
            ));
        }
        if !roles.insert(request.role.as_str()) {
            return invalid(format!(
                "role {:?} stands twice: give each entry of instances a role of its own",
                request.role
            ));
        }
        total = total.saturating_add(u32::from(request.count));
    }
    if total > INSTANCES_LIMIT {
        return invalid(format!("{total} instances: ask for at most {INSTANCES_LIMIT}"));
    }
    Ok(())
}

/// Checks a free text that a person gives.
///
/// # Errors
/// `invalid-input` if it is empty or too long.
pub fn text(field: &str, value: &str) -> Result<(), Refusal> {
    let length = value.chars().count();
    if value.trim().is_empty() || length > TEXT_LIMIT {
        return Err(Refusal::new(
            Code::InvalidInput,
            format!("{field} has {length} characters: give 1 to {TEXT_LIMIT}"),
        ));
    }
    Ok(())
}

/// Checks a document that a person names.
///
/// # Errors
/// `invalid-input` if its title is empty or too long.
pub fn document(field: &str, value: &Document) -> Result<(), Refusal> {
    text(&format!("{field}.title"), &value.title)
}

/// Checks what is saved as a draft: it may lack anything, but it may not be without bounds.
///
/// # Errors
/// `invalid-application`.
pub fn draft(application: &Application) -> Result<(), Refusal> {
    let entries = application.instances.len().max(application.contacts.len());
    let texts = [&application.system.name, &application.system.code];
    if entries > INSTANCES_LIMIT as usize || texts.iter().any(|text| text.len() > TEXT_LIMIT) {
        return invalid(format!(
            "a draft has at most {INSTANCES_LIMIT} entries in a list, and {TEXT_LIMIT} bytes in \
             a name"
        ));
    }
    Ok(())
}

fn invalid<T>(sentence: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(Code::InvalidApplication, sentence))
}

fn name(field: &str, value: &str) -> Result<(), Refusal> {
    let length = value.chars().count();
    if value.trim().is_empty() || length > NAME_LIMIT || value.chars().any(char::is_control) {
        return invalid(format!(
            "{field} is empty, longer than {NAME_LIMIT} characters, or has control characters"
        ));
    }
    Ok(())
}

fn contacts(contacts: &[Contact]) -> Result<(), Refusal> {
    if contacts.is_empty() || contacts.len() > CONTACTS_LIMIT {
        return invalid(format!(
            "{} contacts: name 1 to {CONTACTS_LIMIT} whom to notify",
            contacts.len()
        ));
    }
    for contact in contacts {
        name("contacts.name", &contact.name)?;
        if contact.email.is_none() && contact.webhook.is_none() {
            return invalid(format!(
                "contact {:?} has no channel: give an email or a webhook",
                contact.name
            ));
        }
        if let Some(email) = &contact.email {
            mail_address(email)?;
        }
        if let Some(webhook) = &contact.webhook {
            web_address(&webhook.url)?;
            let secret = webhook.secret.reveal();
            let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret));
            if !key.is_ok_and(|key| (16..=128).contains(&key.len())) {
                return invalid(format!(
                    "the webhook secret of contact {:?} is not whsec_ and base64 of 16 to 128 \
                     bytes",
                    contact.name
                ));
            }
        }
    }
    Ok(())
}

fn mail_address(email: &str) -> Result<(), Refusal> {
    let sound = email.split_once('@').is_some_and(|(user, domain)| {
        !user.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
    });
    let plain = email.len() <= 254
        && email.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,;:\"()\\[]".contains(&byte));
    if sound && plain {
        Ok(())
    } else {
        invalid(format!("{email:?} is no e-mail address: give one such as duty@example.gov.cn"))
    }
}

fn web_address(url: &str) -> Result<(), Refusal> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if url.len() <= 2_000
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !host.is_empty()
        && !host.starts_with(':')
        && !host.contains('@')
    {
        Ok(())
    } else {
        invalid(format!("{url:?} is no webhook address: give https://host/path, without a user"))
    }
}

fn instance(request: &InstanceRequest, images: &[Image]) -> Result<(), Refusal> {
    let role = &request.role;
    let label = role.len() <= 40
        && role
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && role.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && !role.ends_with('-');
    if !label {
        return invalid(format!(
            "role {role:?} is no name: give 1 to 40 of a-z, 0-9 and -, beginning with a letter"
        ));
    }
    if request.count == 0 {
        return invalid(format!("{role}: count is 0; ask for at least 1 instance"));
    }
    if !(1..=VCPUS_LIMIT).contains(&request.vcpus) {
        return invalid(format!("{role}: vcpus is {}; give 1 to {VCPUS_LIMIT}", request.vcpus));
    }
    if !(MEMORY_LEAST_MIB..=MEMORY_LIMIT_MIB).contains(&request.memory_mib) {
        return invalid(format!(
            "{role}: memory_mib is {}; give {MEMORY_LEAST_MIB} to {MEMORY_LIMIT_MIB}",
            request.memory_mib
        ));
    }
    if !images.iter().any(|image| image.name == request.image) {
        let known: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        return Err(Refusal::new(
            Code::UnknownImage,
            format!(
                "{role}: no image {:?}; the catalogue has: {}",
                request.image,
                known.join(", ")
            ),
        ));
    }
    volumes(request)?;
    if request.ingress.len() > INGRESS_LIMIT {
        return invalid(format!("{role}: more than {INGRESS_LIMIT} ingress ports"));
    }
    if request.ingress.iter().any(|ingress| ingress.port == 0) {
        return invalid(format!("{role}: ingress port 0; give 1 to 65535"));
    }
    Ok(())
}

fn volumes(request: &InstanceRequest) -> Result<(), Refusal> {
    let role = &request.role;
    if !request.volumes_gib.is_empty() && !request.volumes_mib.is_empty() {
        return invalid(format!("{role}: give volumes_gib or volumes_mib, not both"));
    }
    let sizes = request.volumes_bytes();
    if sizes.is_empty() || sizes.len() > VOLUMES_LIMIT {
        return invalid(format!("{role}: {} volumes; give 1 to {VOLUMES_LIMIT}", sizes.len()));
    }
    if sizes.iter().any(|size| !(VOLUME_LEAST_BYTES..=VOLUME_LIMIT_BYTES).contains(size)) {
        return invalid(format!("{role}: a volume of no size, or larger than 64 TiB"));
    }
    Ok(())
}
