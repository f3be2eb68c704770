//! `tenure-hostd sanitize` on a host of its own inside QEMU, with NVMe, SCSI, ATA and virtio disks
//! whose content this side can see.
//!
//! QEMU's NVMe disks know Format NVM with user data erase; they know neither its cryptographic
//! erase nor Sanitize, and its SCSI and ATA disks know neither SANITIZE nor the Security features:
//! those are tried on simulated disks, in the agent's own tests.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start processes and write files, as an operator would"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tenure_agent::{join, sign::HostKey};
use tenure_protocol::{
    digest::Digest,
    evidence::{
        dsse,
        key::PublicKey,
        predicate::{
            Category, DeviceSanitize, DeviceSanitizeIntent, Method, Predicate, WipeResult,
            device_sanitize::Stop,
        },
    },
    id::HostId,
};
use tenure_tests::{
    lab::{
        daemon::{output, run},
        guest,
    },
    scan,
};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const MARK: &[u8] = b"TENURE-DEVICE-MARK";
/// Size of each NVMe namespace.
const NAMESPACE: u64 = 24 * MIB;
/// The host is ended after so many seconds, whatever it does.
const LIMIT: &str = "480";

/// What the nested host answered to one try.
#[derive(Debug)]
struct Answer {
    lines: Vec<String>,
    code: String,
}

