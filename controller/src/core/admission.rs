//! Whether what callers hand in is well formed. The rules stand on the types themselves
//! ([`Application`], [`Event`], [`Document`]), by way of `garde`; here are their limits, the rules
//! that need words of their own, and what an application must be besides. The API's document
//! takes its limits from here, too.

use std::collections::BTreeSet;

use garde::Validate;
use tenure_protocol::channel::{
    BotKind, Secret,
    destination::{self, DestinationError, DestinationPolicy},
};

use super::{
    fleet::Image,
    group,
    lifecycle::Event,
    refusal::{Code, Fault, Refusal},
    tenant::{Application, Contact, Designated, InstanceRequest, Zone},
};

/// Longest name of a customer, system or contact, characters.
pub const NAME_LIMIT: usize = 200;
/// Longest reason, opinion or document title, characters.
pub const TEXT_LIMIT: usize = 4_000;
/// Most contacts of an application.
pub const CONTACTS_LIMIT: usize = 16;
/// Most channels that a contact designates: there are these four.
pub const CHANNELS_LIMIT: usize = 4;
/// Most instances of an application, and so most kinds of them.
pub const INSTANCES_LIMIT: u16 = 200;
/// Longest role, characters.
pub const ROLE_LIMIT: usize = 40;
/// Most virtual processors of an instance.
pub const VCPUS_LIMIT: u16 = 64;
/// Least memory of an instance, MiB.
pub const MEMORY_LEAST_MIB: u32 = 64;
/// Most memory of an instance, MiB: 4 TiB.
pub const MEMORY_LIMIT_MIB: u32 = 4 << 20;
/// Most volumes of an instance.
pub const VOLUMES_LIMIT: usize = 16;
/// Largest volume, MiB: 64 TiB.
pub const VOLUME_LIMIT_MIB: u32 = 64 << 20;
/// Largest volume, GiB: 64 TiB.
pub const VOLUME_LIMIT_GIB: u32 = VOLUME_LIMIT_MIB >> 10;
/// Most experts that assess one extension of a trial.
pub const EXPERTS_LIMIT: usize = 32;
/// Most items that one failed review asks to rectify.
pub const ITEMS_LIMIT: usize = 64;
/// Levels of the MLPS (等保).
pub const MLPS_LEVELS: std::ops::RangeInclusive<u8> = 1..=5;
/// Most open ports of an instance.
pub const INGRESS_LIMIT: usize = 64;

/// What a name may be, for the API's document: more than blanks, and no control characters.
pub const NAME_PATTERN: &str =
    r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// What a text may be: as a name, and line ends and tabs.
pub const TEXT_PATTERN: &str = concat!(
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*",
    r"[^\s\x00-\x1f\x7f-\x9f]",
    r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"
);
/// What the number of a mobile telephone may be: the mainland's, or with its country's code.
pub const MOBILE_PATTERN: &str =
    r"^(1[3-9][0-9]{9}|\+861[3-9][0-9]{9}|\+([1-79][0-9]|8[0-57-9])[0-9]{6,13})$";
/// What a role may be.
pub const ROLE_PATTERN: &str = "^[a-z]([a-z0-9-]*[a-z0-9])?$";

/// Checks everything that a person hands in with an event; what hosts report is checked elsewhere.
///
/// # Errors
/// `invalid-application` or `invalid-input`, with every fault by its place.
pub fn event(event: &Event) -> Result<(), Refusal> {
    match event {
        Event::Submit { application } => form_of(application),
        Event::SaveDraft { application } => draft(application),
        Event::FileAssessment { assessment } => form(Code::InvalidInput, assessment),
        Event::FileIcp { filing } => form(Code::InvalidInput, filing),
        Event::SetGroup { group } => group::check::form(group),
        other => form(Code::InvalidInput, other),
    }
}

/// Checks an application's form.
///
/// # Errors
/// `invalid-application` with every fault by its place.
pub fn form_of(application: &Application) -> Result<(), Refusal> {
    form(Code::InvalidApplication, application)
}

/// Checks an application's form, and that the catalogue has its images.
///
/// # Errors
/// `invalid-application` with every fault by its place, or `unknown-image`.
pub fn application(application: &Application, images: &[Image]) -> Result<(), Refusal> {
    form_of(application)?;
    for InstanceRequest { role, image, .. } in &application.instances {
        if !images.iter().any(|known| known.name == *image) {
            let known: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
            let known = known.join(", ");
            let sentence = format!("{role}: no image {image:?}; the catalogue has: {known}");
            return Err(Refusal::new(Code::UnknownImage, sentence));
        }
    }
    Ok(())
}

