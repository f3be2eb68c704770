//! What data-recovery tools bring back, which we did not write: all of it from a file that was
//! deleted, and nothing from one that was wiped.

use std::{collections::BTreeSet, fmt::Write as _};

use super::*;

/// Documents in a volume, half of them PDF, half BMP.
const DOCUMENTS: usize = 8;
/// A fragment, or a file that was overwritten a little, may stay out of a tool's sight.
const ENOUGH: usize = 6;
/// Whose inodes extundelete can read in the journal: it knows no checksums.
const EXT4_OF_OLD: &[&str] =
    &["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", "-O", "^metadata_csum,^64bit"];

/// A tool: looks through an image, and puts what it finds into a directory.
pub(super) struct Carver {
    pub(super) name: &'static str,
    recover: fn(image: &str, into: &str) -> anyhow::Result<String>,
}

pub(super) const FOREMOST: Carver = Carver {
    name: "foremost",
    recover: |image, into| run(&["foremost", "-Q", "-t", "pdf,bmp", "-o", into, image]),
};

const SCALPEL: Carver = Carver {
    name: "scalpel",
    recover: |image, into| {
        let wanted = format!("{into}.conf");
        fs::write(&wanted, "pdf y 200000 %PDF %EOF\\x0a REVERSE\nbmp y 100000 BM??\\x00\\x00\n")?;
        run(&["scalpel", "-c", &wanted, "-o", into, image])
    },
};

pub(super) const PHOTOREC: Carver = Carver {
    name: "photorec",
    recover: |image, into| {
        let kinds = "fileopt,everything,disable,pdf,enable,bmp,enable";
        let commands = format!("partition_none,options,paranoid,{kinds},search");
        fs::create_dir(into)?;
        run(&["photorec", "/d", &format!("{into}/found"), "/cmd", image, &commands])
    },
};

/// Goes by the inodes in the journal, not by what documents look like.
const EXTUNDELETE: Carver = Carver {
    name: "extundelete",
    recover: |image, into| {
        fs::create_dir(into)?;
        run(&["sh", "-c", "cd \"$0\" && extundelete --restore-all \"$1\"", into, image])
    },
};

/// The text by which a document is known again.
fn mark_of(ground: &Ground, number: usize) -> Vec<u8> {
    [ground.mark.as_slice(), format!("document {number};").as_bytes()].concat()
}

/// A document that viewers open: with its mark, and text or pixels that fill some blocks.
fn document(ground: &Ground, number: usize) -> anyhow::Result<Vec<u8>> {
    let mut filling = mark_of(ground, number);
    for line in 0..800 {
        filling.extend(format!("line {line} of {number}: {}\n", line * 7919 % 1000).bytes());
    }
    if number.is_multiple_of(2) {
        filling.truncate(64 * 64 * 3);
        let (pixels, all) = (u32::try_from(filling.len())?, u32::try_from(filling.len() + 54)?);
        let mut bmp = b"BM".to_vec();
        for word in [all, 0, 54, 40, 64, 64, 1 | 24 << 16, 0, pixels, 2835, 2835, 0, 0] {
            bmp.extend(word.to_le_bytes());
        }
        return Ok([bmp, filling].concat());
    }
    let mut head = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n".to_owned();
    head.push_str("2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\n");
    write!(head, "3 0 obj\n<< /Length {} >>\nstream\n", filling.len())?;
    let at = head.len() + filling.len() + "\nendstream\nendobj\n".len();
    let end = "xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Root 1 0 R /Size 4 >>\nstartxref";
    let tail = format!("\nendstream\nendobj\n{end}\n{at}\n%%EOF\n");
    Ok([head.as_bytes(), &filling, tail.as_bytes()].concat())
}

/// A volume with documents in it, each from a block's start on, as a guest's file system has them.
pub(super) fn volume_of_documents(ground: &Ground) -> anyhow::Result<PathBuf> {
    let path = ground.path("volume");
    let file = File::create(&path)?;
    let mut at = 0;
    for number in 0..DOCUMENTS {
        let mut bytes = document(ground, number)?;
        bytes.resize(bytes.len().next_multiple_of(4096), b' ');
        file.write_all_at(&bytes, at)?;
        at += bytes.len() as u64;
    }
    file.sync_all()?;
    Ok(path)
}

/// Documents that a tool brings back from the device, which is unmounted.
pub(super) fn recovered(ground: &Ground, carver: &Carver) -> anyhow::Result<BTreeSet<usize>> {
    let out = tempfile::Builder::new().prefix("tenure-carved-").tempdir_in("/var/tmp")?;
    let image = ground.disk.backing.to_str().context("path is not UTF-8")?;
    let into = out.path().join(carver.name);
    (carver.recover)(image, into.to_str().context("path is not UTF-8")?)
        .with_context(|| carver.name)?;
    let (mut found, mut dirs) = (BTreeSet::new(), vec![out.path().to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
                continue;
            }
            for number in 0..DOCUMENTS {
                if scan::count(&entry.path(), &mark_of(ground, number))? > 0 {
                    found.insert(number);
                }
            }
        }
    }
    Ok(found)
}

#[test]
fn recovery_tools_bring_back_what_was_deleted_and_nothing_of_what_was_wiped() -> anyhow::Result<()>
{
    for (name, mib, mkfs, carvers) in [
        ("ext4", 64, EXT4, [FOREMOST, SCALPEL, PHOTOREC].as_slice()),
        ("xfs", 320, XFS, &[FOREMOST, SCALPEL, PHOTOREC]),
        ("inodes", 64, EXT4_OF_OLD, &[EXTUNDELETE]),
    ] {
        for wiped in [false, true] {
            let Some(ground) = Ground::new(name, mib, mkfs)? else { return Ok(()) };
            let path = volume_of_documents(&ground)?;
            run(&["sync", "-f", ground.disk.mount.to_str().context("UTF-8")?])?;
            if wiped {
                assert_passes(&wipe(&path)?);
            } else {
                fs::remove_file(&path)?;
            }
            run(&["umount", ground.disk.mount.to_str().context("UTF-8")?])?;
            for carver in carvers {
                let found = recovered(&ground, carver)?;
                let right = if wiped { found.is_empty() } else { found.len() >= ENOUGH };
                assert!(right, "{} on {name}, wiped: {wiped}: {found:?}", carver.name);
            }
        }
    }
    Ok(())
}
