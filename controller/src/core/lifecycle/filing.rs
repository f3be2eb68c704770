//! What a live system has to have on file: MLPS assessment and ICP filing (clauses 5.5 and 5.6),
//! and the gate before its Internet ingress.
//!
//! Clause 5.6 asks two things of the customer within the month: to file with its carrier, and to
//! give the provider the copy of the proof. So handing the copy in is what discharges the
//! customer's duty (O9), and the provider's slowness makes nobody late. The gate is another matter:
//! the law lets nobody serve the Internet unfiled, so ports open only once a reviewer has found the
//! filing in the ministry's register. If it is not there, nothing was filed: the duty is owed
//! again, until the same day as before.
//!
//! Clause 5.5 asks for the assessment of the system: one at a lower level than the system's own is
//! of another system, and is refused.

use jiff::civil::Date;

use super::step::Step;
use crate::core::{
    obligation::ObligationId,
    refusal::{Code, Refusal},
    rules::IcpGate,
    tenant::{
        Application, Assessment, IcpConfirmed, IcpFiled, IcpFiling, IcpOpening, OrderKind, Zone,
    },
};

pub(super) fn assessment(step: &mut Step<'_>, filed: &Assessment) -> Result<(), Refusal> {
    if filed.assessor.trim() == step.tenant.application.customer.trim() {
        return Err(Refusal::new(
            Code::InvalidInput,
            "the assessor is the customer itself: clause 5.5 wants a third party's assessment",
        ));
    }
    let level = step.tenant.application.mlps_level();
    if let Some(level) = level.filter(|level| filed.level < *level) {
        return Err(Refusal::new(
            Code::LevelTooLow,
            format!(
                "the report assesses level {}, and the application says that the system is of \
                 level {level}: clause 5.5 wants the system's own level assessed",
                filed.level
            ),
        ));
    }
    step.applicant();
    step.tenant.assessment = Some(filed.clone());
    step.meet(ObligationId::O8);
    Ok(())
}

pub(super) fn icp(step: &mut Step<'_>, filing: &IcpFiling) -> Result<(), Refusal> {
    internet_facing(step)?;
    filed_before(step, filing.filed_on)?;
    step.applicant();
    let (by, at) = (step.actor.name.clone(), step.now());
    step.tenant.icp_filed = Some(IcpFiled { filing: filing.clone(), by, at });
    step.meet(ObligationId::O9);
    Ok(())
}

/// A reviewer has looked the filing up. A filing that was found before stands until a later one is.
pub(super) fn confirm(step: &mut Step<'_>, found: bool, opinion: &str) -> Result<(), Refusal> {
    let Some(filed) = step.tenant.icp_filed.take() else {
        return Err(Refusal::new(
            Code::NothingToConfirm,
            "no ICP filing waits to be looked up: the customer files it first",
        ));
    };
    if !found {
        owe_again(step);
        return Ok(());
    }
    let was_open = step.tenant.opens(Zone::Internet);
    let (by, at, opinion) = (step.actor.name.clone(), step.now(), opinion.to_owned());
    step.tenant.icp = Some(IcpConfirmed { filed, by, opinion, at });
    open_ports(step, was_open);
    Ok(())
}

/// What was filed is not in the register: the duty that it had discharged is owed by the same day.
fn owe_again(step: &mut Step<'_>) {
    if step.tenant.has_filed_icp() {
        return;
    }
    let last = step.tenant.obligations.iter().rfind(|owed| owed.id == ObligationId::O9);
    let Some(last) = last.filter(|last| last.is_met()) else { return };
    let (due, counted) = (last.due, last.counted.clone());
    step.owe_until(ObligationId::O9, due, counted);
}

/// Opens Internet ingress before the filing, where the site allows that: somebody answers for it.
pub(super) fn open(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    internet_facing(step)?;
    match step.context.rules.policy().icp_gate {
        IcpGate::Standard => {}
        IcpGate::Strict => {
            return Err(Refusal::new(
                Code::IcpGateStrict,
                "this site opens ports for the Internet only once a reviewer has found the ICP \
                 filing in the register (icp_gate = \"strict\"): the customer files its number, \
                 and the reviewer confirms it",
            ));
        }
    }
    let was_open = step.tenant.opens(Zone::Internet);
    let (by, at) = (step.actor.name.clone(), step.now());
    if step.tenant.icp.is_none() && step.tenant.icp_opening.is_none() {
        step.tenant.icp_opening = Some(IcpOpening { by, reason: reason.to_owned(), at });
    }
    open_ports(step, was_open);
    Ok(())
}

fn open_ports(step: &mut Step<'_>, was_open: bool) {
    if !was_open && step.tenant.opens(Zone::Internet) && step.tenant.waits_for_the_gate() {
        step.order_all(OrderKind::Configure);
    }
}

fn internet_facing(step: &Step<'_>) -> Result<(), Refusal> {
    if step.tenant.application.system.internet_facing {
        return Ok(());
    }
    Err(Refusal::new(
        Code::NotInternetFacing,
        "the application says that the system does not serve the Internet: there is nothing to \
         file or to open",
    ))
}

fn filed_before(step: &Step<'_>, filed_on: Date) -> Result<(), Refusal> {
    let today = step.today();
    if filed_on <= today {
        return Ok(());
    }
    Err(Refusal::new(
        Code::InvalidInput,
        format!("filed_on is {filed_on}, and today is {today}: give the day of the filing"),
    ))
}

impl Application {
    /// The system's MLPS (等保) level, if the form states one.
    #[must_use]
    pub fn mlps_level(&self) -> Option<u8> {
        let level = self.form.pointer("/system/mlps_level")?.as_u64()?;
        u8::try_from(level).ok()
    }
}
