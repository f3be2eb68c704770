//! A person on the host cuts a tenant with no controller at all: through the operators' socket, on
//! the real packet filter.

use std::{
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, OnceLock, mpsc::sync_channel},
    thread,
};

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use tenure_agent::{
    alarm::Alarms,
    clock::Clock,
    core::{
        record::{Change, Fate, TenantRecord},
        ruleset::TapName,
        step::Step,
    },
    engine::{Engine, EngineFailure, Identity, Parts, local::LocalAnswer},
    host::{real::RealHost, tap as device},
    journal::Journal,
    operator::{self, Door, OperatorAsk, account, client},
    sign::HostKey,
};
use tenure_protocol::{
    digest::Digest,
    evidence::{note::LedgerKey, predicate::AgentIdentity, predicate::network_cut::Direction},
    generation::Generation,
    id::{HostId, TenantId},
    wire::v1::{Lane, Network, TenantWanted, Thresholds},
};
use tenure_tests::lab::{
    daemon::{run, wait_for},
    frames::Wire,
};

use super::{A, BRIDGE, Tested, on_a_host, sealing::Site};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// A tenant that is on this host.
fn tenant() -> anyhow::Result<TenantId> {
    Ok("01890a5d-ac96-774b-bcce-b302099a8057".parse()?)
}

fn identity() -> anyhow::Result<Identity> {
    let host: HostId = "01890a5d-ac96-774b-bcce-b302099a8058".parse()?;
    let key = SigningKey::from_bytes(&[1; 32]);
    Ok(Identity {
        host: OnceLock::from(host),
        key: HostKey::from_secret(&[3; 32]),
        order_key: key.verifying_key(),
        ledger_key: LedgerKey::new("ledger.test", key.verifying_key())?,
        agent: AgentIdentity {
            version: "0".to_owned(),
            binary: Digest::of(b"binary"),
            boot_id: "boot".to_owned(),
            kernel: "6".to_owned(),
        },
    })
}

/// The privileged side as tenure-hostd puts it together, without a network side.
fn start(dir: &Path, host: RealHost) -> anyhow::Result<Engine> {
    Ok(Engine::start(Parts {
        host: Arc::new(host),
        cut_journal: Journal::open(&dir.join("cut.redb"))?,
        work_journal: Journal::open(&dir.join("work.redb"))?,
        watch: sync_channel(64).0,
        reserve: Arc::default(),
        identity: Arc::new(identity()?),
        clock: Clock::default(),
        alarms: Arc::new(Alarms::open(&dir.join("alarms"))),
    })?)
}

fn open(path: &Path, engine: &Engine, refused: [u32; 2]) -> Tested {
    let gid = nix::unistd::getegid().as_raw();
    let listener: UnixListener = operator::listen(path, gid)?;
    let door = Door { cut: engine.inbox(Lane::Cut), roster: engine.roster(), refused };
    thread::spawn(move || operator::serve(&listener, door));
    Ok(())
}

fn act(path: &Path, tenant: TenantId, direction: Direction) -> anyhow::Result<LocalAnswer> {
    let (reason, by) = ("flood".to_owned(), Some("wang.lei".to_owned()));
    Ok(client::ask(path, &OperatorAsk::Act { tenant, direction, reason, by })?)
}

/// Whether the kernel has the tenant's mark among those that are cut.
fn is_cut() -> anyhow::Result<bool> {
    let set = run(&["nft", "list", "set", "bridge", "tenure_cut", "cut_tenant"])?;
    Ok(set.contains("0x00000101"))
}

fn code(answer: &LocalAnswer) -> &str {
    match answer {
        LocalAnswer::Refused { code, .. } | LocalAnswer::NotYet { code, .. } => code,
        LocalAnswer::Done { .. } => "done",
        LocalAnswer::Status(_) => "status",
    }
}

#[test]
fn an_operator_cuts_and_restores_on_the_host_alone_and_the_agents_user_cannot() -> Tested {
    on_a_host("local cut", |_| {
        let dir = tempfile::tempdir()?;
        let site = Site::open(dir.path())?;
        site.perform(&Step::EnsureBridge { bridge: BRIDGE.to_owned() })?;
        let tap = TapName::parse("tap-a1")?;
        site.plug(&tap, A)?;
        let guest = wait_for("the tap to be free", LIMIT, || {
            Ok(device::ensure_tap(&tap, BRIDGE, || ()).ok())
        })?;
        let _guest = Wire::tap(guest)?;
        let Site { host, config } = site;
        let network = Network { address: [10, 0, 0, 0], prefix: 24, gateway: [10, 0, 0, 1] };
        let thresholds = Thresholds {
            packets_per_s: 1_000_000,
            connections_per_s: 100_000,
            disk_bytes_per_s: 1 << 40,
            steal_permille: 1_000,
        };
        let mut work = Journal::open(&dir.path().join("work.redb"))?;
        work.commit(vec![Change::Tenant(TenantRecord {
            tenant: tenant()?,
            generation: Generation(1),
            wanted: TenantWanted { mark: A, network, instances: Vec::new(), thresholds },
            inventory: std::collections::BTreeMap::new(),
            fate: Fate::Live,
            last_intent: None,
        })])?;
        drop(work);
        let engine = start(dir.path(), host)?;
        let own = nix::unistd::geteuid().as_raw();
        let (closed, opened) = (dir.path().join("closed.sock"), dir.path().join("operator.sock"));
        open(&closed, &engine, [own, own])?;
        open(&opened, &engine, [config.agent_uid, config.vmm_uid])?;

        let refused = act(&closed, tenant()?, Direction::Cut);
        ensure!(refused.is_err() && !is_cut()?, "the agent's user: {refused:?}");
        let unknown = "01890a5d-ac96-774b-bcce-b302099a8059".parse()?;
        assert_eq!(code(&act(&opened, unknown, Direction::Cut)?), "unknown-tenant");
        assert_eq!(code(&act(&opened, tenant()?, Direction::Restore)?), "not-cut");
        ensure!(!is_cut()?);

        let done = act(&opened, tenant()?, Direction::Cut)?;
        let (lines, is_done) = account::of(&done);
        let text = lines.join("\n");
        ensure!(is_done && is_cut()?, "{text}");
        for words in ["is cut on this host", "t0  ", "1 of 1 taps", "proof    holds", "wang.lei"] {
            ensure!(text.contains(words), "{words:?} is not in:\n{text}");
        }
        assert_eq!(code(&act(&opened, tenant()?, Direction::Cut)?), "cut-here");

        ensure!(matches!(engine.stop(), EngineFailure::Stopped));
        let again = || Ok(RealHost::open(&config).ok());
        let engine = start(dir.path(), wait_for("the table to be free", LIMIT, again)?)?;
        ensure!(is_cut()?, "through a restart");
        open(&opened, &engine, [config.agent_uid, config.vmm_uid])?;
        let (lines, _) = account::of(&client::ask(&opened, &OperatorAsk::Status)?);
        let line = lines.first().context("a tenant")?;
        ensure!(line.contains("cut here by wang.lei") && line.contains("flood"), "{line}");

        let (lines, _) = account::of(&act(&opened, tenant()?, Direction::Restore)?);
        let text = lines.join("\n");
        ensure!(text.contains("is connected again") && !is_cut()?, "{text}");
        engine.stop();
        Ok(())
    })
}
