//! What is not overwritten: it stays as it was, and the reason is told.

use std::os::fd::AsRawFd as _;

use super::*;

#[test]
fn what_overwriting_in_place_cannot_reach_is_refused_and_left_as_it_was() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("refused", 320, XFS)? else { return Ok(()) };
    let path = ground.volume(2)?;
    let copy = ground.path("copy");
    let (from, to) = (path.to_str().context("UTF-8")?, copy.to_str().context("UTF-8")?);
    run(&["cp", "--reflink=always", from, to])?;
    assert_eq!(code(&path), "shared-extent");
    fs::remove_file(&copy)?;

    fs::hard_link(&path, &copy)?;
    assert_eq!(code(&path), "hard-links");
    fs::remove_file(&copy)?;

    let reader = File::open(&path)?;
    let failure = wipe(&path).expect_err("open elsewhere");
    assert_eq!(failure.code(), "held");
    assert!(failure.to_string().contains(&format!("({})", std::process::id())), "{failure}");
    drop(reader);

    let device = run(&["losetup", "--find", "--show", from])?;
    let refused = code(&path);
    run(&["losetup", "-d", device.trim()])?;
    assert_eq!(refused, "held", "a loop device over it");

    std::os::unix::fs::symlink(&path, &copy)?;
    assert_eq!(code(&copy), "not-a-file");
    assert_eq!(code(&ground.disk.mount), "not-a-file");
    assert_eq!(code(&ground.path("nothing")), "absent");
    let alive = DiskWipe { vmm_dead: false, ..request(&path) };
    let refused = disk::wipe(&alive, &mut |_| ControlFlow::Continue(()));
    assert_eq!(refused.expect_err("alive").code(), "vmm-alive");
    assert_eq!(ground.marks()?, 2 * 256, "nothing was written");
    assert_eq!(code(&path), "wiped");
    assert_eq!(ground.marks()?, 0);
    Ok(())
}

#[test]
fn a_mapping_alone_keeps_a_file_from_being_wiped() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("mapped", 32, EXT4)? else { return Ok(()) };
    let path = ground.volume(1)?;
    let file = File::options().read(true).write(true).open(&path)?;
    let length = std::num::NonZeroUsize::new(4096).context("not 0")?;
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
    #[allow(unsafe_code, reason = "the test must hold a mapping")]
    // SAFETY: a fresh mapping of a file, never read or written, unmapped below.
    let address =
        unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, &file, 0) }?;
    drop(file);
    let refused = code(&path);
    #[allow(unsafe_code, reason = "the test must hold a mapping")]
    // SAFETY: the mapping made above, of the same length.
    unsafe { munmap(address, 4096) }?;
    assert_eq!(refused, "held");
    assert_eq!(code(&path), "wiped");
    Ok(())
}

#[test]
fn other_file_systems_and_journalled_content_are_refused() -> anyhow::Result<()> {
    let shm = tempfile::Builder::new().prefix("tenure-wipe-").tempdir_in("/dev/shm")?;
    fs::write(shm.path().join("volume"), "content")?;
    assert_eq!(code(&shm.path().join("volume")), "file-system");

    if let Some(ground) = Ground::new("btrfs", 128, BTRFS)? {
        let path = ground.volume(1)?;
        assert_eq!(code(&path), "file-system");
    }
    if let Some(ground) = Ground::new("journal", 32, EXT4)? {
        // As `chattr +j`, for which some machines' root lacks CAP_SYS_RESOURCE.
        let path = ground.volume(1)?;
        ground.unmounted(|ground| {
            let flag = ["debugfs", "-w", "-R", "set_inode_field /volume flags 0x84000"];
            run(&[&flag[..], &[&ground.disk.device]].concat())
        })?;
        let flags = run(&["lsattr", path.to_str().context("UTF-8")?])?;
        assert!(flags.split(' ').next().is_some_and(|flags| flags.contains('j')), "{flags}");
        assert_eq!(code(&path), "journalled-content");

        let mount = ground.disk.mount.to_str().context("UTF-8")?;
        run(&["umount", mount])?;
        run(&["mount", "-o", "data=journal", &ground.disk.device, mount])?;
        let path = ground.path("other");
        ground.plant(&File::create(&path)?, 0, MIB)?;
        assert_eq!(code(&path), "journalled-content");
        assert_eq!(ground.marks()?, 3 * 256, "one of them in the journal, too");
    }
    let by_default = ["sh", "-c", "mkfs.ext4 -q -F $0 && tune2fs -o journal_data $0"];
    if let Some(ground) = Ground::new("journal", 32, &by_default)? {
        let path = ground.volume(1)?;
        assert_eq!(code(&path), "journalled-content");
    }
    Ok(())
}

