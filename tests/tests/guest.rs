//! Real guests in real QEMU: what a host can prove of them from outside, and how starts fail.

#![allow(
    clippy::disallowed_methods,
    reason = "tests read clocks and write files, as an operator would"
)]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tenure_agent::{
    core::{
        machine::{Accelerator, MachineSpec},
        ruleset::{bridge_name, tap_name},
    },
    host::{
        qemu::{AcceleratorSetting, RunState, Stopped, Vmm, VmmConfig, VmmFailure},
        tap::{ensure_bridge, ensure_tap},
        volume::VolumeStore,
    },
};
use tenure_protocol::{
    digest::Digest,
    id::{InstanceId, VolumeId},
    wire::v1::{Boot, Egress, InstanceWanted, Mark, Network, Nic, Power, VolumeWanted},
};
use tenure_tests::lab::{
    daemon::{output, run, wait_for},
    guest::{self, Image},
    net::Netns,
    probe::http_get,
    storage::RamDisk,
    stream::StreamReader,
    undo::RunDir,
};
use uuid::Uuid;

const NAME: &str = "web-1";
const GUEST: [u8; 4] = [10, 64, 3, 5];
const NETWORK: Network = Network { address: [10, 64, 3, 0], prefix: 24, gateway: [10, 64, 3, 1] };
const MARK: Mark = Mark(0x103);
const UID: u32 = 64_999;

/// Under translation on a machine with other work to do, a guest takes its time.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

fn instance() -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057))
}

fn volume() -> VolumeId {
    VolumeId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8058))
}

/// A host of its own: directories, a tmpfs for memory, a namespace for the network.
struct Host {
    image: Image,
    config: VmmConfig,
    store: VolumeStore,
    netns: Netns,
    _ram: RamDisk,
    _run: RunDir,
}

impl Host {
    /// `None`, with the reason on stderr, where guests cannot be run.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: guests need root (taps, mounts, another user for QEMU)");
            return None;
        }
        for tool in ["qemu-system-x86_64", "qemu-img"] {
            if run(&[tool, "--version"]).is_err() {
                eprintln!("SKIPPED: {tool} is not installed");
                return None;
            }
        }
        if !Path::new("/dev/net/tun").exists() {
            eprintln!("SKIPPED: this kernel has no /dev/net/tun");
            return None;
        }
        let image = guest::image().expect("the test guest is built");
        let lab = RunDir::create().expect("a directory");
        let image = image.laid(lab.path.join("guest")).expect("copied");
        let dir = |name: &str| -> PathBuf {
            let path = lab.path.join(name);
            fs::DirBuilder::new().mode(0o700).create(&path).expect("directory");
            path
        };
        let (run_dir, volume_dir, key_dir) = (dir("run"), dir("volumes"), dir("keys"));
        let ram = RamDisk::create(lab.path.join("ram"), 256).expect("tmpfs");
        let netns = Netns::create(&lab.netns("host")).expect("namespace");
        let store = VolumeStore::new(&volume_dir, &[], &key_dir, Path::new("qemu-img"));
        let config = VmmConfig {
            program: "qemu-system-x86_64".into(),
            run_dir,
            ram_dir: ram.mount.clone(),
            image_dir: image.dir.clone(),
            uid: UID,
            gid: UID,
            accelerator: AcceleratorSetting::Tcg,
        };
        Some(Self { image, config, store, netns, _ram: ram, _run: lab })
    }

    fn vmm(&self) -> Vmm {
        Vmm::new(self.config.clone(), self.store.clone()).expect("configured")
    }

    fn tap(&self) -> OwnedFd {
        let opened = self.netns.within(|| {
            let bridge = bridge_name(MARK);
            ensure_bridge(&bridge).expect("bridge");
            ensure_tap(&tap_name(instance()), &bridge, || ()).expect("tap")
        });
        let gateway = format!("{}/24", Ipv4Addr::from(NETWORK.gateway));
        let bridge = bridge_name(MARK);
        self.netns.ip(&["addr", "replace", &gateway, "dev", &bridge]).expect("address");
        opened.expect("namespace")
    }

    fn wanted(&self, volumes: bool) -> InstanceWanted {
        InstanceWanted {
            instance: instance(),
            name: NAME.into(),
            vcpus: 1,
            memory_mib: 128,
            power: Power::Running,
            boot: Boot {
                kernel: self.image.kernel,
                initrd: self.image.initrd,
                cmdline: self.image.cmdline.clone(),
            },
            nic: Nic {
                mac: [2, 0, 0, 0, 0, 5],
                ip4: GUEST,
                ingress: vec![],
                egress: Egress::Everything,
            },
            volumes: volumes
                .then_some(VolumeWanted { volume: volume(), size_bytes: 32 << 20 })
                .into_iter()
                .collect(),
        }
    }

    fn spec(&self, volumes: bool) -> MachineSpec {
        MachineSpec::of(&self.wanted(volumes), &NETWORK, Accelerator::Tcg).expect("a machine")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let running = self.vmm().attach(instance());
        if let Ok(Some(running)) = running {
            let _ = running.kill();
        }
    }
}

