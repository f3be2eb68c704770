//! Which events a phase admits, and who may cause them.

use std::collections::BTreeSet;

use tenure_protocol::digest::Digest;

use super::{
    actor::{Actor, Role},
    event::{Document, Event},
};
use crate::core::{
    refusal::{Code, Refusal},
    tenant::{Phase, Tenant},
};

/// Whether a phase admits an event at all; the golden file `phase-events.txt` lists the matrix.
#[must_use]
pub const fn admits(phase: Phase, event: &Event) -> bool {
    match event {
        Event::SaveDraft { .. } | Event::SubmitDraft => matches!(phase, Phase::Draft),
        Event::Submit { .. } => matches!(phase, Phase::Draft | Phase::CorrectionRequested),
        Event::Withdraw { .. } => matches!(
            phase,
            Phase::Draft | Phase::Submitted | Phase::CorrectionRequested | Phase::Approved
        ),
        Event::Review { .. } => matches!(phase, Phase::Submitted),
        Event::SuspendReview { .. } | Event::ResumeReview => {
            matches!(phase, Phase::Submitted | Phase::UnderReview | Phase::OffboardingRequested)
        }
        Event::RetryConfiguration => {
            matches!(phase, Phase::Configuring | Phase::ConfigurationFailed)
        }
        Event::DeclareDeployment => matches!(phase, Phase::Trial | Phase::Rectifying),
        Event::RequestExtension { .. } | Event::DecideExtension { .. } => {
            matches!(phase, Phase::Trial | Phase::UnderReview | Phase::Rectifying)
        }
        Event::SubmitReports { .. } => {
            matches!(phase, Phase::Trial | Phase::Rectifying | Phase::TrialExpired)
        }
        Event::ReviewReports { .. } => matches!(phase, Phase::UnderReview),
        Event::Rectify { .. } => matches!(phase, Phase::Rectifying | Phase::TrialExpired),
        Event::FileAssessment { .. } => matches!(
            phase,
            Phase::Online | Phase::OffboardingRequested | Phase::OffboardingApproved
        ),
        Event::FileIcp { .. } | Event::ConfirmIcp { .. } => phase.is_open(),
        Event::OpenIcp { .. } => matches!(phase, Phase::Online),
        Event::SetGroup { .. }
        | Event::RemoveGroup { .. }
        | Event::SetThresholds { .. }
        | Event::ProposeCutRule { .. }
        | Event::ConfirmCutRule
        | Event::WithdrawCutRule { .. }
        | Event::ProposeCanary { .. }
        | Event::ConfirmCanary
        | Event::WithdrawCanary { .. } => {
            phase.is_open() || matches!(phase, Phase::Configuring | Phase::ConfigurationFailed)
        }
        Event::RequestOffboarding { .. } => may_leave(phase),
        Event::WaivePeriod { .. } | Event::ReviewOffboarding { .. } => {
            matches!(phase, Phase::OffboardingRequested)
        }
        Event::ConfirmOffboarding { .. }
        | Event::RecordService { .. }
        | Event::CountersignService => matches!(phase, Phase::OffboardingApproved),
        Event::ApproveWipe => matches!(phase, Phase::Stopped | Phase::WipeFailed),
        Event::AnnounceCut { .. }
        | Event::CallOffCut { .. }
        | Event::Cut { .. }
        | Event::Restore { .. }
        | Event::CutByHost { .. } => phase.has_traffic(),
        // What is proven destroyed cannot be kept any more.
        Event::PlaceHold { .. } | Event::ReleaseHold { .. } | Event::CountersignHold { .. } => {
            phase.holds_resources() && !matches!(phase, Phase::WipeVerified)
        }
        Event::AcknowledgeCut { .. }
        | Event::RecordAcknowledgement { .. }
        | Event::SetContacts { .. }
        | Event::AcknowledgeProbe
        | Event::OrderReported { .. } => phase.holds_resources(),
        Event::NoticeDelivered { .. }
        | Event::DrillMeasured { .. }
        | Event::RecordCounts { .. }
        | Event::Recount { .. }
        | Event::SignRecount { .. }
        | Event::Tick => true,
    }
}

/// Whether a tenant may ask to leave: it was given something, and has not asked yet.
const fn may_leave(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::ConfigurationFailed
            | Phase::Trial
            | Phase::UnderReview
            | Phase::Rectifying
            | Phase::TrialExpired
            | Phase::Online
    )
}

