use tenure_protocol::{
    digest::Digest,
    wire::v1::{Boot, Egress, Nic, Power, VolumeWanted},
};
use uuid::Uuid;

use super::*;

fn wanted() -> InstanceWanted {
    InstanceWanted {
        instance: InstanceId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057)),
        name: "web-1".into(),
        vcpus: 2,
        memory_mib: 128,
        power: Power::Running,
        boot: Boot {
            kernel: Digest([1; 32]),
            initrd: Digest([2; 32]),
            cmdline: "console=ttyS0 quiet".into(),
        },
        nic: Nic {
            mac: [2, 0, 0, 0xab, 0xcd, 1],
            ip4: [10, 64, 3, 5],
            ingress: vec![],
            egress: Egress::Everything,
        },
        volumes: vec![VolumeWanted {
            volume: VolumeId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8058)),
            size_bytes: 64 << 20,
        }],
    }
}

const NETWORK: Network = Network { address: [10, 64, 3, 0], prefix: 24, gateway: [10, 64, 3, 1] };

fn refused(change: impl FnOnce(&mut InstanceWanted)) -> &'static str {
    let mut instance = wanted();
    change(&mut instance);
    MachineSpec::of(&instance, &NETWORK, Accelerator::Tcg).expect_err("refused").code()
}

#[test]
fn a_machine_renders_as_the_golden_argument_list_and_commands() {
    let spec = MachineSpec::of(&wanted(), &NETWORK, Accelerator::Tcg).expect("a machine");
    let fds = MachineFds { ram: 10, kernel: 11, initrd: 12, tap: 13, console: 14, qmp: 15 };
    let mut text = argv("qemu-system-x86_64", &spec, &fds).join("\n");
    for (index, volume) in spec.volumes.iter().enumerate() {
        for mut command in volume_commands(index, *volume, Backing::File) {
            command.arguments.sort_all_objects();
            text += &format!("\n{:?} {} {}", command.carries, command.execute, command.arguments);
        }
    }
    let on_a_device = Backing::Device { size_bytes: 1 << 30 };
    for mut command in volume_commands(0, spec.volumes[0], on_a_device) {
        command.arguments.sort_all_objects();
        text += &format!("\n{:?} {} {}", command.carries, command.execute, command.arguments);
    }
    text.push('\n');
    assert_eq!(text, include_str!("machine_golden.txt"));
}

#[test]
fn what_qemu_or_the_kernel_would_misread_is_refused() {
    assert_eq!(refused(|i| i.vcpus = 0), "machine-vcpus");
    assert_eq!(refused(|i| i.memory_mib = 63), "machine-memory");
    assert_eq!(refused(|i| i.name = "web 1 init=/bin/sh".into()), "machine-name");
    assert_eq!(refused(|i| i.name = "-web".into()), "machine-name");
    assert_eq!(refused(|i| i.boot.cmdline = "quiet\ninit=x".into()), "machine-cmdline");
    assert_eq!(refused(|i| i.boot.cmdline = "x".repeat(2048)), "machine-cmdline");
    assert_eq!(refused(|i| i.volumes.push(i.volumes[0])), "machine-volumes");
    assert_eq!(refused(|i| i.nic.mac[0] = 3), "machine-mac");
}

#[test]
fn kvm_machines_have_the_hosts_processor() {
    let spec = MachineSpec::of(&wanted(), &NETWORK, Accelerator::Kvm).expect("a machine");
    let fds = MachineFds { ram: 10, kernel: 11, initrd: 12, tap: 13, console: 14, qmp: 15 };
    let argv = argv("qemu", &spec, &fds).join(" ");
    assert!(argv.contains("-accel kvm -cpu host"), "{argv}");
}