/// A descriptor that is no tap.
fn no_tap() -> OwnedFd {
    OwnedFd::from(fs::File::open("/dev/null").expect("open"))
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((GUEST, port))
}

/// How many lines of a file hold `mark`.
fn count(mark: &str, path: &Path) -> u64 {
    let found = output(&["grep", "-a", "-c", mark, &path.to_string_lossy()], b"").expect("grep");
    String::from_utf8_lossy(&found.stdout).trim().parse().expect("a number")
}

fn ready(console: &Path) -> anyhow::Result<Option<()>> {
    let text = fs::read(console)?;
    Ok(String::from_utf8_lossy(&text).contains("TENURE-GUEST-READY web-1").then_some(()))
}

#[test]
fn a_guest_runs_without_privileges_outlives_the_agent_and_is_proven_dead() {
    let Some(host) = Host::new() else { return };
    let vmm = host.vmm();
    let begun = Instant::now();
    let made = host.store.create(volume(), 32 << 20).expect("volume");
    eprintln!("volume made in {:.1} s", begun.elapsed().as_secs_f32());
    let begun = Instant::now();
    let running = vmm.start(&host.spec(true), &host.tap()).expect("started");
    eprintln!("machine started in {:.1} s", begun.elapsed().as_secs_f32());
    let console = vmm.console_path(instance());
    wait_for("the guest", BOOT_LIMIT, || ready(&console)).expect("ready");
    eprintln!("guest ready after {:.1} s", begun.elapsed().as_secs_f32());

    // What it serves.
    let page = http_get(&host.netns, at(80)).expect("httpd answers");
    assert_eq!(page, "tenure test guest web-1\n");
    let mut echo = host.netns.within(|| TcpStream::connect(at(7))).expect("in").expect("echo");
    echo.write_all(b"hello").expect("sent");
    let mut back = [0; 5];
    echo.read_exact(&mut back).expect("echoed");
    assert_eq!(&back, b"hello");
    let stream = StreamReader::start(&host.netns, at(9000)).expect("stream");
    wait_for("20 lines", BOOT_LIMIT, || Ok((stream.count() > 20).then_some(()))).expect("flows");
    drop(stream);

    // Its memory lies in a file on the host; its disk does not lie there in the clear.
    let ram = vmm.ram_path(instance());
    assert!(count("TENURE-RAM-MARK:web-1:", &ram) > 0, "the mark is in the memory file");
    assert_eq!(fs::metadata(&ram).expect("stat").len(), 128 << 20);
    assert_eq!(fs::metadata(&ram).expect("stat").mode() & 0o777, 0o600);
    assert_eq!(count("TENURE-DISK-MARK", &made.path), 0, "the volume is encrypted");
    let disk = page_of_volume(&host);
    assert!(disk.contains("now TENURE-DISK-MARK:web-1:vda:"), "{disk}");
    assert!(!disk.contains("before TENURE"), "a new volume holds nothing: {disk}");

    assert_unprivileged(running.process().pid);
    assert_eq!(running.status().expect("asked"), RunState::Running);
    let twice = vmm.start(&host.spec(true), &no_tap()).expect_err("runs already");
    assert!(matches!(twice, VmmFailure::AlreadyRuns { .. }), "{twice}");

    // Another agent finds it again, by nothing but the host's state.
    let process = running.process();
    drop((running, vmm));
    let vmm = host.vmm();
    let again = vmm.attach(instance()).expect("looked").expect("alive");
    assert_eq!(again.process(), process);
    assert_eq!(again.status().expect("asked"), RunState::Running);
    assert!(vmm.forget(instance()).is_err(), "a running machine is not forgotten");
    vmm.trim_console(instance(), 4).expect("trimmed");
    assert_eq!(fs::metadata(&console).expect("stat").len(), 0);

    // The guest powers off when it is asked to, and the process is gone.
    let begun = Instant::now();
    let how = again.stop(Duration::from_secs(60)).expect("stopped");
    eprintln!("stopped ({how:?}) in {:.1} s", begun.elapsed().as_secs_f32());
    assert_eq!(how, Stopped::ByGuest);
    assert!(!Path::new(&format!("/proc/{}", process.pid)).exists());
    assert!(vmm.attach(instance()).expect("looked").is_none());
    assert_eq!(again.stop(Duration::ZERO).expect("nothing to do"), Stopped::Already);
    let found = vmm.list().expect("listed");
    assert_eq!(found.len(), 1);
    assert!(!found[0].alive);
    assert!(count("TENURE-RAM-MARK:web-1:", &ram) > 0, "memory outlives the process: wipe it");

    second_start(&host, &vmm, &ram);
}

