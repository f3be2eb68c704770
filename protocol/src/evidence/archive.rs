//! The bundle's container: a tar file (POSIX ustar) with one form alone. Names are sorted, modes,
//! owners and times fixed, nothing is compressed: the same members are the same bytes everywhere.

use std::collections::BTreeMap;

/// Most bytes of a bundle.
pub const MAX_BUNDLE_BYTES: usize = 256 * 1024 * 1024;

/// Most members of a bundle.
pub const MAX_MEMBERS: usize = 100_000;

const BLOCK: usize = 512;
const NAME_BYTES: usize = 100;

/// Members by their names.
pub type Members = BTreeMap<String, Vec<u8>>;

/// Why members or bytes are no archive of this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Over a limit.
    #[error("a bundle has at most {MAX_BUNDLE_BYTES} bytes and {MAX_MEMBERS} members")]
    TooLarge,
    /// A name that does not fit.
    #[error("{0:?} is no name of a member")]
    Name(String),
    /// Cut off, or no tar file.
    #[error("not a tar file, or cut off after {0} bytes")]
    Shape(usize),
    /// A tar file of another form.
    #[error("a tar file, but not in the one form that a bundle has")]
    NotCanonical,
}

/// The bytes of an archive.
///
/// # Errors
/// [`ArchiveError::Name`] and [`ArchiveError::TooLarge`].
pub fn encode(members: &Members) -> Result<Vec<u8>, ArchiveError> {
    let size: usize = members.values().map(|content| BLOCK + padded(content.len())).sum();
    if size > MAX_BUNDLE_BYTES - 2 * BLOCK || members.len() > MAX_MEMBERS {
        return Err(ArchiveError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(size + 2 * BLOCK);
    for (name, content) in members {
        bytes.extend_from_slice(&header(name, content.len())?);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    Ok(bytes)
}

/// The members of an archive. Its bytes must be those that [`encode`] makes of them.
///
/// # Errors
/// [`ArchiveError`].
pub fn decode(bytes: &[u8]) -> Result<Members, ArchiveError> {
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let mut members = Members::new();
    let mut rest = bytes;
    loop {
        let shape = ArchiveError::Shape(bytes.len() - rest.len());
        let (head, after) = rest.split_first_chunk::<BLOCK>().ok_or(shape.clone())?;
        if head.iter().all(|&byte| byte == 0) {
            break;
        }
        let (name, size) = name_and_size(head).ok_or(shape.clone())?;
        let (content, after) = after.split_at_checked(size).ok_or(shape.clone())?;
        let (_, after) = after.split_at_checked(padded(size) - size).ok_or(shape)?;
        if members.insert(name, content.to_vec()).is_some() {
            return Err(ArchiveError::NotCanonical);
        }
        rest = after;
    }
    if encode(&members)? == bytes { Ok(members) } else { Err(ArchiveError::NotCanonical) }
}

fn header(name: &str, size: usize) -> Result<[u8; BLOCK], ArchiveError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(plain) {
        return Err(ArchiveError::Name(name.chars().take(NAME_BYTES).collect()));
    }
    let mut head = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| head[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = head.iter().map(|&byte| u32::from(byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(head)
}

fn name_and_size(head: &[u8; BLOCK]) -> Option<(String, usize)> {
    let name = head[..NAME_BYTES].split(|&byte| byte == 0).next()?;
    let size = std::str::from_utf8(&head[124..135]).ok()?;
    if !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = usize::from_str_radix(size, 8).ok().filter(|&size| size <= MAX_BUNDLE_BYTES)?;
    Some((String::from_utf8(name.to_vec()).ok()?, size))
}

const fn padded(size: usize) -> usize {
    size.next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_reads_back_and_has_one_form_alone() {
        let members: Members =
            [("a/1".to_owned(), b"one".to_vec()), ("b".to_owned(), vec![])].into_iter().collect();
        let bytes = encode(&members).expect("encoded");
        assert_eq!(decode(&bytes), Ok(members));
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let content = (BLOCK..BLOCK + 3).contains(&place);
            assert_eq!(decode(&changed).is_ok(), content, "byte {place}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0; BLOCK]].concat();
        assert_eq!(decode(&longer), Err(ArchiveError::NotCanonical));
    }
}
