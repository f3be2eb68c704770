//! Fields of the pages that devices answer with. A page that is too short has no such field.

/// An unsigned integer, little endian (NVMe), of at most 8 bytes.
pub(super) fn le(page: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let field = page.get(at..at.checked_add(bytes)?)?;
    Some(field.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// An unsigned integer, big endian (SCSI), of at most 8 bytes.
pub(super) fn be(page: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let field = page.get(at..at.checked_add(bytes)?)?;
    Some(field.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// A text: printable ASCII without blanks around it; anything else becomes `?`, so that no device
/// can say to a terminal, or to a reader of statements, what it likes.
pub(super) fn text(field: &[u8]) -> String {
    let letters = field.iter().map(|&byte| match byte {
        0 => ' ',
        b' '..=b'~' => char::from(byte),
        _ => '?',
    });
    letters.collect::<String>().trim().to_owned()
}
