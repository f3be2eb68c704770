//! The agent's own doors: joining, the socket between its processes, the link, and what it asks of
//! a host before it starts.

#![allow(clippy::disallowed_methods, reason = "tests write the files that an operator would write")]

#[path = "agent/certificates.rs"]
mod certificates;
#[path = "agent/silent.rs"]
mod silent;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tenure_agent::{
    alarm::Alarms,
    clock,
    config::HostdConfig,
    core::drift::Drift,
    engine::{Engine, Identity, Parts, reserve::Reserve, watch},
    host::{fake::FakeHost, observe, preflight},
    join::{self, Invitation, JoinFailure, Pins},
    journal::Journal,
    link::{Link, LinkFailure},
    sign::HostKey,
    socket,
};
use tenure_controller::clock::Clock;
use tenure_protocol::wire::{
    join::JoinToken,
    v1::{Hello, HostFacts, Lane, Mark},
};
use tenure_tests::lab::{
    daemon::wait_for,
    in_process::{InProcess, application},
    storage::RamDisk,
};

fn uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn config(dir: &Path) -> HostdConfig {
    let paths = [
        ("state_dir", "state"),
        ("run_dir", "run"),
        ("ram_dir", "ram"),
        ("volume_dir", "volumes"),
        ("key_dir", "keys"),
        ("image_dir", "images"),
        ("agent_state_dir", "agent"),
    ];
    let lines = paths.map(|(key, name)| format!("{key} = {:?}\n", dir.join(name)));
    let (uid, gid) = (uid(), nix::unistd::getegid());
    let users = format!("agent_uid = {uid}\nagent_gid = {gid}\nvmm_uid = 99\nvmm_gid = 99\n");
    toml::from_str(&format!("{}{users}", lines.concat())).expect("a configuration")
}

/// A joined host with the engine of tenure-hostd on a host in memory, and its socket.
struct Base {
    _dir: TempDir,
    config: HostdConfig,
    engine: Engine,
    alarms: Arc<Alarms>,
}

fn join_with(config: &HostdConfig, dir: &Path, text: &str) -> Result<Pins, JoinFailure> {
    let file = dir.join("token");
    fs::write(&file, text).expect("written");
    join::join(config, &file, clock::now())
}

fn base(token: &str, allowed: u32) -> Base {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let pins = join_with(&config, dir.path(), token).expect("joined");
    fs::create_dir_all(&config.run_dir).expect("made");
    let identity = Arc::new(Identity {
        host: OnceLock::new(),
        key: HostKey::load(&join::key_path(&config.state_dir)).expect("a key"),
        order_key: pins.order_key(&join::pins_path(&config.state_dir)).expect("a key"),
        ledger_key: pins.ledger_key.parse().expect("a key"),
        agent: observe::agent_identity().expect("known"),
    });
    let alarms = Arc::new(Alarms::open(&config.state_dir.join("alarms")));
    let journal = |name: &str| Journal::open(&config.state_dir.join(name)).expect("a journal");
    let packets = config.state_dir.join("packets");
    let reserve = Arc::new(Reserve::default());
    let (who, ids) = (Arc::clone(&identity), Arc::clone(&reserve));
    let watch = watch::start(&packets, who, clock::Clock::default(), ids);
    let watch = watch.expect("a thread");
    let engine = Engine::start(Parts {
        host: Arc::new(FakeHost::default()),
        cut_journal: journal("cut.redb"),
        work_journal: journal("work.redb"),
        watch: watch.clone(),
        reserve,
        identity: Arc::clone(&identity),
        clock: clock::Clock::default(),
        alarms: Arc::clone(&alarms),
    })
    .expect("started");
    let gib = 1 << 30;
    let facts = HostFacts {
        cpus: 4,
        memory_bytes: 4 * gib,
        volume_bytes: 64 * gib,
        accelerator: "tcg".to_owned(),
        kernel: identity.agent.kernel.clone(),
    };
    let boot_id = identity.agent.boot_id.clone();
    let desk = Arc::new(socket::Desk {
        watch,
        cut: engine.inbox(Lane::Cut),
        work: engine.inbox(Lane::Work),
        identity,
        hello: Hello { agent_version: "0".to_owned(), boot_id, facts },
        view: engine.view(),
        alarms: Arc::clone(&alarms),
        root: pins.ca_der,
        state_dir: config.state_dir.clone(),
        cutting: std::sync::Mutex::new(None),
    });
    let listener = socket::listen(&config.socket(), config.agent_gid).expect("listens");
    thread::spawn(move || socket::serve(&listener, &[allowed], &desk));
    Base { _dir: dir, config, engine, alarms }
}

impl Base {
    fn link(&self) -> Link {
        let path: PathBuf = join::invitation_path(&self.config.agent_state_dir);
        let invitation: Invitation = tenure_agent::config::load(&path).expect("an invitation");
        let state_dir = self.config.agent_state_dir.clone();
        Link { state_dir, socket: self.config.socket(), invitation }
    }
}