#[test]
fn a_file_that_is_opened_during_its_wipe_does_not_pass() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("opened", 64, EXT4)? else { return Ok(()) };
    let path = ground.volume(4)?;
    let mut opened = None;
    let measurement = disk::wipe(&request(&path), &mut |progress| {
        if progress.course().stage() == Stage::Write(Pattern::Zeros) && opened.is_none() {
            // Without waiting for the lease to end; the lease is broken all the same.
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
            opened = Some(options.read(true).open(&path).is_ok());
        }
        ControlFlow::Continue(())
    })?;
    assert!(opened.is_some());
    assert_eq!(measurement.measured.writers.open_files, 1);
    assert!(matches!(Verdict::of(&measurement.measured), Verdict::Failed(_)));
    Ok(())
}

#[test]
fn a_descriptor_of_this_process_is_told_from_the_wipes_own() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("own", 32, EXT4)? else { return Ok(()) };
    let path = ground.volume(1)?;
    let writer = File::options().write(true).open(&path)?;
    let failure = wipe(&path).expect_err("held by ourselves");
    assert!(failure.to_string().contains("open, mapped or mounted"), "{failure}");
    assert!(writer.as_raw_fd() > 2);
    Ok(())
}

#[test]
fn a_name_that_is_a_mount_of_its_own_keeps_a_file_from_being_wiped() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("bound", 64, EXT4)? else { return Ok(()) };
    let path = ground.volume(1)?;
    let (from, at) = (path.to_str().context("UTF-8")?, ground.path("a name"));
    let at = at.to_str().context("UTF-8")?;
    File::create(at)?;
    run(&["mount", "--bind", from, at])?;
    let failure = wipe(&path);
    run(&["umount", at])?;
    let failure = failure.expect_err("mounted");
    assert_eq!(failure.code(), "held");
    assert!(failure.to_string().contains(at), "{failure}");

    // In a mount namespace of which this process sees nothing.
    let script = "mount --bind \"$0\" \"$1\" && echo mounted && read -r end";
    let mut hidden = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, from, at])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(hidden.stdout.take().context("no output")?).read_line(&mut line)?;
    let refused = code(&path);
    hidden.kill()?;
    hidden.wait()?;
    assert_eq!((line.trim(), refused), ("mounted", "held"));
    assert_eq!(ground.marks()?, 256, "nothing was written");
    assert_eq!(code(&path), "wiped");
    Ok(())
}

#[test]
fn a_machine_that_lives_keeps_its_volume_whatever_the_caller_thinks() -> anyhow::Result<()> {
    let Some(ground) = Ground::new("lives", 64, EXT4)? else { return Ok(()) };
    if run(&["qemu-system-x86_64", "--version"]).is_err() {
        eprintln!("SKIPPED: qemu-system-x86_64 is not installed");
        return Ok(());
    }
    let path = ground.volume(4)?;
    let drive = format!("file={},if=none,format=raw,cache=none", path.display());
    let mut machine = Command::new("qemu-system-x86_64")
        .args(["-machine", "none", "-nodefaults", "-display", "none", "-S", "-drive", &drive])
        .spawn()?;
    let holds = wait_for("the machine to hold its volume", Duration::from_secs(60), || {
        anyhow::ensure!(machine.try_wait()?.is_none(), "the machine ended");
        let mut open = fs::read_dir(format!("/proc/{}/fd", machine.id()))?.flatten();
        let holds = open.any(|one| fs::read_link(one.path()).is_ok_and(|target| target == path));
        Ok(holds.then_some(()))
    });
    let failure = wipe(&path);
    machine.kill()?;
    machine.wait()?;
    holds?;
    let failure = failure.expect_err("held");
    assert_eq!(failure.code(), "held");
    let named = format!("({})", machine.id());
    assert!(failure.to_string().contains(&named), "{failure}");
    assert_eq!(ground.marks()?, 4 * 256, "nothing was written");
    assert_eq!(code(&path), "wiped");
    assert_eq!(ground.marks()?, 0);
    Ok(())
}
