//! What the API shows of tenants and what belongs to them. Secrets are in none of it.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;
use tenure_protocol::{
    digest::Digest,
    id::{CutId, HostId, InstanceId, NoticeId, OrderId, TenantId, VolumeId},
    time::Timestamp,
    wire::v1::{CommitInterval, Network, Power},
};
use utoipa::ToSchema;

use super::{
    contacts::ProbeView,
    deadline::DeadlineView,
    form::{AssessmentForm, DraftForm},
    groups,
};
use crate::core::{
    anomaly::Anomalies,
    lifecycle::CutKind,
    rules::Rules,
    tenant::{
        Acknowledgement, Announcement, Application, Assessment, Cut, CutEnd, Hold, HoldRegion,
        IcpConfirmed, IcpFiled, IcpOpening, Instance, Isolation, Offboarding, Opinion, OrderFate,
        OrderKind, Phase, Rectification, Reports, Tenant, Trial, Waiting, Wipe,
        compliance::Compliance,
    },
    watch::Witness,
};

/// Names of hosts by their ids.
pub type HostNames = BTreeMap<HostId, String>;

/// A tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TenantView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: TenantId,
    /// Grows by one with each transition: the ETag.
    pub version: u64,
    /// Where in the lifecycle.
    #[schema(value_type = String)]
    pub phase: Phase,
    /// Whose.
    pub customer: String,
    /// The name of its system.
    pub system: String,
    /// `connected`, `cutting`, `cut` or `restoring`.
    #[schema(value_type = Object)]
    pub isolation: Isolation,
    /// Its mark in packet filters.
    pub mark: Option<u32>,
    /// Its network.
    pub network: Option<NetworkView>,
    /// Its instances.
    pub instances: Vec<InstanceView>,
    /// What is owed until when.
    pub deadlines: Vec<DeadlineView>,
    /// When the (last) application was received; legal time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub submitted_at: Option<Timestamp>,
    /// Opening day's instant (开通); legal time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opened_at: Option<Timestamp>,
    /// Why an approved application waits for a host.
    #[schema(value_type = Option<Object>)]
    pub waiting: Option<Waiting>,
    /// The trial.
    #[schema(value_type = Option<Object>)]
    pub trial: Option<Trial>,
    /// The reports under review, or the last ones.
    #[schema(value_type = Option<Object>)]
    pub reports: Option<Reports>,
    /// What failed reviews asked to rectify, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub rectifications: Vec<Rectification>,
    /// When formal operation began; legal time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub online_at: Option<Timestamp>,
    /// MLPS, ICP and monthly check, each `not-due`, `due`, `overdue` or `met`; and ports for the
    /// Internet.
    #[schema(value_type = Object)]
    pub compliance: Compliance,
    /// The MLPS assessment on file.
    #[schema(value_type = Option<AssessmentForm>)]
    pub assessment: Option<Assessment>,
    /// The ICP filing that waits to be looked up, and who handed it in.
    #[schema(value_type = Option<Object>)]
    pub icp_filed: Option<IcpFiled>,
    /// The ICP filing that was found in the register, who filed it, and who looked it up.
    #[schema(value_type = Option<Object>)]
    pub icp: Option<IcpConfirmed>,
    /// Who opened ports for the Internet before the filing.
    #[schema(value_type = Option<Object>)]
    pub icp_opening: Option<IcpOpening>,
    /// Its own thresholds of anomalies, and the rule by which it is cut for them: in force, and
    /// proposed.
    #[schema(value_type = Object)]
    pub anomalies: Anomalies,
    /// `none`, `dispute` or `legal-hold`.
    #[schema(value_type = String)]
    pub hold: HoldRegion,
    /// Every hold, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub holds: Vec<Hold>,
    /// Every opinion given, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub opinions: Vec<Opinion>,
    /// The way off.
    #[schema(value_type = Option<Object>)]
    pub offboarding: Option<Offboarding>,
    /// The planned cut that is announced.
    #[schema(value_type = Option<Object>)]
    pub announcement: Option<Announcement>,
    /// The last probe of the channels to its contacts.
    pub probe: Option<ProbeView>,
    /// Every cut, oldest first.
    pub cuts: Vec<CutView>,
    /// The wipe.
    pub wipe: Option<WipeView>,
    /// What hosts say that keeps the tenant from going on.
    pub reason: Option<String>,
    /// What was applied for, without secrets.
    #[schema(value_type = DraftForm)]
    pub application: Application,
}

