//! Where instances go, and which mark, network and addresses a tenant gets. Stable: the same fleet
//! and the same application give the same answer.

use std::{collections::BTreeSet, net::IpAddr};

use tenure_protocol::{
    channel::destination,
    id::{InstanceId, VolumeId},
    wire::v1::{Boot, Mark, Network},
};

use super::{
    draw::Draw,
    fleet::{Fleet, HostRoom, Image},
    refusal::{Code, Refusal},
    tenant::{Allotment, Application, Instance, InstanceRequest, Volume},
};

/// The first mark of a tenant: smaller ones are the provider's own.
pub const FIRST_MARK: u32 = 0x100;
/// The last mark: three bytes, so that it fits into a MAC address.
pub const LAST_MARK: u32 = 0x00ff_ffff;
/// Tenants' networks are the /24 of 10.64.0.0/10.
pub const NETWORKS: u32 = 1 << 14;
/// The gateway's last octet.
const GATEWAY: u8 = 1;
/// The first instance's last octet.
const FIRST_ADDRESS: u8 = 10;
/// Virtual processors that may be given away per logical processor.
pub const VCPUS_PER_CPU: u32 = 4;
/// What a tenant may have on one host: memories of instances and volumes, as many as one wipe order
/// names. With more of them the host would refuse the order, and nothing could ever be destroyed.
pub const SUBJECTS_PER_HOST: usize = 64;

/// Places every instance of an application, or refuses the whole.
///
/// # Errors
/// `no-capacity`, `no-network` or `unknown-image`.
pub fn place(
    application: &Application,
    fleet: &Fleet,
    draw: &mut Draw,
) -> Result<Allotment, Refusal> {
    let mark = free_mark(fleet)?;
    let network = free_network(fleet, application)?;
    let mut rooms = fleet.hosts.clone();
    let mut subjects = vec![0_usize; rooms.len()];
    let mut of_role = Vec::new();
    let mut instances: Vec<Instance> = Vec::new();
    for request in &application.instances {
        let image = fleet.images.iter().find(|image| image.name == request.image);
        let image = image.ok_or_else(|| {
            Refusal::new(Code::UnknownImage, format!("no image {:?} is left", request.image))
        })?;
        of_role.clear();
        of_role.resize(rooms.len(), 0_u32);
        for number in 1..=request.count {
            let chosen = choose(&rooms, &of_role, &subjects, request)?;
            take(&mut rooms[chosen], request);
            subjects[chosen] += subjects_of(request);
            of_role[chosen] += 1;
            let octet = u8::try_from(instances.len())
                .ok()
                .and_then(|taken| taken.checked_add(FIRST_ADDRESS))
                .filter(|octet| *octet < u8::MAX)
                .ok_or_else(|| {
                    Refusal::new(Code::NoNetwork, "a tenant's network has room for 245 instances")
                })?;
            let host = &rooms[chosen];
            instances.push(instance(request, number, image, host, (mark, network, octet), draw));
        }
    }
    Ok(Allotment { mark, network, instances })
}

fn instance(
    request: &InstanceRequest,
    number: u16,
    image: &Image,
    host: &HostRoom,
    (mark, network, octet): (Mark, Network, u8),
    draw: &mut Draw,
) -> Instance {
    let [_, high, middle, low] = mark.0.to_be_bytes();
    let [a, b, c, _] = network.address;
    let boot = Boot { kernel: image.kernel, initrd: image.initrd, cmdline: image.cmdline.clone() };
    Instance {
        id: InstanceId::from_uuid(draw.uuid()),
        name: format!("{}-{number}", request.role),
        host: host.id,
        mac: [0x02, 0x54, high, middle, low, octet],
        ip4: [a, b, c, octet],
        vcpus: request.vcpus,
        memory_mib: request.memory_mib,
        image: image.name.clone(),
        boot,
        volumes: request
            .volumes_bytes()
            .into_iter()
            .map(|size_bytes| Volume { id: VolumeId::from_uuid(draw.uuid()), size_bytes })
            .collect(),
        power: None,
    }
}

/// The host with the fewest instances of this role, then the fewest instances, then the most memory
/// left, then the smallest id.
fn choose(
    rooms: &[HostRoom],
    of_role: &[u32],
    subjects: &[usize],
    request: &InstanceRequest,
) -> Result<usize, Refusal> {
    let roomy = || {
        let rooms = rooms.iter().zip(of_role).enumerate();
        rooms.filter(|(_, (room, _))| fits(room, request))
    };
    roomy()
        .filter(|(index, _)| can_wipe(subjects[*index], request))
        .min_by_key(|(_, (room, role))| {
            let free = room.memory_bytes.saturating_sub(room.memory_taken);
            (**role, room.instances, u64::MAX - free, room.id)
        })
        .map(|(index, _)| index)
        .ok_or_else(|| {
            let sentence = if roomy().next().is_some() {
                format!(
                    "each host with room for {} would hold more than {SUBJECTS_PER_HOST} instances \
                     and volumes of this tenant, more than one wipe destroys: add a host, or \
                     return the application",
                    request.role
                )
            } else {
                format!(
                    "no host that is up has room for {} ({} vCPU, {} MiB, {} MiB of volumes): \
                     add a host, or return the application",
                    request.role,
                    request.vcpus,
                    request.memory_mib,
                    volume_bytes(request) >> 20
                )
            };
            Refusal::new(Code::NoCapacity, sentence)
        })
}

