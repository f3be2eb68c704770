//! Texts for nft.