impl Answer {
    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Where the nested host's files and its disks' are.
struct Ground {
    dir: tempfile::TempDir,
    key: PublicKey,
}

impl Ground {
    /// `None`, with the reason on stderr, where it cannot be made.
    fn new() -> anyhow::Result<Option<Self>> {
        for tool in ["qemu-system-x86_64", "cpio"] {
            if run(&[tool, "--version"]).is_err() {
                eprintln!("SKIPPED: {tool} is not installed");
                return Ok(None);
            }
        }
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("root/t/state");
        for part in ["state", "volumes", "keys", "run", "modules"] {
            fs::create_dir_all(dir.path().join("root/t").join(part))?;
        }
        let key = HostKey::load_or_make(&join::key_path(&state))?;
        join::save_host_id(&state, HostId::from_uuid(Uuid::from_u128(7)))?;
        Ok(Some(Self { key: key.public().into(), dir }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A disk's file, every block of it with the mark.
    fn disk(&self, name: &str, bytes: u64) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        let file = File::create(&path)?;
        let block: Vec<u8> = MARK.iter().copied().cycle().take(1 << 20).collect();
        for at in 0..bytes / MIB {
            file.write_all_at(&block, at * MIB)?;
        }
        Ok(path)
    }

    /// One partition of the whole disk, as the master boot record has it.
    fn partition(&self, disk: &Path, bytes: u64) -> anyhow::Result<()> {
        let mut record = [0; 512];
        let first: u32 = 2048;
        record[446 + 4] = 0x83;
        record[446 + 8..446 + 12].copy_from_slice(&first.to_le_bytes());
        let sectors = u32::try_from(bytes / 512)? - first;
        record[446 + 12..446 + 16].copy_from_slice(&sectors.to_le_bytes());
        (record[510], record[511]) = (0x55, 0xaa);
        Ok(File::options().write(true).open(disk)?.write_all_at(&record, 0)?)
    }

    /// The initial RAM file system: tenure-hostd with its libraries, modules and the script, before
    /// the test guest's own.
    fn initrd(&self, image: &guest::Image) -> anyhow::Result<PathBuf> {
        let root = self.path("root");
        let test = std::env::current_exe()?;
        let hostd = test.ancestors().nth(2).context("no build")?.join("tenure-hostd");
        fs::copy(&hostd, root.join("t/tenure-hostd"))?;
        let libraries = run(&["ldd", hostd.to_str().context("UTF-8")?])?;
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().context("a parent")?)?;
            fs::copy(library, to)?;
        }
        let script = root.join("nested");
        fs::write(&script, include_str!("nested"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let config = "agent_uid = 990\nagent_gid = 990\nvmm_uid = 991\nvmm_gid = 991\n\
            state_dir = \"/t/state\"\nvolume_dir = \"/t/volumes\"\nkey_dir = \"/t/keys\"\n\
            run_dir = \"/t/run\"\nlog = \"warn\"\n";
        fs::write(root.join("t/hostd.toml"), config)?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let kept = workspace.join("target/guest-modules");
        run(&[
            &workspace.join("packaging/guest/modules").to_string_lossy(),
            &image.dir.to_string_lossy(),
            &kept.to_string_lossy(),
            "virtio_scsi",
            "sd_mod",
            "ata_piix",
        ])?;
        for entry in fs::read_dir(&kept)? {
            let path = entry?.path();
            let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
            if path.is_file() && !name.starts_with('.') {
                fs::copy(&path, root.join("t/modules").join(name))?;
            }
        }
        let initrd = self.path("initrd");
        let pack = format!(
            "cd '{}' && find . | cpio --quiet -o -H newc >'{}' && cat '{}' >>'{}'",
            root.display(),
            initrd.display(),
            image.dir.join(image.initrd.to_string()).display(),
            initrd.display()
        );
        run(&["sh", "-c", &pack])?;
        Ok(initrd)
    }
}

/// Boots the host and gives what it answered, by case.
fn boot(ground: &Ground) -> anyhow::Result<BTreeMap<String, Answer>> {
    let image = guest::image()?;
    let initrd = ground.initrd(&image)?;
    let drive = |id: &str, more: &str| {
        format!("if=none,id={id},format=raw,file={}{more}", ground.path(id).display())
    };
    let slow = ",throttling.bps-write=25165824";
    let append = format!("{} rdinit=/nested", image.cmdline);
    let kernel = image.dir.join(image.kernel.to_string());
    let mut argv: Vec<String> =
        ["timeout", "--foreground", "-k", "5", LIMIT].map(Into::into).into();
    argv.extend(["qemu-system-x86_64", "-M", "pc", "-accel", "tcg"].map(Into::into));
    argv.extend(["-cpu", "max"].map(Into::into));
    argv.extend(["-m", "768", "-nodefaults", "-nographic", "-no-reboot"].map(Into::into));
    argv.extend(["-serial", "stdio", "-append"].map(Into::into));
    argv.push(append);
    argv.extend(["-kernel".into(), kernel.to_string_lossy().into_owned()]);
    argv.extend(["-initrd".into(), initrd.to_string_lossy().into_owned()]);
    for (id, more) in
        [("a1", slow), ("a2", slow), ("b1", ""), ("virtio", ""), ("scsi", ""), ("ata", "")]
    {
        argv.extend(["-drive".to_owned(), drive(id, more)]);
    }
    for device in [
        "nvme,serial=TEN-1,id=a",
        "nvme-ns,bus=a,drive=a1,nsid=1",
        "nvme-ns,bus=a,drive=a2,nsid=2",
        "nvme,serial=TEN-2,id=b",
        "nvme-ns,bus=b,drive=b1,nsid=1",
        "virtio-blk-pci,drive=virtio,serial=TEN-V",
        "virtio-scsi-pci,id=s",
        "scsi-hd,bus=s.0,drive=scsi,serial=TEN-S",
        "ide-hd,drive=ata,serial=TEN-A",
    ] {
        argv.extend(["-device".to_owned(), device.to_owned()]);
    }
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let output = output(&argv, b"")?;
    let console = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    ensure!(
        console.contains("NESTED-END"),
        "the host did not come to its end: {console}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut answers = BTreeMap::new();
    for text in console.split("CASE ").skip(1) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let name = lines.remove(0);
        let end = lines.iter().position(|line| line.starts_with("RC ")).context("no exit code")?;
        let code = lines[end]["RC ".len()..].to_owned();
        lines.truncate(end);
        answers.insert(name, Answer { lines, code });
    }
    Ok(answers)
}

fn opened(answers: &BTreeMap<String, Answer>, case: &str, key: &PublicKey) -> (Digest, Predicate) {
    let bytes = STANDARD.decode(answers[case].lines[0].trim()).expect("base64");
    let statement = dsse::open_statement(&bytes, key).expect("signed by the host, and honest");
    (Digest::of(&bytes), statement.predicate().clone())
}

fn sanitized(answers: &BTreeMap<String, Answer>, case: &str, key: &PublicKey) -> DeviceSanitize {
    match opened(answers, case, key).1 {
        Predicate::DeviceSanitize(one) => one,
        other => panic!("{other:?}"),
    }
}

fn intent(
    answers: &BTreeMap<String, Answer>,
    case: &str,
    key: &PublicKey,
) -> (Digest, DeviceSanitizeIntent) {
    match opened(answers, case, key) {
        (digest, Predicate::DeviceSanitizeIntent(one)) => (digest, one),
        (_, other) => panic!("{other:?}"),
    }
}

/// Nothing was sent, and the sentence says why.
fn refusals(answers: &BTreeMap<String, Answer>) -> anyhow::Result<()> {
    for (case, says) in [
        ("wrong-serial", "the disk there is QEMU NVMe Ctrl, serial number \"TEN-1\", and not"),
        ("other-confirmed", "nothing was sent; to do it, add: --yes-destroy 'TEN-1'"),
        ("not-confirmed", "destroys all 25165824 bytes of unit 2"),
        ("partition", "is a partition: name the whole disk"),
        ("no-crypto", "does not have nvme-format-crypto; it has nvme-format-user-data"),
        ("no-sanitize", "does not have nvme-sanitize-block"),
        ("virtio", "is no NVMe, ATA or SCSI disk"),
        ("scsi", "What remains possible: wipe the tenants' volumes"),
        ("ata", "What remains possible: wipe the tenants' volumes"),
        ("mounted", "it is mounted at /t/volumes"),
        ("tenant-here", "volume 01890a5d-ac96-774b-bcce-b302099a8058"),
        ("tenant-perhaps", "has its key here, and its file is not at"),
        ("swap", "n2p1 is swapped to"),
        ("process", "has it open"),
    ] {
        let answer = &answers[case];
        assert_eq!(answer.code, "1", "{case}: {answer:?}");
        assert!(answer.text().contains(says), "{case}: {answer:?}");
        assert!(!answer.text().contains("durable"), "{case}: {answer:?}");
    }
    let left: u64 = answers["untouched"].lines[0].trim().parse()?;
    assert!(left > 0, "a refusal changes nothing");

    Ok(())
}

/// Killed after the first intent: the second supersedes it, and there is one statement.
fn taken_up_again(answers: &BTreeMap<String, Answer>, key: &PublicKey) {
    assert!(answers["killed"].text().contains("run.json"), "{:?}", answers["killed"]);
    assert!(!answers["killed"].text().contains("statement"), "{:?}", answers["killed"]);
    assert_eq!(answers["again"].code, "0", "{:?}", answers["again"]);
    let (first, announced) = intent(answers, "intent-1", key);
    let (second, again) = intent(answers, "intent-2", key);
    assert_eq!((announced.attempt.number, announced.attempt.supersedes), (1, None));
    assert_eq!((again.attempt.number, again.attempt.supersedes), (2, Some(first)));
    let stated = sanitized(answers, "statement-2", key);
    assert_eq!(stated.intent, second);
    assert_eq!(stated.parts.iter().map(|part| part.unit).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(stated.measured.commands.len(), 2);
}

#[test]
fn lab_disks_of_a_nested_host_are_erased_or_refused_and_the_statement_is_what_they_deserve()
-> anyhow::Result<()> {
    let Some(ground) = Ground::new()? else { return Ok(()) };
    for name in ["a1", "a2", "b1"] {
        let disk = ground.disk(name, NAMESPACE)?;
        assert!(scan::find(&disk, MARK)?.len() > 100_000);
    }
    ground.partition(&ground.path("a2"), NAMESPACE)?;
    for name in ["virtio", "scsi", "ata"] {
        ground.disk(name, 4 * MIB)?;
    }
    let answers = boot(&ground)?;

    refusals(&answers)?;
    taken_up_again(&answers, &ground.key);
    assert_eq!(answers["fresh"].code, "0", "{:?}", answers["fresh"]);
    assert_eq!(answers["copy"].lines, ["same"]);
    let stated = sanitized(&answers, "statement-2", &ground.key);
    let fresh = sanitized(&answers, "fresh-statement", &ground.key);
    assert_eq!((fresh.device.serial.as_str(), fresh.attempt.number), ("TEN-2", 1));
    for one in [&stated, &fresh] {
        let conclusion = one.conclusion();
        assert_eq!(conclusion.result, WipeResult::Pass, "{conclusion:?}");
        assert_eq!(conclusion.category, Category::Clear, "a format is no purge");
        assert_eq!((one.method, one.measured.stop), (Method::NvmeFormatUserData, Stop::Done));
        assert_eq!(one.origin.order.by.as_deref(), Some("tester"));
        let sample = one.measured.sample.context("it was read before and after")?;
        assert_eq!((sample.unchanged, sample.uniform), (0, sample.places));
    }
    for name in ["a1", "a2", "b1"] {
        assert_eq!(scan::find(&ground.path(name), MARK)?.len(), 0, "{name}: a mark is left");
    }
    Ok(())
}