/// Checks what is saved as a draft: what is there is well formed, and anything may be missing.
///
/// # Errors
/// `invalid-application`, with every fault by its place.
pub fn draft(application: &Application) -> Result<(), Refusal> {
    #[derive(Validate)]
    struct Draft<'a> {
        #[garde(length(chars, max = NAME_LIMIT))]
        customer: &'a str,
        #[garde(dive)]
        system: Named<'a>,
        #[garde(length(max = CONTACTS_LIMIT), dive)]
        contacts: &'a [Contact],
        #[garde(length(max = INSTANCES_LIMIT as usize), dive)]
        instances: &'a [InstanceRequest],
        #[garde(custom(fields))]
        form: &'a serde_json::Value,
    }
    #[derive(Validate)]
    struct Named<'a> {
        #[garde(length(chars, max = NAME_LIMIT))]
        name: &'a str,
        #[garde(length(chars, max = NAME_LIMIT))]
        code: &'a str,
    }
    let Application { customer, system, contacts, instances, form: rest } = application;
    let system = Named { name: &system.name, code: &system.code };
    let draft = Draft { customer, system, contacts, instances, form: rest };
    form(Code::InvalidApplication, &draft)
}

/// Checks why something is done to the platform itself.
///
/// # Errors
/// `invalid-input`, with the fault by its place.
pub fn reason(reason: &str) -> Result<(), Refusal> {
    #[derive(Validate)]
    struct Given<'a> {
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(text))]
        reason: &'a str,
    }
    form(Code::InvalidInput, &Given { reason })
}

/// Checks whom the provider has told, by the rules for an application's contacts.
///
/// # Errors
/// `invalid-input`, with every fault by its place.
pub fn contacts(contacts: &[Contact]) -> Result<(), Refusal> {
    #[derive(Validate)]
    struct Given<'a> {
        #[garde(length(max = CONTACTS_LIMIT), dive)]
        contacts: &'a [Contact],
    }
    form(Code::InvalidInput, &Given { contacts })
}

/// Checks a text that stands at a place of the request (a JSON pointer).
///
/// # Errors
/// `invalid-input`, with the fault by its place.
pub fn text_at(pointer: &str, value: &str) -> Result<(), Refusal> {
    #[derive(Validate)]
    struct Given<'a> {
        #[garde(length(chars, min = 1, max = TEXT_LIMIT), custom(text))]
        value: &'a str,
    }
    let Err(report) = (Given { value }).validate() else { return Ok(()) };
    let faults: Vec<Fault> = report
        .iter()
        .map(|(_, error)| Fault {
            pointer: pointer.to_owned(),
            message: error.message().to_owned(),
        })
        .collect();
    Err(Refusal::faulty(Code::InvalidInput, faults))
}

fn form<T: Validate<Context = ()>>(code: Code, value: &T) -> Result<(), Refusal> {
    match value.validate() {
        Ok(()) => Ok(()),
        Err(report) => Err(Refusal::faulty(code, faults(&report))),
    }
}

/// Each fault of a report by its place.
pub(super) fn faults(report: &garde::Report) -> Vec<Fault> {
    let faults = report.iter().map(|(path, error)| Fault {
        pointer: pointer(&path.to_string()),
        message: error.message().to_owned(),
    });
    faults.collect()
}

/// `instances[0].role` as a JSON pointer; fields have neither `~` nor `/` in their names.
fn pointer(path: &str) -> String {
    let steps = path.split(['.', '[']).filter(|step| !step.is_empty());
    steps.map(|step| format!("/{}", step.trim_end_matches(']'))).collect()
}

fn wrong(sentence: impl Into<String>) -> garde::Result {
    Err(garde::Error::new(sentence.into()))
}

/// A name: see [`NAME_PATTERN`].
pub(super) fn name(value: &str, (): &()) -> garde::Result {
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return wrong("a name is more than blanks, and has no control characters");
    }
    Ok(())
}

/// The rest of a form that may be missing.
fn fields(value: &&serde_json::Value, (): &()) -> garde::Result {
    if value.is_object() || value.is_null() {
        return Ok(());
    }
    wrong("the rest of the form is an object, or missing")
}

/// A text for people to read: lines and tabs may be in it.
pub(super) fn text(value: &str, (): &()) -> garde::Result {
    let control = |letter: char| letter.is_control() && !"\n\r\t".contains(letter);
    if value.trim().is_empty() || value.chars().any(control) {
        return wrong(
            "a text is more than blanks, and has no control characters but line ends and tabs",
        );
    }
    Ok(())
}

/// Part of a host name.
pub(super) fn role(value: &str, (): &()) -> garde::Result {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.bytes().all(inner)
        && value.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && !value.ends_with('-')
    {
        return Ok(());
    }
    wrong("a role is of a-z, 0-9 and -, begins with a letter and does not end with -")
}

pub(super) fn mail(value: &str, (): &()) -> garde::Result {
    fits(destination::mail(value))
}

