//! Merkle trees of RFC 6962 (§2.1), SHA-256: roots, inclusion and consistency.
//!
//! Generation works over any store of *complete subtrees*: `read(level, index)` gives the hash of
//! the `index`th subtree of 2^level leaves, level 0 being the leaves' own hashes.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Longest proof that is looked at: a tree of 2^63 leaves has no longer one.
pub const MAX_PROOF: usize = 64;

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is not in the tree, or the old tree is larger than the new one.
    #[error("the proof is about a place that the tree does not have")]
    OutOfRange,
    /// Too few or too many hashes.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    Root,
}

/// Hash of a leaf.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(leaf).finalize().into())
}

/// Hash of an inner node.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0);
    Digest(hash.finalize().into())
}

/// Root of the tree of `size` leaves.
///
/// # Errors
/// Those of `read`.
pub fn root<E>(
    size: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Digest, E> {
    if size == 0 { Ok(Digest::of(b"")) } else { range_hash(0, size, read) }
}

/// Inclusion proof of the leaf at `index` in the tree of `size` leaves, leaf to root; empty if
/// there is no such leaf.
///
/// # Errors
/// Those of `read`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    if index >= size {
        return Ok(proof);
    }
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_hash(middle, end, read)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, read)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Consistency proof from the tree of `old` leaves to that of `new`; empty if there is none.
///
/// # Errors
/// Those of `read`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut start, mut end, mut whole) = (0, new, true);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_hash(middle, end, read)?);
            end = middle;
        } else {
            proof.push(range_hash(start, middle, read)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(range_hash(start, end, read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf with `leaf` as its hash stands at `index` in the tree of `size` leaves with
/// `root` (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    let (mut first, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if first & 1 == 1 || first == last {
            hash = node_hash(sibling, &hash);
            while first & 1 == 0 && first != 0 {
                (first, last) = (first >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    if last != 0 {
        Err(ProofError::Length)
    } else if hash == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree of `new` leaves with `new_root` begins with the tree of `old` leaves with
/// `old_root` (RFC 9162 §2.1.4.2).
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == new || old == 0 {
        let fits = old == 0 || old_root == new_root;
        return match (proof.is_empty(), fits) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let (seed, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    if rest.is_empty() {
        return Err(ProofError::Length);
    }
    let shift = (old - 1).trailing_ones();
    let (mut first, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if first & 1 == 1 || first == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while first & 1 == 0 && first != 0 {
                (first, last) = (first >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (first, last) = (first >> 1, last >> 1);
    }
    if last != 0 {
        Err(ProofError::Length)
    } else if old_hash == *old_root && new_hash == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Hash of the leaves from `start` to before `end`, of which there is at least one; `start` is a
/// multiple of the least power of two that is not below their number.
fn range_hash<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Digest, E> {
    // Complete subtrees from left to right; the recursion of RFC 6962 folds them from the right.
    let mut parts = Vec::new();
    let mut at = start;
    while at < end {
        let left = end - at;
        let level = left.ilog2();
        parts.push(read(u8::try_from(level).unwrap_or(u8::MAX), at >> level)?);
        at += 1 << level;
    }
    let last = parts.pop().unwrap_or_else(|| Digest::of(b""));
    Ok(parts.iter().rev().fold(last, |right, left| node_hash(left, &right)))
}

/// The largest power of two below `n`, which is at least 2.
const fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1, word by word.
    fn brute_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&brute_root(&leaves[..k]), &brute_root(&leaves[k..]))
            }
        }
    }

    fn leaves(n: u64) -> Vec<Digest> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    fn reader(leaves: &[Digest]) -> impl FnMut(u8, u64) -> Result<Digest, ()> {
        move |level, index| {
            let width = 1_usize << level;
            let start = usize::try_from(index).map_err(|_| ())? * width;
            leaves.get(start..start + width).map(brute_root).ok_or(())
        }
    }

    #[test]
    fn roots_and_inclusion_proofs_are_those_of_the_definition_for_every_small_tree() {
        for size in 0..=70_u64 {
            let leaves = leaves(size);
            let mut read = reader(&leaves);
            let root = root(size, &mut read).expect("complete subtrees only");
            assert_eq!(root, brute_root(&leaves));
            for index in 0..size {
                let proof = inclusion_proof(index, size, &mut read).expect("complete subtrees");
                let leaf = &leaves[usize::try_from(index).expect("small")];
                assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()));
                let wrong = leaf_hash(b"another");
                assert!(verify_inclusion(&wrong, index, size, &proof, &root).is_err());
                assert!(verify_inclusion(leaf, index + 1, size, &proof, &root).is_err());
                let longer = [proof.as_slice(), &[root]].concat();
                assert!(verify_inclusion(leaf, index, size, &longer, &root).is_err());
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(verify_inclusion(leaf, index, size, shorter, &root).is_err());
                }
            }
        }
    }

    #[test]
    fn consistency_holds_between_every_two_small_trees_and_for_no_other_root() {
        for new in 0..=40_u64 {
            let leaves = leaves(new);
            let mut read = reader(&leaves);
            let new_root = brute_root(&leaves);
            for old in 0..=new {
                let old_root = brute_root(&leaves[..usize::try_from(old).expect("small")]);
                let proof = consistency_proof(old, new, &mut read).expect("complete subtrees");
                assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
                let wrong = leaf_hash(b"another");
                if old > 0 {
                    assert!(verify_consistency(old, &wrong, new, &new_root, &proof).is_err());
                    if old < new {
                        assert!(verify_consistency(old, &old_root, new, &wrong, &proof).is_err());
                    }
                }
                let longer = [proof.as_slice(), &[wrong]].concat();
                assert!(verify_consistency(old, &old_root, new, &new_root, &longer).is_err());
            }
        }
    }
}