/// A second start finds the volume's content; a hard stop needs no guest.
fn second_start(host: &Host, vmm: &Vmm, ram: &Path) {
    let begun = Instant::now();
    let running = vmm.start(&host.spec(true), &host.tap()).expect("started again");
    let console = vmm.console_path(instance());
    wait_for("the guest", BOOT_LIMIT, || ready(&console)).expect("ready again");
    eprintln!("guest ready again after {:.1} s", begun.elapsed().as_secs_f32());
    let disk = page_of_volume(host);
    assert!(disk.contains("before TENURE-DISK-MARK:web-1:vda:"), "the volume is kept: {disk}");
    assert_eq!(running.stop(Duration::ZERO).expect("stopped"), Stopped::Quit);
    assert!(count("TENURE-RAM-MARK", ram) > 0);
    vmm.forget(instance()).expect("forgotten");
    assert!(!console.exists());
    assert!(ram.exists(), "memory is for the wipe to remove");
}

fn page_of_volume(host: &Host) -> String {
    let mut stream = host.netns.within(|| TcpStream::connect(at(80))).expect("in").expect("httpd");
    stream.write_all(b"GET /vda HTTP/1.0\r\n\r\n").expect("sent");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("answered");
    page
}

fn assert_unprivileged(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("alive");
    let field = |name: &str| -> String {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field");
        line[name.len() + 1..].trim().to_owned()
    };
    assert_eq!(field("Uid"), format!("{UID}\t{UID}\t{UID}\t{UID}"));
    assert_eq!(field("Gid"), format!("{UID}\t{UID}\t{UID}\t{UID}"));
    assert_eq!(field("Groups"), "");
    assert_eq!(field("CapEff"), "0000000000000000");
    assert_eq!(field("CapPrm"), "0000000000000000");
    assert_eq!(field("CapBnd"), "0000000000000000");
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("alive");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("alive");
    assert!(!String::from_utf8_lossy(&environment).contains("HOME="), "environment is cleared");
}

#[test]
fn a_machine_that_hangs_is_killed_and_proven_dead() {
    let Some(host) = Host::new() else { return };
    let vmm = host.vmm();
    let running = vmm.start(&host.spec(false), &host.tap()).expect("started");
    running.pidfd().signal(nix::sys::signal::Signal::SIGSTOP).expect("stopped by a signal");
    assert!(running.status().is_err(), "it does not answer");
    let begun = Instant::now();
    assert_eq!(vmm.stop(instance(), Duration::from_secs(60)).expect("killed"), Stopped::Killed);
    assert!(begun.elapsed() < Duration::from_secs(30), "no grace for what does not answer");
    assert!(running.pidfd().is_dead().expect("looked"));
    assert_eq!(vmm.stop(instance(), Duration::ZERO).expect("nothing to do"), Stopped::Already);
}

