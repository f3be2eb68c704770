//! Which events a phase admits, and who may cause them.

use std::collections::BTreeSet;

use tenure_protocol::digest::Digest;

use super::event::{Actor, Document, Event, Role};
use crate::core::{
    refusal::{Code, Refusal},
    tenant::{Phase, Tenant},
};

/// Whether a phase admits an event at all; the golden file `phase-events.txt` lists the matrix.
#[must_use]
pub const fn admits(phase: Phase, event: &Event) -> bool {
    match event {
        Event::Submit { .. } => matches!(phase, Phase::CorrectionRequested),
        Event::Review { .. } => matches!(phase, Phase::Submitted),
        Event::RetryConfiguration => matches!(phase, Phase::ConfigurationFailed),
        Event::DeclareDeployment | Event::SubmitReports { .. } => {
            matches!(phase, Phase::Trial | Phase::Rectifying)
        }
        Event::ReviewReports { .. } => matches!(phase, Phase::UnderReview),
        Event::FileAssessment { .. } | Event::FileIcp { .. } => matches!(
            phase,
            Phase::Online | Phase::OffboardingRequested | Phase::OffboardingApproved
        ),
        Event::Cut { .. } | Event::Restore { .. } => phase.has_traffic(),
        Event::RequestOffboarding { .. } => matches!(phase, Phase::Online),
        Event::ReviewOffboarding { .. } => matches!(phase, Phase::OffboardingRequested),
        Event::ConfirmOffboarding { .. } => matches!(phase, Phase::OffboardingApproved),
        Event::ApproveWipe => matches!(phase, Phase::Stopped | Phase::WipeFailed),
        Event::OrderReported { .. } => phase.holds_resources(),
        Event::NoticeDelivered { .. }
        | Event::RecordCounts { .. }
        | Event::Recount { .. }
        | Event::SignRecount { .. }
        | Event::Tick => true,
    }
}

/// Who may cause an event.
#[must_use]
pub const fn roles(event: &Event) -> &'static [Role] {
    match event {
        Event::Submit { .. }
        | Event::DeclareDeployment
        | Event::SubmitReports { .. }
        | Event::FileAssessment { .. }
        | Event::FileIcp { .. }
        | Event::RequestOffboarding { .. }
        | Event::ConfirmOffboarding { .. } => &[Role::Customer],
        Event::Review { .. } | Event::ReviewReports { .. } | Event::ReviewOffboarding { .. } => {
            &[Role::Reviewer]
        }
        Event::RetryConfiguration | Event::Cut { .. } | Event::Restore { .. } => &[Role::Operator],
        Event::ApproveWipe => &[Role::Operator, Role::Security],
        Event::SignRecount { .. } => &[Role::Administrator],
        Event::OrderReported { .. }
        | Event::NoticeDelivered { .. }
        | Event::RecordCounts { .. }
        | Event::Recount { .. }
        | Event::Tick => &[Role::Controller],
    }
}

/// Checks the phase.
///
/// # Errors
/// `wrong-phase`.
pub fn phase(phase: Phase, event: &Event) -> Result<(), Refusal> {
    if admits(phase, event) {
        return Ok(());
    }
    let admitting: Vec<&str> =
        Phase::ALL.into_iter().filter(|phase| admits(*phase, event)).map(Phase::as_str).collect();
    Err(Refusal::new(
        Code::WrongPhase,
        format!(
            "{} is not possible while the tenant is {}; it is in: {}",
            event.name(),
            phase.as_str(),
            admitting.join(", ")
        ),
    ))
}

/// Checks that every document has been filed as an attachment.
///
/// # Errors
/// `unknown-attachment`.
pub fn attached(documents: &[Document], filed: &BTreeSet<Digest>) -> Result<(), Refusal> {
    match documents.iter().find(|document| !filed.contains(&document.sha256)) {
        None => Ok(()),
        Some(Document { title, sha256 }) => Err(Refusal::new(
            Code::UnknownAttachment,
            format!(
                "no attachment with SHA-256 {sha256} is filed here for {title:?}: upload the file \
                 first (POST …/attachments, `tenurectl attachment upload`)"
            ),
        )),
    }
}

/// Checks the role, the customer, and that nobody judges what they asked for.
///
/// # Errors
/// `wrong-role`, `not-your-tenant`, `separation-of-duties`.
pub fn role(tenant: &Tenant, event: &Event, actor: &Actor) -> Result<(), Refusal> {
    let roles = roles(event);
    if !roles.contains(&actor.role) {
        let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        return Err(Refusal::new(
            Code::WrongRole,
            format!(
                "{} needs the role {}; your token has {}",
                event.name(),
                names.join(" or "),
                actor.role.as_str()
            ),
        ));
    }
    match actor.role {
        Role::Customer => customer_of(&tenant.application.customer, actor),
        Role::Reviewer | Role::Security => not_an_applicant(tenant, actor),
        Role::Operator => match event {
            Event::ApproveWipe => not_an_applicant(tenant, actor),
            Event::Submit { .. }
            | Event::Review { .. }
            | Event::RetryConfiguration
            | Event::DeclareDeployment
            | Event::SubmitReports { .. }
            | Event::ReviewReports { .. }
            | Event::FileAssessment { .. }
            | Event::FileIcp { .. }
            | Event::Cut { .. }
            | Event::Restore { .. }
            | Event::RequestOffboarding { .. }
            | Event::ReviewOffboarding { .. }
            | Event::ConfirmOffboarding { .. }
            | Event::OrderReported { .. }
            | Event::NoticeDelivered { .. }
            | Event::RecordCounts { .. }
            | Event::Recount { .. }
            | Event::SignRecount { .. }
            | Event::Tick => Ok(()),
        },
        Role::Auditor | Role::Administrator | Role::Controller => Ok(()),
    }
}

/// Checks that the actor is a customer of this name.
///
/// # Errors
/// `wrong-role` or `not-your-tenant`.
pub fn customer_of(customer: &str, actor: &Actor) -> Result<(), Refusal> {
    if actor.role != Role::Customer {
        return Err(Refusal::new(
            Code::WrongRole,
            format!("this needs the role customer; your token has {}", actor.role.as_str()),
        ));
    }
    if actor.customer.as_deref() == Some(customer) {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::NotYourTenant,
            format!("your token does not act for the customer {customer:?}"),
        ))
    }
}

/// Checks that the actor never acted for the tenant's customer.
///
/// # Errors
/// `separation-of-duties`.
pub fn not_an_applicant(tenant: &Tenant, actor: &Actor) -> Result<(), Refusal> {
    if tenant.applicants.contains(&actor.name) || actor.customer.is_some() {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!("{} acted for the customer: somebody else has to decide", actor.name),
        ));
    }
    Ok(())
}
