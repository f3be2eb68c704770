//! The statement of a host that carried a configuration out.

use ed25519_dalek::SigningKey;
use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse,
        predicate::{
            self, AgentIdentity, Configuration, OrderRef, Origin, Predicate,
            configuration::{ConfigurationMeasured, InstanceMeasured},
        },
        statement::Statement,
    },
    id::HostId,
    wire::v1::{Order, Power, TenantWanted},
};

/// The host's word that it runs what the order wants.
pub(crate) fn attested(
    host: HostId,
    key: &SigningKey,
    (order, digest): (&Order, Digest),
    wanted: &TenantWanted,
) -> Vec<u8> {
    let instances = wanted.instances.iter().map(|instance| InstanceMeasured {
        instance: instance.instance,
        running: instance.power == Power::Running,
        vcpus: instance.vcpus,
        memory_bytes: u64::from(instance.memory_mib) << 20,
        volume_bytes: instance.volumes.iter().map(|volume| volume.size_bytes).sum(),
    });
    let measured = ConfigurationMeasured {
        at: order.issued_at,
        instances: instances.collect(),
        ruleset: Digest::of(b"ruleset"),
    };
    let agent = AgentIdentity {
        version: "0.1.0".to_owned(),
        binary: Digest::of(b"tenure-hostd"),
        boot_id: "boot".to_owned(),
        kernel: "6.1.0".to_owned(),
    };
    let clock = predicate::Clock {
        source: "CLOCK_REALTIME".to_owned(),
        synchronised: true,
        max_error_ns: 1,
    };
    let statement = Statement::new(Predicate::Configuration(Configuration {
        origin: Origin {
            order: OrderRef { id: order.id, digest },
            tenant: order.tenant,
            host,
            agent,
            clock,
        },
        generation: order.generation,
        measured,
        not_measured: Vec::new(),
    }));
    dsse::sign_statement(&statement, key).expect("signed")
}