#[test]
fn an_accelerator_is_what_the_probe_shows_and_a_demanded_one_that_fails_is_refused() {
    let Some(mut host) = Host::new() else { return };
    host.config.accelerator = AcceleratorSetting::Auto;
    let found = host.vmm().accelerator().expect("auto never fails");
    host.config.accelerator = AcceleratorSetting::Kvm;
    match (found, host.vmm().accelerator()) {
        (Accelerator::Kvm, Ok(Accelerator::Kvm)) => {}
        (Accelerator::Tcg, Err(failure @ VmmFailure::NoKvm { .. })) => eprintln!("{failure}"),
        (found, demanded) => panic!("auto gives {found}, and on demand {demanded:?}"),
    }
}

#[test]
fn a_start_that_cannot_succeed_says_why_and_leaves_no_process() {
    let Some(mut host) = Host::new() else { return };
    let tap = host.tap();

    let mut spec = host.spec(false);
    spec.kernel = Digest([7; 32]);
    let missing = host.vmm().start(&spec, &tap).expect_err("no such image");
    assert!(matches!(missing, VmmFailure::ImageMissing { .. }), "{missing}");

    let images = host.config.run_dir.with_file_name("images");
    fs::create_dir(&images).expect("directory");
    let good = host.config.image_dir.clone();
    let kernel = images.join(host.image.kernel.to_string());
    fs::copy(good.join(host.image.kernel.to_string()), &kernel).expect("copied");
    fs::write(images.join(host.image.initrd.to_string()), b"cut short").expect("written");
    host.config.image_dir = images;
    let differs = host.vmm().start(&host.spec(false), &tap).expect_err("another file");
    assert!(matches!(differs, VmmFailure::ImageDiffers { .. }), "{differs}");
    fs::set_permissions(&kernel, fs::Permissions::from_mode(0o600)).expect("mode");
    let unreadable = host.vmm().start(&host.spec(false), &tap).expect_err("not readable");
    assert!(unreadable.to_string().contains("chmod 0644"), "{unreadable}");
    host.config.image_dir = good;

    let volume = host.vmm().start(&host.spec(true), &tap).expect_err("no volume");
    assert!(matches!(volume, VmmFailure::Volume(_)), "{volume}");

    let ram_dir = host.config.ram_dir.clone();
    host.config.ram_dir = host.config.run_dir.clone();
    let on_disk = host.vmm().start(&host.spec(false), &tap).expect_err("memory on a disk");
    assert!(matches!(on_disk, VmmFailure::RamDir { .. }), "{on_disk}");
    host.config.ram_dir = ram_dir;

    host.config.program = "tenure-no-qemu".into();
    let spawn = host.vmm().start(&host.spec(false), &tap).expect_err("not installed");
    assert!(matches!(&spawn, VmmFailure::Spawn(why) if why.is_not_installed()), "{spawn}");

    // It starts, and is not QEMU.
    host.config.program = "false".into();
    let words = host.vmm().start(&host.spec(false), &tap).expect_err("no QMP").to_string();
    assert!(words.contains("did not bring up"), "{words}");

    // QEMU itself refuses: a file that is no tap.
    host.config.program = "qemu-system-x86_64".into();
    let words = host.vmm().start(&host.spec(false), &no_tap()).expect_err("no tap").to_string();
    assert!(words.contains("TUNGETIFF"), "QEMU's own words are told: {words}");
    assert!(host.vmm().attach(instance()).expect("looked").is_none(), "no process is left");

    host.config.uid = 0;
    let root = Vmm::new(host.config.clone(), host.store.clone()).expect_err("root");
    assert!(matches!(root, VmmFailure::Privileged), "{root}");
    host.config.uid = UID;
}
