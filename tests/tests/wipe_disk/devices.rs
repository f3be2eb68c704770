//! Whole block devices and partitions as volumes: taken, wiped, refused.

use tenure_agent::host::{
    disk::BlockDevice,
    volume::{VolumeFailure, VolumeStore},
};
use tenure_protocol::id::VolumeId;
use tenure_tests::lab::storage::{Partitions, attach};

use super::*;

/// Partitions of these sizes, MiB, with a mark all over them.
struct Marked {
    disk: Partitions,
    mark: Vec<u8>,
    dir: tempfile::TempDir,
}

impl Marked {
    fn new(name: &str, sizes_mib: &[u64]) -> anyhow::Result<Option<Self>> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: loop devices need root");
            return Ok(None);
        }
        let dir = tempfile::Builder::new().prefix("tenure-wipe-").tempdir_in("/var/tmp")?;
        let disk = Partitions::create(dir.path().join("disk.img"), sizes_mib)?;
        let mark = format!("TENURE-WIPE-MARK:{}:{name}:", std::process::id()).into_bytes();
        Ok(Some(Self { disk, mark, dir }))
    }

    fn plant(&self, device: &Path) -> anyhow::Result<u64> {
        let bytes = BlockDevice::look(device)?.bytes;
        plant(&self.mark, &File::options().write(true).open(device)?, 0, bytes)?;
        Ok(bytes)
    }

    /// Marks on the whole device, the partitions' neighbours too.
    fn marks(&self) -> anyhow::Result<usize> {
        scan::count(Path::new(&self.disk.device), &self.mark)
    }
}

fn of_device(path: &Path) -> anyhow::Result<DiskWipe> {
    Ok(DiskWipe { device: Some(BlockDevice::look(path)?), ..request(path) })
}

fn run_wipe(wipe: &DiskWipe) -> Result<DiskMeasurement, DiskFailure> {
    disk::wipe(wipe, &mut |_| ControlFlow::Continue(()))
}

