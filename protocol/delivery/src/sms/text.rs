//! A text as short messages: UCS-2, in parts that a telephone puts together again (3GPP TS 23.040,
//! 9.2.3.24.1).

/// Code units of a message of one part, and of each part of several: the header takes 6 bytes.
const ALONE: usize = 70;
const IN_PARTS: usize = 67;
/// Most parts: some 1,000 characters.
const PARTS: usize = 15;
/// Bytes of the header of a part: its own length, then element 0 with 3 bytes.
const HEADER: [u8; 3] = [5, 0, 3];

/// One short message: the bytes of its user data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// With the header in front if it has one.
    pub(super) data: Vec<u8>,
    /// Whether it has a header.
    pub(super) header: bool,
}

/// The parts of a text; a longer one than they hold is cut off. `reference` says which belong
/// together.
pub(super) fn parts(text: &str, reference: u8) -> Vec<Part> {
    let whole: Vec<u16> = text.encode_utf16().collect();
    if whole.len() <= ALONE {
        return vec![Part { data: bytes(&whole), header: false }];
    }
    let mut chunks = chunks(text);
    if chunks.len() > PARTS {
        chunks.truncate(PARTS);
        if let Some(last) = chunks.last_mut() {
            // A pair is not torn apart: both halves go.
            let torn = |unit: &u16| (0xd800..0xdc00).contains(unit);
            last.truncate(IN_PARTS - 1);
            if last.last().is_some_and(torn) {
                last.pop();
            }
            last.extend("…".encode_utf16());
        }
    }
    let total = u8::try_from(chunks.len()).unwrap_or(u8::MAX);
    (1..=total)
        .zip(chunks)
        .map(|(number, chunk)| {
            let mut data = HEADER.to_vec();
            data.extend([reference, total, number]);
            data.extend(bytes(&chunk));
            Part { data, header: true }
        })
        .collect()
}

fn chunks(text: &str) -> Vec<Vec<u16>> {
    let mut chunks = vec![Vec::new()];
    for letter in text.chars() {
        let mut units = [0; 2];
        let units = letter.encode_utf16(&mut units);
        match chunks.last_mut() {
            Some(last) if last.len() + units.len() <= IN_PARTS => last.extend_from_slice(units),
            Some(_) | None => chunks.push(units.to_vec()),
        }
    }
    chunks
}

fn bytes(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a telephone makes of parts, by code of its own.
    fn read(parts: &[Part]) -> String {
        let units = parts.iter().flat_map(|part| {
            let data = if part.header { &part.data[6..] } else { &part.data[..] };
            data.chunks(2).map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]))
        });
        String::from_utf16(&units.collect::<Vec<_>>()).expect("no torn pair")
    }

    #[test]
    fn a_short_text_is_one_message_and_a_longer_one_comes_in_parts_with_headers() {
        let text = "断".repeat(70);
        let alone = parts(&text, 7);
        assert_eq!((alone.len(), alone[0].header, alone[0].data.len()), (1, false, 140));
        assert_eq!(read(&alone), text);
        let text = "断".repeat(71);
        let several = parts(&text, 7);
        assert_eq!(several.len(), 2);
        assert_eq!(several[0].data[..6], [5, 0, 3, 7, 2, 1]);
        assert_eq!(several[1].data[..6], [5, 0, 3, 7, 2, 2]);
        assert!(several.iter().all(|part| part.data.len() <= 140));
        assert_eq!(read(&several), text);
    }

    #[test]
    fn no_pair_is_torn_apart_and_what_is_too_long_says_so() {
        let text = format!("{}𠮷{}", "断".repeat(66), "网".repeat(40));
        assert_eq!(read(&parts(&text, 1)), text);
        for text in ["断".repeat(5_000), "𠮷".repeat(5_000), format!("a{}", "𠮷".repeat(5_000))]
        {
            let parts = parts(&text, 1);
            assert_eq!(parts.len(), PARTS);
            assert!(parts.iter().all(|part| part.data.len() <= 140));
            let read = read(&parts);
            let kept = read.strip_suffix('…').expect("cut off");
            assert!(text.starts_with(kept) && kept.chars().count() > 400);
        }
    }
}