/// Who may cause an event: as few as the standard asks for. The policy of the API,
/// `data/policy.cedar`, says the same, and a test compares the two.
#[must_use]
pub const fn roles(event: &Event) -> &'static [Role] {
    match event {
        Event::SaveDraft { .. }
        | Event::SubmitDraft
        | Event::Submit { .. }
        | Event::Withdraw { .. }
        | Event::DeclareDeployment
        | Event::RequestExtension { .. }
        | Event::Rectify { .. }
        | Event::SubmitReports { .. }
        | Event::FileAssessment { .. }
        | Event::FileIcp { .. }
        | Event::SetGroup { .. }
        | Event::RemoveGroup { .. }
        | Event::SetContacts { .. }
        | Event::AcknowledgeProbe
        | Event::AcknowledgeCut { .. }
        | Event::RequestOffboarding { .. }
        | Event::ConfirmOffboarding { .. } => &[Role::Customer],
        Event::Review { .. }
        | Event::SuspendReview { .. }
        | Event::ResumeReview
        | Event::DecideExtension { .. }
        | Event::ReviewReports { .. }
        | Event::ConfirmIcp { .. }
        | Event::OpenIcp { .. }
        | Event::ReviewOffboarding { .. } => &[Role::Reviewer],
        Event::CountersignHold { .. } => &[Role::Reviewer, Role::Operator, Role::Security],
        Event::CountersignService => &[Role::Reviewer, Role::Security],
        Event::PlaceHold { .. } | Event::ReleaseHold { .. } => &[Role::Security],
        Event::RetryConfiguration
        | Event::AnnounceCut { .. }
        | Event::CallOffCut { .. }
        | Event::RecordAcknowledgement { .. }
        | Event::SetThresholds { .. }
        | Event::Restore { .. }
        | Event::RecordService { .. } => &[Role::Operator],
        // The controller by a rule of two persons alone.
        Event::Cut { .. } => &[Role::Operator, Role::Controller],
        Event::ProposeCutRule { .. }
        | Event::ConfirmCutRule
        | Event::WithdrawCutRule { .. }
        | Event::ProposeCanary { .. }
        | Event::ConfirmCanary
        | Event::WithdrawCanary { .. }
        | Event::WaivePeriod { .. }
        | Event::ApproveWipe => &[Role::Operator, Role::Security],
        Event::SignRecount { .. } => &[Role::Administrator],
        Event::OrderReported { .. }
        | Event::CutByHost { .. }
        | Event::DrillMeasured { .. }
        | Event::NoticeDelivered { .. }
        | Event::RecordCounts { .. }
        | Event::Recount { .. }
        | Event::Tick => &[Role::Controller],
    }
}

/// Whether an event is a decision of the provider on what the customer wants: nobody who ever acted
/// for the customer may cause it.
pub(super) const fn decides(event: &Event) -> bool {
    match event {
        Event::Review { .. }
        | Event::SuspendReview { .. }
        | Event::ResumeReview
        | Event::DecideExtension { .. }
        | Event::ReviewReports { .. }
        | Event::ConfirmIcp { .. }
        | Event::OpenIcp { .. }
        | Event::ReviewOffboarding { .. }
        | Event::WaivePeriod { .. }
        | Event::CountersignHold { .. }
        | Event::RecordService { .. }
        | Event::CountersignService
        | Event::PlaceHold { .. }
        | Event::ReleaseHold { .. }
        | Event::ProposeCutRule { .. }
        | Event::ConfirmCutRule
        | Event::WithdrawCutRule { .. }
        | Event::ProposeCanary { .. }
        | Event::ConfirmCanary
        | Event::WithdrawCanary { .. }
        | Event::ApproveWipe => true,
        Event::SaveDraft { .. }
        | Event::SubmitDraft
        | Event::Submit { .. }
        | Event::Withdraw { .. }
        | Event::RetryConfiguration
        | Event::DeclareDeployment
        | Event::RequestExtension { .. }
        | Event::SubmitReports { .. }
        | Event::Rectify { .. }
        | Event::FileAssessment { .. }
        | Event::FileIcp { .. }
        | Event::SetGroup { .. }
        | Event::RemoveGroup { .. }
        | Event::SetContacts { .. }
        | Event::AcknowledgeProbe
        | Event::SetThresholds { .. }
        | Event::AnnounceCut { .. }
        | Event::CallOffCut { .. }
        | Event::AcknowledgeCut { .. }
        | Event::RecordAcknowledgement { .. }
        | Event::Cut { .. }
        | Event::Restore { .. }
        | Event::RequestOffboarding { .. }
        | Event::ConfirmOffboarding { .. }
        | Event::OrderReported { .. }
        | Event::CutByHost { .. }
        | Event::DrillMeasured { .. }
        | Event::NoticeDelivered { .. }
        | Event::RecordCounts { .. }
        | Event::Recount { .. }
        | Event::SignRecount { .. }
        | Event::Tick => false,
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
    if actor.role == Role::Customer {
        customer_of(&tenant.application.customer, actor)?;
        return not_a_decider(tenant, actor);
    }
    if decides(event) { not_an_applicant(tenant, actor) } else { Ok(()) }
}

/// Checks that the actor may apply for this customer.
///
/// # Errors
/// `wrong-role` or `invalid-application`.
pub fn first(customer: &str, actor: &Actor) -> Result<(), Refusal> {
    customer_of(customer, actor).map_err(|refusal| match refusal.code {
        // There is no tenant yet that could be another's.
        Code::NotYourTenant => Refusal { code: Code::InvalidApplication, ..refusal },
        _ => refusal,
    })
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

fn not_a_decider(tenant: &Tenant, actor: &Actor) -> Result<(), Refusal> {
    if tenant.deciders.contains(&actor.name) {
        return Err(Refusal::new(
            Code::SeparationOfDuties,
            format!(
                "{} decided on this tenant for the provider: somebody else has to act for the \
                 customer",
                actor.name
            ),
        ));
    }
    Ok(())
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
