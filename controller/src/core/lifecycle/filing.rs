//! What a live system has to have on file: MLPS assessment and ICP filing (clauses 5.5 and 5.6),
//! and the gate before its Internet ingress.

use jiff::civil::Date;

use super::step::Step;
use crate::core::{
    obligation::ObligationId,
    refusal::{Code, Refusal},
    rules::IcpGate,
    tenant::{Assessment, IcpFiling, IcpOpening, OrderKind, Tenant, Zone},
};

pub(super) fn assessment(step: &mut Step<'_>, filed: &Assessment) -> Result<(), Refusal> {
    if filed.assessor.trim() == step.tenant.application.customer.trim() {
        return Err(Refusal::new(
            Code::InvalidInput,
            "the assessor is the customer itself: clause 5.5 wants a third party's assessment",
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
    let was_open = step.tenant.opens(Zone::Internet);
    step.tenant.icp = Some(filing.clone());
    step.meet(ObligationId::O9);
    open_ports(step, was_open);
    Ok(())
}

/// Opens Internet ingress before the filing, where the site allows that: somebody answers for it.
pub(super) fn open(step: &mut Step<'_>, reason: &str) -> Result<(), Refusal> {
    internet_facing(step)?;
    match step.context.rules.policy().icp_gate {
        IcpGate::Standard => {}
        IcpGate::Strict => {
            return Err(Refusal::new(
                Code::IcpGateStrict,
                "this site opens ports for the Internet only once the ICP filing is recorded \
                 (icp_gate = \"strict\"): the customer files its number first",
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
    if !was_open && step.tenant.opens(Zone::Internet) && step.tenant.asks_for_internet() {
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

impl Tenant {
    /// Whether any port is to be reached from the Internet.
    #[must_use]
    pub fn asks_for_internet(&self) -> bool {
        let ports = self.instances().iter().flat_map(|instance| &instance.ingress);
        ports.into_iter().any(|port| port.zone == Zone::Internet)
    }
}
