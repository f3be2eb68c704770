//! `tenurectl anomaly`: from when on hosts tell of what a tenant does, and the rule by which it is
//! cut for it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use tenure_protocol::id::TenantId;

use crate::{api::Api, failure::Failure, screen::Screen};

/// What is done about anomalies.
#[derive(Debug, Subcommand)]
pub(crate) enum AnomalyVerb {
    /// What is watched of a tenant, and by which rule it is cut, if by one
    Show {
        /// The tenant's id
        tenant: TenantId,
    },
    /// Set a tenant's own thresholds, all of them: what is left out is the site's (operator)
    Thresholds(ThresholdArgs),
    /// Propose that the tenant is cut at once, by no person's word, for what it does (operator,
    /// security)
    Propose {
        /// The tenant's id
        tenant: TenantId,
        /// For which kind of alarm; can be given again
        #[arg(long = "for", value_enum, required = true)]
        kinds: Vec<Kind>,
        /// Why people are not asked first
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Confirm the proposed rule, as another person than who proposed it: it is in force then
    /// (operator, security)
    Confirm {
        /// The tenant's id
        tenant: TenantId,
        /// Only if the tenant is still at this version, as `anomaly show` has it; whichever it is
        /// at if left out
        #[arg(long)]
        version: Option<u64>,
    },
    /// Take the rule back, in force or proposed: people are told, and no more (operator, security)
    Withdraw {
        /// The tenant's id
        tenant: TenantId,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Thresholds in place of the site's.
#[derive(Debug, Args)]
pub(crate) struct ThresholdArgs {
    /// The tenant's id
    tenant: TenantId,
    /// Packets of one network card in one direction, in a second
    #[arg(long, value_name = "NUMBER")]
    packets: Option<u64>,
    /// TCP connections that one network card begins, or is asked for, in a second
    #[arg(long, value_name = "NUMBER")]
    connections: Option<u64>,
    /// Bytes that one instance reads from its volumes and writes to them, in a second
    #[arg(long, value_name = "BYTES")]
    disk: Option<u64>,
    /// Thousandths of its processors' time that a host does not get
    #[arg(long, value_name = "NUMBER")]
    steal: Option<u64>,
}

/// Kinds of alarm for which a tenant can be cut.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// An instance sends too many packets
    PacketFlood,
    /// An instance begins too many TCP connections
    ConnectionFlood,
    /// An instance moves too many bytes from and to its volumes
    DiskSaturation,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PacketFlood => "packet-flood",
            Self::ConnectionFlood => "connection-flood",
            Self::DiskSaturation => "disk-saturation",
        }
    }
}

/// Runs it.
pub(crate) fn run(verb: AnomalyVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let of = |tenant: TenantId| format!("/v1/tenants/{tenant}/anomalies");
    let answer = match verb {
        AnomalyVerb::Show { tenant } => api.get(&of(tenant))?,
        AnomalyVerb::Thresholds(args) => {
            api.post(&format!("{}/thresholds", of(args.tenant)), &args.body())?
        }
        AnomalyVerb::Propose { tenant, kinds, reason } => {
            let kinds: Vec<&str> = kinds.into_iter().map(Kind::as_str).collect();
            let body = json!({ "kinds": kinds, "reason": reason });
            api.post(&format!("{}/rule", of(tenant)), &body)?
        }
        AnomalyVerb::Confirm { tenant, version } => {
            api.post_about(version, &format!("{}/rule/confirmation", of(tenant)), &json!({}))?
        }
        AnomalyVerb::Withdraw { tenant, reason } => {
            api.post(&format!("{}/rule/withdrawal", of(tenant)), &json!({ "reason": reason }))?
        }
    };
    screen.one(&answer)
}

impl ThresholdArgs {
    fn body(&self) -> Map<String, Value> {
        let given = [
            ("packets_per_s", self.packets),
            ("connections_per_s", self.connections),
            ("disk_bytes_per_s", self.disk),
            ("steal_permille", self.steal),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.map(|(name, value)| (name, json!(value))).collect()
    }
}