/// A tenant's network.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NetworkView {
    /// Its address.
    #[schema(value_type = String)]
    pub address: Ipv4Addr,
    /// Prefix length.
    pub prefix: u8,
    /// The gateway, on the provider's fabric.
    #[schema(value_type = String)]
    pub gateway: Ipv4Addr,
}

/// An instance.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InstanceView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: InstanceId,
    /// `<role>-<n>`.
    pub name: String,
    /// The host that it is on.
    #[schema(value_type = String, format = "uuid")]
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Its address.
    #[schema(value_type = String)]
    pub ip4: Ipv4Addr,
    /// `running` or `stopped`, as its host last reported.
    #[schema(value_type = Option<String>)]
    pub power: Option<Power>,
    /// Virtual processors.
    pub vcpus: u16,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// What it boots.
    pub image: String,
    /// Its volumes.
    pub volumes: Vec<VolumeView>,
    /// Names of the security groups that are attached to it.
    pub groups: Vec<String>,
}

/// A volume.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VolumeView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: VolumeId,
    /// Its size.
    pub size_bytes: u64,
}

/// A cut of the tenant's network.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CutView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub id: CutId,
    /// Its number within the tenant.
    pub number: u32,
    /// `emergency`, `planned` or `drill`.
    #[schema(value_type = String)]
    pub kind: CutKind,
    /// How the customer was told before.
    #[schema(value_type = Option<Object>)]
    pub announced: Option<Announcement>,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// When; legal time.
    #[schema(value_type = String, format = DateTime)]
    pub ordered_at: Timestamp,
    /// The first commit that dropped traffic on any host.
    #[schema(value_type = Option<Object>)]
    pub t0: Option<CommitInterval>,
    /// The host that keeps its notices besides the ordered ones, in case the controller falls
    /// silent: its id, `none-up` if there was none, `unasked` if none was looked for.
    pub witness: String,
    /// When the customer was first notified with grade E2 or E3.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub notified_at: Option<Timestamp>,
    /// How a person of the customer acknowledged it (grade E3).
    #[schema(value_type = Option<Object>)]
    pub acknowledged: Option<Acknowledgement>,
    /// Its notices.
    #[schema(value_type = Vec<String>)]
    pub notices: Vec<NoticeId>,
    /// How it ended.
    #[schema(value_type = Object)]
    pub end: CutEnd,
}

/// The wipe of a tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WipeView {
    /// 0 before the first order, then 1, 2, …
    pub attempt: u32,
    /// Who approved this attempt.
    pub approved_by: Vec<String>,
    /// Digests of the signed intents, by host.
    #[schema(value_type = Object)]
    pub intents: BTreeMap<HostId, Digest>,
    /// How many subjects are proven destroyed.
    pub proven: usize,
}

/// The answer to what hosts carry out later.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Accepted {
    /// The tenant.
    #[schema(value_type = String, format = "uuid")]
    pub tenant: TenantId,
    /// Its version now.
    pub version: u64,
    /// Its phase now.
    #[schema(value_type = String)]
    pub phase: Phase,
    /// Its isolation now.
    #[schema(value_type = Object)]
    pub isolation: Isolation,
    /// The cut that this is about.
    #[schema(value_type = Option<String>, format = "uuid")]
    pub cut: Option<CutId>,
    /// The orders that are open for it; none while a second approval is missing.
    #[schema(value_type = Vec<String>)]
    pub orders: Vec<OrderId>,
}