/// What a wipe of one instance destroys: its memory and each of its volumes.
fn subjects_of(request: &InstanceRequest) -> usize {
    request.volumes_bytes().len().saturating_add(1)
}

fn can_wipe(subjects: usize, request: &InstanceRequest) -> bool {
    subjects.saturating_add(subjects_of(request)) <= SUBJECTS_PER_HOST
}

fn fits(room: &HostRoom, request: &InstanceRequest) -> bool {
    let vcpus = room.vcpus_taken.saturating_add(u32::from(request.vcpus));
    let memory = room.memory_taken.saturating_add(u64::from(request.memory_mib) << 20);
    let volumes = room.volume_taken.saturating_add(volume_bytes(request));
    vcpus <= room.cpus.saturating_mul(VCPUS_PER_CPU)
        && memory <= room.memory_bytes
        && volumes <= room.volume_bytes
}

fn take(room: &mut HostRoom, request: &InstanceRequest) {
    room.vcpus_taken = room.vcpus_taken.saturating_add(u32::from(request.vcpus));
    room.memory_taken = room.memory_taken.saturating_add(u64::from(request.memory_mib) << 20);
    room.volume_taken = room.volume_taken.saturating_add(volume_bytes(request));
    room.instances = room.instances.saturating_add(1);
}

fn volume_bytes(request: &InstanceRequest) -> u64 {
    request.volumes_bytes().into_iter().fold(0, u64::saturating_add)
}

fn free_mark(fleet: &Fleet) -> Result<Mark, Refusal> {
    let next = fleet.last_mark.map_or(FIRST_MARK, |last| last.0.saturating_add(1));
    (FIRST_MARK..=LAST_MARK)
        .contains(&next)
        .then_some(Mark(next))
        .ok_or_else(|| Refusal::new(Code::NoNetwork, "no mark is left for another tenant"))
}

/// The first network that nobody has. One in which a contact's webhook lies is passed over: what
/// says that the tenant is cut must not be cut with it.
fn free_network(fleet: &Fleet, application: &Application) -> Result<Network, Refusal> {
    let webhooks = application.contacts.iter().filter_map(|contact| contact.webhook.as_ref());
    let named: BTreeSet<u32> = webhooks
        .filter_map(|webhook| match destination::address_in(&webhook.url) {
            Some(IpAddr::V4(address)) => Some(u32::from(address) >> 8),
            Some(IpAddr::V6(_)) | None => None,
        })
        .collect();
    (0..NETWORKS)
        .map(|number| 0x0a40_0000 + (number << 8))
        .filter(|network| !named.contains(&(network >> 8)))
        .map(u32::to_be_bytes)
        .find(|address| !fleet.networks_taken.contains(address))
        .map(|address| {
            let [a, b, c, _] = address;
            Network { address, prefix: 24, gateway: [a, b, c, GATEWAY] }
        })
        .ok_or_else(|| Refusal::new(Code::NoNetwork, "no network is left for another tenant"))
}

#[cfg(test)]
mod tests {
    use tenure_protocol::{digest::Digest, id::HostId};
    use uuid::Uuid;

    use super::*;
    use crate::core::tenant::System;

    fn fleet(hosts: u128) -> Fleet {
        let room = |number| HostRoom {
            id: HostId::from_uuid(Uuid::from_u128(number)),
            name: format!("host-{number}"),
            cpus: 64,
            memory_bytes: 1 << 40,
            volume_bytes: 1 << 40,
            vcpus_taken: 0,
            memory_taken: 0,
            volume_taken: 0,
            instances: 0,
        };
        let image = Image {
            name: "small".to_owned(),
            kernel: Digest::of(b"kernel"),
            initrd: Digest::of(b"initrd"),
            cmdline: String::new(),
        };
        Fleet { hosts: (1..=hosts).map(room).collect(), images: vec![image], ..Fleet::default() }
    }

    /// So many instances with three volumes each: four subjects of a wipe.
    fn application(count: u16) -> Application {
        let request = InstanceRequest {
            role: "web".to_owned(),
            count,
            vcpus: 1,
            memory_mib: 64,
            image: "small".to_owned(),
            volumes_gib: Vec::new(),
            volumes_mib: vec![16, 16, 16],
            ingress: Vec::new(),
        };
        let system = System {
            name: "portal".to_owned(),
            code: "P".to_owned(),
            major: false,
            internet_facing: false,
        };
        Application {
            customer: "bureau".to_owned(),
            system,
            contacts: Vec::new(),
            instances: vec![request],
            form: serde_json::Value::Null,
        }
    }

    #[test]
    fn no_host_gets_more_of_a_tenant_than_one_order_can_wipe() {
        let mut draw = Draw::new([7; 32], tenure_protocol::time::Timestamp::from_unix_ms(0));
        let mut place = |count, hosts| place(&application(count), &fleet(hosts), &mut draw);
        assert!(place(16, 1).is_ok(), "64 subjects");
        let refusal = place(17, 1).expect_err("68 subjects");
        assert_eq!(refusal.code, Code::NoCapacity);
        assert!(refusal.sentence.contains("more than 64 instances and volumes"), "{refusal}");
        let spread = place(32, 2).expect("64 on each");
        for host in 1..=2 {
            let host = HostId::from_uuid(Uuid::from_u128(host));
            assert_eq!(spread.instances.iter().filter(|one| one.host == host).count(), 16);
        }
        assert!(place(33, 2).is_err());
    }
}