#[test]
fn a_partition_is_wiped_to_its_last_byte_and_its_neighbours_are_not_touched() -> anyhow::Result<()>
{
    let Some(ground) = Marked::new("partition", &[3, 10, 3])? else { return Ok(()) };
    for part in &ground.disk.parts {
        ground.plant(part)?;
    }
    assert_eq!(ground.marks()?, 16 * 256, "before");
    let middle = &ground.disk.parts[1];
    let measurement = run_wipe(&of_device(middle)?)?;
    assert_eq!(ground.marks()?, 6 * 256, "the neighbours' alone are left");
    assert_passes(&measurement);
    let measured = &measurement.measured;
    assert_eq!(measured.file_system.kind, FileSystemKind::None);
    assert_eq!((measured.file_bytes, measured.extents_before.count), (10 * MIB, 1));
    assert!(!measured.unlinked && middle.exists());
    let kinds: Vec<_> = measured.topology.iter().map(|layer| layer.kind).collect();
    assert_eq!(kinds[..2], [LayerKind::Partition, LayerKind::Loop]);
    assert_eq!(measured.topology[1].offset_bytes, 4 * MIB);

    // Two passes and two read-backs of 3 MiB, at most 6 MiB a second, but for the first piece.
    let limit = std::num::NonZeroU64::new(6 * MIB);
    let began = std::time::Instant::now();
    assert_passes(&run_wipe(&DiskWipe { limit, ..of_device(&ground.disk.parts[0])? })?);
    assert!(began.elapsed().as_millis() >= 1800, "{:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_device_that_nobody_could_tell_from_another_or_that_lies_on_a_copying_file_is_not_known()
-> anyhow::Result<()> {
    let Some(ground) = Ground::new("known", 320, BTRFS)? else { return Ok(()) };
    let file = ground.path("device.img");
    fs::write(&file, vec![0; 8 << 20])?;
    let device = PathBuf::from(attach(&file)?);
    let found = BlockDevice::look(&device);
    run(&["losetup", "-d", device.to_str().context("UTF-8")?])?;
    let refused = found.expect_err("on btrfs").to_string();
    assert!(refused.contains("old blocks would stay"), "{refused}");

    let dir = tempfile::Builder::new().prefix("tenure-wipe-").tempdir_in("/var/tmp")?;
    let image = dir.path().join("two.img");
    fs::write(&image, vec![0; 16 << 20])?;
    let image = image.to_str().context("UTF-8")?;
    let offset = ["losetup", "--find", "--show", "--offset", "8388608", "--sizelimit", "8388608"];
    let half = ["losetup", "--find", "--show", "--sizelimit", "8388608"];
    let first = run(&[half.as_slice(), &[image]].concat())?;
    let second = run(&[offset.as_slice(), &[image]].concat())?;
    let looks = [&first, &second].map(|name| BlockDevice::look(Path::new(name.trim())));
    for name in [&first, &second] {
        run(&["losetup", "-d", name.trim()])?;
    }
    let [first, second] = looks;
    assert!(!first?.is(&second?), "two parts of one file are two devices");
    Ok(())
}

#[test]
fn a_whole_device_is_wiped_and_an_interrupted_wipe_goes_on() -> anyhow::Result<()> {
    let Some(ground) = Marked::new("whole", &[])? else { return Ok(()) };
    let file = ground.dir.path().join("whole.img");
    run(&["fallocate", "-l", "200MiB", file.to_str().context("UTF-8")?])?;
    let device = PathBuf::from(attach(&file)?);
    let outcome = (|| -> anyhow::Result<()> {
        ground.plant(&device)?;
        assert_eq!(scan::count(&device, &ground.mark)?, 200 * 256);
        let (mut saved, mut saves) = (None, 0);
        let stopped = disk::wipe(&of_device(&device)?, &mut |progress| {
            saves += 1;
            saved = Some(progress.clone());
            let inside = progress.course().stage() == Stage::Write(Pattern::Zeros)
                && progress.course().offset() > 0;
            if inside { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(stopped.expect_err("stopped").code(), "stopped");
        let resumed = run_wipe(&DiskWipe { resume: saved.clone(), ..of_device(&device)? })?;
        assert_passes(&resumed);
        assert_eq!(resumed.interruptions, 1);
        assert_eq!(scan::count(&device, &ground.mark)?, 0);
        let smaller = BlockDevice { bytes: 199 * MIB, ..BlockDevice::look(&device)? };
        let other = DiskWipe { device: Some(smaller), resume: saved, ..request(&device) };
        assert_eq!(run_wipe(&other).expect_err("another").code(), "other-than-known");
        Ok(())
    })();
    run(&["losetup", "-d", device.to_str().context("UTF-8")?])?;
    outcome
}

#[test]
fn a_device_that_is_used_or_is_another_is_refused_and_left_as_it_was() -> anyhow::Result<()> {
    let Some(ground) = Marked::new("refused", &[20, 20])? else { return Ok(()) };
    let (first, second) = (&ground.disk.parts[0], &ground.disk.parts[1]);
    ground.plant(second)?;
    let marks = ground.marks()?;
    let code = |wipe: &DiskWipe| run_wipe(wipe).map_or_else(|failure| failure.code(), |_| "wiped");

    let wipe = of_device(second)?;
    let reader = File::open(second)?;
    assert_eq!(code(&wipe), "held", "open elsewhere");
    drop(reader);
    let text = second.to_str().context("UTF-8")?;
    let above = run(&["losetup", "--find", "--show", text])?;
    let refused = code(&wipe);
    run(&["losetup", "-d", above.trim()])?;
    assert_eq!(refused, "held", "a loop device over it");
    assert_eq!(code(&DiskWipe { vmm_dead: false, ..wipe.clone() }), "vmm-alive");
    let known = Some(BlockDevice::look(first)?);
    assert_eq!(code(&DiskWipe { device: known, ..wipe.clone() }), "other-than-known");
    let file = ground.dir.path().join("file");
    fs::write(&file, "no device")?;
    assert_eq!(code(&DiskWipe { path: file, ..wipe.clone() }), "not-a-device");
    let nowhere = ground.dir.path().join("nowhere");
    assert_eq!(code(&DiskWipe { path: nowhere, ..wipe.clone() }), "absent");
    assert_eq!(code(&request(second)), "not-a-file", "a device is wiped as one alone");
    assert_eq!(ground.marks()?, marks, "nothing was written");

    let mount = ground.dir.path().join("mount");
    fs::create_dir(&mount)?;
    run(&["mkfs.ext4", "-q", "-F", first.to_str().context("UTF-8")?])?;
    run(&["mount", first.to_str().context("UTF-8")?, mount.to_str().context("UTF-8")?])?;
    let refused = code(&of_device(first)?);
    run(&["umount", mount.to_str().context("UTF-8")?])?;
    assert_eq!(refused, "held", "mounted");
    Ok(())
}

#[test]
fn a_volume_takes_the_smallest_blank_device_and_gives_it_back_wiped() -> anyhow::Result<()> {
    let Some(ground) = Marked::new("pool", &[40, 24, 12, 24])? else { return Ok(()) };
    if run(&["qemu-img", "--version"]).is_err() {
        eprintln!("SKIPPED: qemu-img is not installed");
        return Ok(());
    }
    let parts = &ground.disk.parts;
    ground.plant(&parts[1])?;
    let (volumes, keys) = (ground.dir.path().join("volumes"), ground.dir.path().join("keys"));
    for dir in [&volumes, &keys] {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().mode(0o700).create(dir)?;
    }
    let store = VolumeStore::new(&volumes, parts, &keys, Path::new("qemu-img"));
    let id = |low: u128| VolumeId::from_uuid(uuid::Uuid::from_u128((7 << 76) + low));
    let (one, two, three) = (id(1), id(2), id(3));

    // 12 MiB are too few, and one of those of 24 holds data.
    let made = store.create(one, 16 * MIB)?;
    assert_eq!((&made.path, made.size_bytes), (&parts[3], 16 * MIB));
    assert_eq!(store.create(one, 16 * MIB)?, made, "made once");
    assert!(matches!(store.create(one, 8 * MIB), Err(VolumeFailure::SizeDiffers { .. })));
    assert!(store.is_complete(one)? && store.opens(one, &store.key(one)?)?);
    assert_eq!(store.create(two, 16 * MIB)?.path, parts[0]);
    let refused = store.create(three, 16 * MIB).expect_err("full").to_string();
    for word in ["another volume is on it", "it holds data", "it has 12582912 bytes"] {
        assert!(refused.contains(word), "{refused}");
    }
    // One that was half made is overwritten at its head, and its device is free.
    let record = |end: &str| volumes.join(format!("{two}.{end}"));
    fs::rename(record("device"), record("device.partial"))?;
    assert!(!store.is_complete(two)? && scan::count(&parts[0], b"LUKS")? > 0);
    store.remove_partial(two)?;
    assert_eq!(scan::count(&parts[0], b"LUKS")?, 0);
    assert_eq!(store.create(two, 16 * MIB)?.path, parts[0]);
    // One whose device is away is no other's.
    let other = fs::read_to_string(record("device"))?.replace("at byte", "at another byte");
    fs::write(record("device"), other)?;
    let gone = store.place(two).expect_err("gone").to_string();
    assert!(gone.contains("attach it again"), "{gone}");
    assert!(store.is_complete(two).is_err());
    fs::remove_file(record("device"))?;

    let held = store.open(one)?;
    assert!(store.open(one).is_err(), "claimed by one machine alone");
    drop(held);

    let place = store.place(one)?;
    let wipe = DiskWipe { path: place.path, device: place.device, ..request(Path::new("")) };
    assert_passes(&run_wipe(&wipe)?);
    assert!(!store.opens(one, &store.key(one)?)?, "its header is gone");
    store.remove(one)?;
    assert!(!store.is_complete(one)?);
    assert_eq!(store.create(three, 16 * MIB)?.path, parts[3], "free again");
    Ok(())
}
