//! Wipes of a volume beside `fio` and `dd`, on one loop device.

use super::Row;

/// Measures.
///
/// # Errors
/// If the device or the peers are not to be had here.
pub fn run() -> anyhow::Result<Vec<Row>> {
    anyhow::bail!("not measured yet")
}
