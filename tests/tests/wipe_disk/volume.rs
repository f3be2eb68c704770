//! The wipe of a whole volume, key and blocks, as the agent does it: where its blocks cannot be
//! reached, its key is destroyed all the same, and nobody states more than that.

use tenure_agent::{
    config::HostdConfig,
    core::{
        attest,
        step::{Host as _, Performed, Step, VolumeWipe, WipeFacts},
    },
    host::real::RealHost,
};
use tenure_protocol::{
    evidence::predicate::{
        Category, KeyErasureMeasured, Measured as _, MediaWipeMeasured, WipeResult,
        key_erasure::{Escrow, KeyPlace},
    },
    id::{InstanceId, VolumeId},
};
use tenure_tests::lab::net::{Netns, can_run};

use super::*;

const VOLUME: VolumeId = VolumeId::from_uuid(uuid::Uuid::from_u128(0x0189_0a5d_ac96_774b << 64));
const INSTANCE: InstanceId = InstanceId::from_uuid(uuid::Uuid::from_u128(1));

/// A host with one volume in a file system of its own.
struct Volume<'a> {
    ground: &'a Ground,
    host: RealHost,
    path: PathBuf,
    key_path: PathBuf,
    /// The key, as its file has it.
    key: Vec<u8>,
}

impl<'a> Volume<'a> {
    /// To be called in a network namespace of its own, for the host's packet filter.
    fn create(ground: &'a Ground, key_dir: &Path) -> anyhow::Result<Self> {
        let volume_dir = ground.path("volumes");
        for dir in [&volume_dir, key_dir] {
            tenure_agent::file::directory(dir, 0o700, None)?;
        }
        let state = ground.disk.mount.with_extension("state");
        let config: HostdConfig = toml::from_str(&format!(
            "agent_uid = 1\nagent_gid = 1\nvmm_uid = 2\nvmm_gid = 2\nstate_dir = {state:?}\n\
             run_dir = {state:?}\nram_dir = {state:?}\nvolume_dir = {volume_dir:?}\n\
             key_dir = {key_dir:?}\nimage_dir = {state:?}\n",
        ))?;
        let host = RealHost::open(&config)?;
        let path = volume_dir.join(format!("{VOLUME}.luks"));
        let key_path = key_dir.join(format!("{VOLUME}.key"));
        let mut volume = Self { ground, host, path, key_path, key: Vec::new() };
        volume.perform(&Step::CreateVolume { volume: VOLUME, size_bytes: 8 * MIB })?;
        volume.key = fs::read(&volume.key_path)?[..64].to_vec();
        Ok(volume)
    }

    fn perform(&self, step: &Step) -> anyhow::Result<Performed> {
        let performed = self.host.perform(step, &mut |_| {});
        performed.map_err(|failure| anyhow::anyhow!("{}: {failure}", step.name()))
    }

    fn wipe(&self) -> anyhow::Result<WipeFacts> {
        let wipe = VolumeWipe { instance: INSTANCE, volume: VOLUME, nonce: [7; 32], resume: None };
        match self.perform(&Step::WipeVolume(wipe))? {
            Performed::Wiped(facts) => Ok(*facts),
            other => anyhow::bail!("{other:?}"),
        }
    }

    /// How often something is on the device.
    fn count(&self, what: &[u8]) -> anyhow::Result<usize> {
        run(&["sync", "-f", self.ground.disk.mount.to_str().context("UTF-8")?])?;
        scan::count(Path::new(&self.ground.disk.device), what)
    }
}

fn parts(facts: &WipeFacts) -> anyhow::Result<(&MediaWipeMeasured, &KeyErasureMeasured, String)> {
    match facts {
        WipeFacts::Volume { media, key, not_measured, .. } => {
            let reasons = not_measured.iter().map(|one| one.reason.as_str());
            Ok((media, key, reasons.collect::<Vec<_>>().join("\n")))
        }
        WipeFacts::Memory { .. } => anyhow::bail!("{facts:?}"),
    }
}

