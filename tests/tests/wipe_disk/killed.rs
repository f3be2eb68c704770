//! Wipes whose process is killed, and whose host loses its power, at moments that nobody chose.

use std::process::Child;

use tenure_tests::lab::{daemon::elapse, storage::attach};

use super::*;

/// How often the process is killed.
const KILLS: u32 = 200;
/// How often the host loses its power.
const LOSSES: u32 = 16;
/// Of the volume.
const VOLUME_MIB: u64 = 12;

/// A wipe in a process of its own, which keeps its progress durable.
fn start(path: &Path, saved: &Path) -> anyhow::Result<Child> {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_tenure-wipe-probe"));
    Ok(probe
        .args([path.as_os_str(), saved.as_os_str(), "-".as_ref()])
        .stdout(Stdio::piped())
        .spawn()?)
}

/// What it says in the end, if it is not killed before.
fn said(probe: Child) -> anyhow::Result<Option<String>> {
    let output = probe.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?.trim().to_owned();
    Ok(output.status.success().then_some(said))
}

/// How often it was resumed, of a wipe that says that it passed.
fn resumed(said: &str) -> anyhow::Result<u32> {
    let (verdict, times) = said.split_once(" after ").context("no verdict")?;
    anyhow::ensure!(verdict.starts_with("Pass("), "{said}");
    Ok(times.parse()?)
}

/// Moments from 0 to so many ms, other ones each time (xorshift).
struct Moments(u64);

impl Moments {
    fn new() -> anyhow::Result<Self> {
        let seed = u64::try_from(UNIX_EPOCH.elapsed()?.as_nanos() % (1 << 60))?;
        println!("the moments' seed: {seed}");
        Ok(Self(seed | 1))
    }

    fn next(&mut self, ms: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % (ms * 1000))
    }
}

#[test]
fn a_wipe_that_is_killed_two_hundred_times_at_any_moment_passes_once_and_truly()
-> anyhow::Result<()> {
    let Some(ground) = Ground::new("anytime", 64, EXT4)? else { return Ok(()) };
    let saved = ground.disk.mount.with_extension("progress");
    let mut moments = Moments::new()?;
    let (mut kills, mut wipes, mut most) = (0, 0, 0);
    while kills < KILLS {
        let path = ground.volume(VOLUME_MIB)?;
        let _ = fs::remove_file(&saved);
        for tries in 0.. {
            let mut probe = start(&path, &saved)?;
            // Later and later: a machine that is busy must come to an end as well.
            elapse(moments.next(30 + 5 * tries));
            probe.kill()?;
            if let Some(said) = said(probe)? {
                most = most.max(resumed(&said)?);
                break;
            }
            kills += 1;
            // What it had unlinked when it was killed, it had measured and saved before.
            assert!(path.exists() || saved.exists());
        }
        assert!(!path.exists());
        assert_eq!(ground.marks()?, 0, "a pass that was none, after {kills} kills");
        wipes += 1;
    }
    println!("{kills} kills in {wipes} wipes, of which one was resumed {most} times");
    assert!(most > 0, "no kill met a wipe under way");
    Ok(())
}

#[test]
fn a_wipe_goes_on_after_its_host_lost_its_power_at_any_moment() -> anyhow::Result<()> {
    // A copy of a reflink is the device as it is in one moment, without what nobody flushed.
    let Some(outer) = Ground::new("outer", 400, XFS)? else { return Ok(()) };
    let backing = outer.path("inner.img");
    File::create(&backing)?.set_len(48 * MIB)?;
    let mount = outer.disk.mount.with_extension("inner");
    // Blocks of whole pages, which a loop device over XFS has for sectors.
    let mkfs = [EXT4, &["-b", "4096"]].concat();
    let mut inner = LoopDisk::over(backing.clone(), mount.clone(), &mkfs)?;
    let (text, at) = (backing.to_str().context("UTF-8")?, mount.to_str().context("UTF-8")?);
    // The progress is on the same device: it loses its power with it.
    let (path, saved) = (mount.join("volume"), mount.join("progress"));
    let (mut moments, mut under_way) = (Moments::new()?, 0);
    for round in 0..LOSSES {
        let _ = fs::remove_file(&saved);
        outer.plant(&File::create(&path)?, 0, VOLUME_MIB * MIB)?;
        run(&["sync", "-f", at])?;
        let mut probe = start(&path, &saved)?;
        elapse(moments.next(150));
        let copy = outer.path("copy.img");
        run(&["cp", "--reflink=always", text, copy.to_str().context("UTF-8")?])?;
        probe.kill()?;
        said(probe)?;
        run(&["umount", at])?;
        run(&["losetup", "-d", &inner.device])?;
        fs::rename(&copy, &backing)?;
        inner.device = attach(&backing)?;
        run(&["mount", &inner.device, at])?;

        let told = said(start(&path, &saved)?)?.with_context(|| format!("round {round}"))?;
        under_way += u32::from(resumed(&told)? > 0);
        assert!(!path.exists());
        run(&["sync", "-f", at])?;
        let left = scan::count(Path::new(&inner.device), &outer.mark)?;
        assert_eq!(left, 0, "round {round}: {told}");
    }
    println!("{under_way} of {LOSSES} losses of power met a wipe under way");
    assert!(under_way > 0, "no loss of power met a wipe under way");
    Ok(())
}