fn once(site: &InProcess, link: &Link) -> LinkFailure {
    let limited = async { tokio::time::timeout(Duration::from_secs(20), link.once()).await };
    site.runtime().block_on(limited).expect("within 20 s").expect_err("no session")
}

/// Waits until the host is up, and has carried out the order of an approved application.
fn carries_out_an_order(site: &InProcess) -> anyhow::Result<()> {
    let customer = site.token("li", "customer", Some("Bureau"))?;
    let reviewer = site.token("zhao", "reviewer", None)?;
    let within = |what: &str, holds: &dyn Fn() -> anyhow::Result<bool>| {
        wait_for(what, Duration::from_secs(20), || Ok(holds()?.then_some(())))
    };
    within("up", &|| {
        let hosts = site.get(&site.admin, "/v1/hosts")?.json.to_string();
        Ok(hosts.contains("alpha") && hosts.contains("\"tcg\""))
    })?;
    let made = site.post(&customer, "/v1/applications", &application("Bureau"))?;
    let path = format!("/v1/tenants/{}", made.json["id"].as_str().unwrap_or_default());
    let approval = json!({ "decision": "approve", "opinion": "sound" });
    let approved = site.post(&reviewer, &format!("{path}/review"), &approval)?;
    assert_eq!(approved.status, 200, "{approved:?}");
    // The trial would begin with the notice's delivery, and this site has no mail server.
    within("configured", &|| {
        let orders = site.get(&site.admin, &format!("{path}/orders"))?.json;
        Ok(orders[0]["state"] == "done")
    })?;
    Ok(())
}

#[test]
fn a_host_enrols_comes_up_and_carries_out_an_order() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let base = base(&site.join_token("alpha")?, uid());
    let link = base.link();
    let session = site.runtime().spawn(async move { link.once().await });
    carries_out_an_order(&site)?;
    session.abort();
    base.engine.stop();
    Ok(())
}

#[test]
fn alarms_of_a_host_reach_the_controller_and_leave_the_host_once_they_are_there()
-> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let base = base(&site.join_token("alpha")?, uid());
    for (sequence, repaired) in [(1, true), (2, false), (3, true)] {
        let drift = Drift::not_cut(Mark(0x101), repaired);
        base.alarms.raise(drift.alarm(sequence, clock::now(), None));
    }
    let link = base.link();
    let session = site.runtime().spawn(async move { link.once().await });
    wait_for("the alarms", Duration::from_secs(30), || {
        Ok(base.alarms.oldest(9).is_empty().then_some(()))
    })?;
    let hosts = site.get(&site.admin, "/v1/hosts")?.json;
    let id = hosts[0]["id"].as_str().unwrap_or_default();
    let alarms = site.get(&site.security, &format!("/v1/hosts/{id}/alarms?limit=2"))?;
    let told = |number: usize, member: &str| alarms.json[number][member].clone();
    assert_eq!((told(0, "sequence"), told(1, "repaired")), (json!(1), json!(false)), "{alarms:?}");
    assert_eq!((told(0, "kind"), told(1, "subject")), (json!("cut-not-in-force"), json!("0x101")));
    assert!(told(2, "sequence").is_null(), "a page of two");
    let journal = site.get(&site.security, "/v1/platform/journal")?.json.to_string();
    assert_eq!(journal.matches("\"host-alarm\"").count(), 3);
    session.abort();
    base.engine.stop();
    Ok(())
}

#[test]
fn a_controller_with_a_foreign_certificate_is_not_talked_to() -> anyhow::Result<()> {
    let (site, other) = (InProcess::start(Clock::staged())?, InProcess::start(Clock::staged())?);
    let base = base(&site.join_token("alpha")?, uid());
    let foreign: JoinToken = other.join_token("alpha")?.parse()?;
    let mut link = base.link();
    link.invitation.ca_der = foreign.ca_der;
    let failure = once(&site, &link);
    assert!(matches!(failure, LinkFailure::Connection(_)), "{failure:?}");
    let known = join::load_host_id(&base.config.state_dir)?;
    assert!(known.is_none(), "and it enrolled nowhere");
    Ok(())
}

#[test]
fn the_socket_answers_the_agents_user_alone() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let base = base(&site.join_token("alpha")?, uid() + 1);
    let failure = once(&site, &base.link());
    assert!(matches!(failure, LinkFailure::Local(_)), "{failure:?}");
    Ok(())
}

#[test]
fn a_frame_beyond_the_limit_ends_the_connection_and_no_other() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let base = base(&site.join_token("alpha")?, uid());
    let mut stream = UnixStream::connect(base.config.socket())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&u32::MAX.to_be_bytes())?;
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "closed without an answer");
    let mut next = UnixStream::connect(base.config.socket())?;
    next.set_read_timeout(Some(Duration::from_secs(10)))?;
    let channel = socket::channel_frame(socket::Channel::Base)?;
    let ask = socket::ask_frame(&socket::Ask::Hello)?;
    next.write_all(&[channel.to_bytes(), ask.to_bytes()].concat())?;
    assert_eq!(next.read(&mut [0; 1])?, 1, "the next one is answered");
    Ok(())
}