/// What may be named at all: what the site allows of it is the site's to say.
const ANY: DestinationPolicy =
    DestinationPolicy { private: true, loopback: true, plain_http: true };

pub(super) fn url(value: &str, (): &()) -> garde::Result {
    fits(destination::webhook(value, ANY))
}

/// A secret that is sealed was looked at when it came in.
pub(super) fn webhook_secret(value: &Secret, (): &()) -> garde::Result {
    value.seal().map_or_else(|| fits(destination::webhook_secret(value.reveal())), |_| Ok(()))
}

pub(super) fn bot_url(kind: BotKind) -> impl FnOnce(&Secret, &()) -> garde::Result {
    move |value, (): &()| {
        value
            .seal()
            .map_or_else(|| fits(destination::bot_url(kind, value.reveal(), ANY)), |_| Ok(()))
    }
}

pub(super) fn bot_secret(kind: BotKind) -> impl FnOnce(&Secret, &()) -> garde::Result {
    move |value, (): &()| {
        value.seal().map_or_else(|| fits(destination::bot_secret(kind, value.reveal())), |_| Ok(()))
    }
}

pub(super) fn mobile(value: &str, (): &()) -> garde::Result {
    fits(destination::mobile(value).map(drop))
}

fn fits(checked: Result<(), DestinationError>) -> garde::Result {
    checked.map_err(|error| garde::Error::new(error.to_string()))
}

/// At least one channel leads to a contact.
pub(super) fn channel(has_another: bool) -> impl FnOnce(&Option<String>, &()) -> garde::Result {
    move |email, (): &()| {
        if email.is_some() || has_another {
            return Ok(());
        }
        wrong(
            "this contact has no channel: give an email, a webhook, a bot, or a mobile with sms \
             designated",
        )
    }
}

/// What is designated is there.
pub(super) fn designated(contact: &Contact) -> impl FnOnce(&[Designated], &()) -> garde::Result {
    let Contact { email, webhook, bot, mobile, .. } = contact;
    let given = [email.is_some(), webhook.is_some(), mobile.is_some(), bot.is_some()];
    move |designated, (): &()| {
        let [email, webhook, mobile, bot] = given;
        let missing = designated.iter().find_map(|one| match one {
            Designated::Email if !email => {
                Some("email is designated and not given: give the address")
            }
            Designated::Webhook if !webhook => Some("webhook is designated and not given: give it"),
            Designated::Sms if !mobile => {
                Some("sms is designated and mobile not given: give the number")
            }
            Designated::Bot if !bot => Some("bot is designated and not given: give it"),
            Designated::Email | Designated::Webhook | Designated::Sms | Designated::Bot => None,
        });
        missing.map_or(Ok(()), wrong)
    }
}

/// Somewhere a notice can arrive.
pub(super) fn reachable(contacts: &[Contact], (): &()) -> garde::Result {
    if contacts.is_empty() || contacts.iter().any(|contact| !contact.designated.is_empty()) {
        return Ok(());
    }
    wrong(
        "no contact designates the system in which notices arrive (Civil Code, article 137): give \
         a contact designated, such as [\"email\"]",
    )
}

/// Volumes are given in GiB or in MiB, at least one.
pub(super) fn volumes(gib: usize) -> impl FnOnce(&[u32], &()) -> garde::Result {
    move |mib, (): &()| match (gib, mib.len()) {
        (0, 0) => wrong("an instance has at least one volume: give volumes_gib or this"),
        (0, _) | (_, 0) => Ok(()),
        (_, _) => wrong("give volumes_gib or volumes_mib, not both"),
    }
}

/// Ports for the Internet are of systems that serve it.
pub(super) fn zones(
    internet_facing: bool,
) -> impl FnOnce(&[InstanceRequest], &()) -> garde::Result {
    move |requests, (): &()| {
        let ports = requests.iter().flat_map(|request| &request.ingress);
        let internet = ports.into_iter().find(|port| port.zone == Zone::Internet);
        match internet.filter(|_| !internet_facing) {
            None => Ok(()),
            Some(one) => wrong(format!(
                "port {} is to be reached from the Internet, but system.internet_facing is false: \
                 set it, or give the port another zone",
                one.port
            )),
        }
    }
}

/// Each role once, and not too many instances in all.
pub(super) fn instances(requests: &[InstanceRequest], (): &()) -> garde::Result {
    let mut roles = BTreeSet::new();
    if let Some(twice) = requests.iter().find(|request| !roles.insert(request.role.as_str())) {
        let sentence = "stands twice: give each entry a role of its own";
        return wrong(format!("role {:?} {sentence}", twice.role));
    }
    let total = requests.iter().map(|request| u32::from(request.count)).sum::<u32>();
    if total > u32::from(INSTANCES_LIMIT) {
        return wrong(format!("{total} instances: ask for at most {INSTANCES_LIMIT}"));
    }
    Ok(())
}