/// The key is destroyed, no block is written, and neither counts as a wipe.
fn assert_key_alone(volume: &Volume<'_>, reason: &str) -> anyhow::Result<()> {
    let before = fs::read(&volume.path)?;
    let facts = volume.wipe()?;
    let (media, key, reasons) = parts(&facts)?;
    assert!(reasons.contains(reason), "{reasons}");
    let concluded = media.conclude();
    assert_eq!((concluded.result, concluded.category), (WipeResult::Aborted, Category::None));
    assert!(media.passes.is_empty());
    assert!(fs::read(&volume.path)? == before, "the volume was written to");

    assert!(!volume.key_path.exists());
    let file = key.copies.iter().find(|copy| copy.place == KeyPlace::KeyFile).context("no copy")?;
    assert!(file.destroyed, "{file:?}");
    assert_eq!((key.escrow, key.header), (Escrow::None, None));
    assert!(key.encrypted_from_first_byte);
    let concluded = key.conclude();
    assert_eq!((concluded.result, concluded.category), (WipeResult::Failed, Category::None));
    let header = "the encryption header was not read back as zeros from the block device";
    assert!(concluded.shortcomings.contains(&header.to_owned()), "{concluded:?}");
    assert!(!attest::passes(&facts));
    Ok(())
}

/// Whether this machine can do it.
fn possible(test: &str) -> bool {
    let image = run(&["qemu-img", "--version"]).is_ok();
    if !image {
        eprintln!("SKIPPED: qemu-img is not installed");
    }
    image && can_run(test)
}

#[test]
fn on_btrfs_the_key_is_destroyed_and_the_statements_say_that_no_block_was() -> anyhow::Result<()> {
    if !possible("volume-btrfs") {
        return Ok(());
    }
    let Some(ground) = Ground::new("volume", 128, BTRFS)? else { return Ok(()) };
    let keys = ground.disk.mount.with_extension("keys");
    Netns::unique("btrfs")?.within(|| {
        let volume = Volume::create(&ground, &keys)?;
        assert_key_alone(&volume, "neither ext4 nor XFS: only the erasure of its key counts")?;
        // Nor does another attempt find more.
        assert_key_alone(&volume, "neither ext4 nor XFS: only the erasure of its key counts")
    })?
}

#[test]
fn a_key_that_its_file_system_keeps_elsewhere_is_not_said_to_be_destroyed() -> anyhow::Result<()> {
    if !possible("volume-elsewhere") {
        return Ok(());
    }
    let Some(ground) = Ground::new("volume", 96, EXT4)? else { return Ok(()) };
    let mount = ground.disk.mount.to_str().context("UTF-8")?;
    run(&["umount", mount])?;
    run(&["mount", "-o", "data=journal", &ground.disk.device, mount])?;
    Netns::unique("elsewhere")?.within(|| {
        let volume = Volume::create(&ground, &ground.path("keys"))?;
        // The second attempt must not forget what the first has seen.
        for _ in 0..2 {
            let facts = volume.wipe()?;
            let (_, key, _) = parts(&facts)?;
            assert!(!volume.key_path.exists());
            let file = key.copies.iter().find(|copy| copy.place == KeyPlace::KeyFile);
            let file = file.context("no copy")?;
            assert!(!file.destroyed && file.detail.contains("journal"), "{file:?}");
            assert_eq!(key.conclude().category, Category::None);
        }
        assert!(volume.count(&volume.key)? > 0, "it is in the journal, overwritten or not");
        Ok(())
    })?
}

#[test]
fn a_reflinked_volume_loses_its_key_and_is_wiped_whole_once_the_other_copy_is_gone()
-> anyhow::Result<()> {
    if !possible("volume-reflink") {
        return Ok(());
    }
    let reflink = [XFS, &["-m", "reflink=1"]].concat();
    let Some(ground) = Ground::new("volume", 320, &reflink)? else { return Ok(()) };
    Netns::unique("reflink")?.within(|| {
        let volume = Volume::create(&ground, &ground.path("keys"))?;
        assert!(volume.count(&volume.key)? > 0, "the key is on the device");
        let copy = ground.path("copy");
        let (from, to) = (volume.path.to_str().context("UTF-8")?, copy.to_str().context("UTF-8")?);
        run(&["cp", "--reflink=always", from, to])?;
        assert_key_alone(&volume, "it shares extents with another file (reflink)")?;
        assert_eq!(volume.count(&volume.key)?, 0, "the key is nowhere on the device");

        assert!(volume.count(b"LUKS\xba\xbe\x00\x01")? > 0);
        fs::remove_file(&copy)?;
        let facts = volume.wipe()?;
        let (media, key, _) = parts(&facts)?;
        assert!(matches!(Verdict::of(media), Verdict::Pass(_)), "{media:#?}");
        let concluded = key.conclude();
        assert_eq!((concluded.result, concluded.category), (WipeResult::Pass, Category::Clear));
        assert!(attest::passes(&facts) && !volume.path.exists());
        assert_eq!(volume.count(b"LUKS\xba\xbe\x00\x01")?, 0);
        Ok(())
    })?
}