#[test]
fn a_join_refuses_what_is_late_cut_or_another_controllers() -> anyhow::Result<()> {
    let (site, other) = (InProcess::start(Clock::staged())?, InProcess::start(Clock::staged())?);
    let dir = tempfile::tempdir()?;
    let config = config(dir.path());
    let token = site.join_token("alpha")?;
    let mut late: JoinToken = token.parse()?;
    late.expires_at = clock::now().plus_ms(-1);
    let refused = join_with(&config, dir.path(), &late.reveal());
    assert!(matches!(refused, Err(JoinFailure::Expired(_))), "{refused:?}");
    let cut = join_with(&config, dir.path(), &token[..token.len() - 9]);
    assert!(matches!(cut, Err(JoinFailure::Token(_))), "{cut:?}");
    assert!(!config.state_dir.exists() && !config.agent_state_dir.exists(), "nothing was made");
    join_with(&config, dir.path(), &token)?;
    let second = join_with(&config, dir.path(), &other.join_token("alpha")?);
    assert!(matches!(second, Err(JoinFailure::AnotherController(_))), "{second:?}");
    join_with(&config, dir.path(), &site.join_token("alpha")?)?;
    Ok(())
}

#[test]
fn a_host_that_does_not_fit_is_refused_with_what_to_do_and_nothing_is_made() -> anyhow::Result<()> {
    if uid() != 0 {
        eprintln!("SKIPPED: needs root to mount a tmpfs");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let ram = RamDisk::create(dir.path().join("ram"), 4)?;
    let bad = |change: &dyn Fn(&mut HostdConfig)| {
        let mut config = config(dir.path());
        // Programs that are there, whatever is installed.
        (config.qemu, config.qemu_img) = ("/bin/sh".into(), "/bin/sh".into());
        config.agent_uid = 98;
        change(&mut config);
        let error = preflight::machines(&config).expect_err("refused").to_string();
        let made = [&config.run_dir, &config.volume_dir, &config.key_dir, &config.state_dir];
        assert!(made.iter().all(|dir| !dir.exists() || dir.starts_with(&ram.mount)), "{error}");
        error
    };
    let qemu = bad(&|config| config.qemu = "/nowhere/qemu".into());
    assert!(qemu.contains("qemu-system-x86") && qemu.contains("/nowhere/qemu"), "{qemu}");
    let qemu_img = bad(&|config| config.qemu_img = "no-such-qemu-img".into());
    assert!(qemu_img.contains("qemu-utils"), "{qemu_img}");
    let on_disk = bad(&|config| config.ram_dir = "/proc".into());
    assert!(on_disk.contains("/proc") && on_disk.contains("tmpfs"), "{on_disk}");
    let volumes = bad(&|config| config.volume_dir = ram.mount.join("volumes"));
    assert!(volumes.contains("volume_dir") && volumes.contains("ext4"), "{volumes}");
    assert!(!ram.mount.join("volumes").exists());
    Ok(())
}

#[test]
fn a_host_without_nft_or_qemu_is_told_what_to_install() -> anyhow::Result<()> {
    if uid() != 0 {
        eprintln!("SKIPPED: tenure-hostd and a tmpfs of its own need root");
        return Ok(());
    }
    let binary = std::env::current_exe()?;
    let hostd = binary.ancestors().nth(2).map(|bin| bin.join("tenure-hostd"));
    let hostd = hostd.filter(|hostd| hostd.exists()).expect("cargo build --workspace --bins first");
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let ram = RamDisk::create(dir.path().join("ram"), 16)?;
    for name in ["volumes", "keys", "images"] {
        fs::create_dir(dir.path().join(name))?;
    }
    let at = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "state_dir = {:?}\nrun_dir = {:?}\nram_dir = {:?}\nvolume_dir = {:?}\nkey_dir = {:?}\n\
         image_dir = {:?}\nagent_state_dir = {:?}\nagent_uid = 64701\nagent_gid = 64701\n\
         vmm_uid = 64702\nvmm_gid = 64702\n",
        at("state"),
        at("run"),
        ram.mount.display().to_string(),
        at("volumes"),
        at("keys"),
        at("images"),
        at("agent"),
    );
    let (whole, without_qemu) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
    fs::write(&whole, &text)?;
    fs::write(&without_qemu, format!("qemu = \"/nonexistent/qemu\"\n{text}"))?;
    // tenure-hostd has a search path of its own, so nft is hidden in a mount namespace of its own.
    let empty = at("empty");
    fs::create_dir(&empty)?;
    let hide = format!("mount --bind {empty} /usr/sbin && exec \"$@\"");
    let cases =
        [(&whole, hide.as_str(), "nftables"), (&without_qemu, "exec \"$@\"", "qemu-system")];
    for (config, script, package) in cases {
        let output = std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(&hostd)
            .arg("--config")
            .arg(config)
            .arg("check")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(package), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
    Ok(())
}