impl TenantView {
    /// What is shown of a tenant.
    #[must_use]
    pub fn of(tenant: &Tenant, hosts: &HostNames, rules: &Rules) -> Self {
        let allotment = tenant.allotment.as_ref();
        let instances = allotment.map_or(&[][..], |allotment| &allotment.instances);
        Self {
            id: tenant.id,
            version: tenant.version,
            phase: tenant.phase,
            customer: tenant.application.customer.clone(),
            system: tenant.application.system.name.clone(),
            isolation: tenant.isolation,
            mark: allotment.map(|allotment| allotment.mark.0),
            network: allotment.map(|allotment| NetworkView::of(&allotment.network)),
            instances: instances.iter().map(|one| InstanceView::of(tenant, one, hosts)).collect(),
            deadlines: DeadlineView::all(tenant, rules),
            submitted_at: tenant.submitted_at,
            opened_at: tenant.opened_at,
            waiting: tenant.waiting.clone(),
            trial: tenant.trial.clone(),
            reports: tenant.reports.clone(),
            rectifications: tenant.rectifications.clone(),
            online_at: tenant.online_at,
            compliance: tenant.compliance(),
            assessment: tenant.assessment.clone(),
            icp_filed: tenant.icp_filed.clone(),
            icp: tenant.icp.clone(),
            icp_opening: tenant.icp_opening.clone(),
            anomalies: tenant.anomalies.clone(),
            hold: tenant.hold_region(),
            holds: tenant.holds.clone(),
            opinions: tenant.opinions.clone(),
            offboarding: tenant.offboarding.clone(),
            announcement: tenant.announcement.clone(),
            probe: tenant.probe.as_ref().map(ProbeView::of),
            cuts: tenant.cuts.iter().map(CutView::of).collect(),
            wipe: tenant.wipe.as_ref().map(WipeView::of),
            reason: reason(tenant, hosts),
            application: tenant.application.without_secrets(),
        }
    }
}

/// What an approved application waits for; the words of the hosts whose last order failed.
fn reason(tenant: &Tenant, hosts: &HostNames) -> Option<String> {
    let failed = tenant.orders.iter().filter_map(|order| match &order.state {
        OrderFate::Failed { code, message, .. } => {
            Some(format!("{}: {message} ({code})", host_name(order.host, hosts)))
        }
        OrderFate::Open | OrderFate::Done => None,
    });
    let waits = tenant.waiting.iter().map(|waiting| waiting.reason.clone());
    let words: Vec<_> = waits.chain(failed).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn host_name(host: HostId, hosts: &HostNames) -> String {
    hosts.get(&host).cloned().unwrap_or_else(|| host.to_string())
}

impl NetworkView {
    fn of(network: &Network) -> Self {
        Self {
            address: network.address.into(),
            prefix: network.prefix,
            gateway: network.gateway.into(),
        }
    }
}

impl InstanceView {
    fn of(tenant: &Tenant, instance: &Instance, hosts: &HostNames) -> Self {
        let volumes = instance.volumes.iter();
        Self {
            id: instance.id,
            name: instance.name.clone(),
            host: instance.host,
            host_name: host_name(instance.host, hosts),
            ip4: instance.ip4.into(),
            power: instance.power,
            vcpus: instance.vcpus,
            memory_mib: instance.memory_mib,
            image: instance.image.clone(),
            volumes: volumes
                .map(|volume| VolumeView { id: volume.id, size_bytes: volume.size_bytes })
                .collect(),
            groups: groups::attached(tenant, instance.role()),
        }
    }
}

impl CutView {
    fn of(cut: &Cut) -> Self {
        Self {
            id: cut.id,
            number: cut.number,
            kind: cut.kind,
            announced: cut.announced.clone(),
            reason: cut.reason.clone(),
            ordered_by: cut.ordered_by.clone(),
            ordered_at: cut.ordered_at,
            t0: cut.t0,
            witness: match cut.witness {
                Witness::Unasked => "unasked".to_owned(),
                Witness::NoneUp => "none-up".to_owned(),
                Witness::Host(host) => host.to_string(),
            },
            notified_at: cut.notified_at,
            acknowledged: cut.acknowledged.clone(),
            notices: cut.notices.clone(),
            end: cut.end.clone(),
        }
    }
}

impl WipeView {
    fn of(wipe: &Wipe) -> Self {
        Self {
            attempt: wipe.attempt,
            approved_by: wipe.approvals.iter().map(|approval| approval.name.clone()).collect(),
            intents: wipe.intents.clone(),
            proven: wipe.proven.len(),
        }
    }
}

impl Accepted {
    /// What is answered about the orders of one kind.
    #[must_use]
    pub fn of(tenant: &Tenant, kind: OrderKind) -> Self {
        Self {
            tenant: tenant.id,
            version: tenant.version,
            phase: tenant.phase,
            isolation: tenant.isolation,
            cut: tenant.isolation.cut(),
            orders: tenant.open_orders(kind),
        }
    }
}
