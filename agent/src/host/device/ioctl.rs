//! The two system calls that carry commands to a disk: `NVME_IOCTL_ADMIN_CMD` (linux/nvme_ioctl.h)
//! and `SG_IO` (scsi/sg.h).
#![allow(unsafe_code, reason = "commands to disks are ioctls without a safe wrapper")]

use std::{fs::File, io, os::fd::AsRawFd as _, ptr};

use crate::core::sanitize::{Answer, Command, Direction, nvme, scsi::Sense};

/// Most bytes that go along with a command.
const MAX_DATA_BYTES: usize = 64 * 1024;
/// Bytes of sense data.
const SENSE_BYTES: usize = 252;
/// `SG_IO`.
const SG_IO: libc::Ioctl = 0x2285;
/// `dxfer_direction`: none, to the device, from it.
const DIRECTIONS: [i32; 3] = [-1, -2, -3];
/// The status of a command that ended with sense data (SAM-5).
const CHECK_CONDITION: u8 = 2;

/// `struct nvme_passthru_cmd`.
#[repr(C)]
#[derive(Default)]
struct NvmeCommand {
    opcode: u8,
    flags: u8,
    reserved: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

/// `_IOWR('N', 0x41, struct nvme_passthru_cmd)`.
const NVME_ADMIN: libc::Ioctl = nix::request_code_readwrite!(b'N', 0x41, size_of::<NvmeCommand>());

/// `struct sg_io_hdr`.
#[repr(C)]
struct SgCommand {
    interface_id: i32,
    direction: i32,
    cmd_len: u8,
    max_sense_len: u8,
    iovec_count: u16,
    data_len: u32,
    data: *mut u8,
    cmd: *const u8,
    sense: *mut u8,
    timeout_ms: u32,
    flags: u32,
    pack_id: i32,
    user: *mut u8,
    status: u8,
    masked_status: u8,
    msg_status: u8,
    sense_len: u8,
    host_status: u16,
    driver_status: u16,
    residual: i32,
    duration_ms: u32,
    info: u32,
}

/// Sends a command and waits for its answer.
pub(super) fn send(file: &File, command: &Command) -> Answer {
    match command {
        Command::Nvme { opcode, unit, cdw10, cdw11, data, limit_ms } => {
            let Some(mut buffer) = buffer(data) else { return too_long() };
            let mut request = NvmeCommand {
                opcode: *opcode,
                nsid: *unit,
                cdw10: *cdw10,
                cdw11: *cdw11,
                timeout_ms: *limit_ms,
                data_len: u32::try_from(buffer.len()).unwrap_or(0),
                ..NvmeCommand::default()
            };
            admin(file, &mut request, &mut buffer)
        }
        Command::Scsi { cdb, data, limit_ms } => {
            let Some(mut buffer) = buffer(data) else { return too_long() };
            scsi(file, cdb, direction(data), &mut buffer, *limit_ms)
        }
    }
}

fn admin(file: &File, request: &mut NvmeCommand, buffer: &mut Vec<u8>) -> Answer {
    if !buffer.is_empty() {
        request.addr = buffer.as_mut_ptr() as u64;
    }
    // SAFETY: the request is a `struct nvme_passthru_cmd` that lives through the call; `addr` is
    // that of a buffer of `data_len` bytes which lives as long and is nobody else's, or 0 with no
    // bytes. The descriptor is open as long as `file` is borrowed.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), NVME_ADMIN, ptr::from_mut(request)) };
    match u16::try_from(status) {
        Ok(0) => Answer::Done(std::mem::take(buffer)),
        Ok(status) => Answer::Refused(nvme::answer(status)),
        Err(_) => Answer::Lost(io::Error::last_os_error().to_string()),
    }
}

fn scsi(file: &File, cdb: &[u8], way: i32, buffer: &mut Vec<u8>, limit_ms: u32) -> Answer {
    let Ok(cmd_len @ 1..=16) = u8::try_from(cdb.len()) else { return too_long() };
    let mut sense = [0_u8; SENSE_BYTES];
    let mut request = SgCommand {
        interface_id: i32::from(b'S'),
        direction: way,
        cmd_len,
        max_sense_len: 252,
        iovec_count: 0,
        data_len: u32::try_from(buffer.len()).unwrap_or(0),
        data: buffer.as_mut_ptr(),
        cmd: cdb.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: limit_ms,
        flags: 0,
        pack_id: 0,
        user: ptr::null_mut(),
        status: 0,
        masked_status: 0,
        msg_status: 0,
        sense_len: 0,
        host_status: 0,
        driver_status: 0,
        residual: 0,
        duration_ms: 0,
        info: 0,
    };
    // SAFETY: the request is a `struct sg_io_hdr` that lives through the call; its three pointers
    // are to buffers of the lengths beside them, which live as long and are nobody else's; the
    // command's block is only read. The descriptor is open as long as `file` is borrowed.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), SG_IO, &raw mut request) };
    if result < 0 {
        return Answer::Lost(io::Error::last_os_error().to_string());
    }
    if request.status == CHECK_CONDITION {
        let length = usize::from(request.sense_len).min(SENSE_BYTES);
        return match Sense::parse(&sense[..length]) {
            Ok(sense) => Answer::Refused(sense.answer()),
            Err(error) => Answer::Lost(error.to_string()),
        };
    }
    if request.status != 0 || request.host_status != 0 {
        let (status, host) = (request.status, request.host_status);
        return Answer::Lost(format!("status {status:02x}h, host status {host:02x}h"));
    }
    let residual = usize::try_from(request.residual).unwrap_or(0);
    buffer.truncate(buffer.len().saturating_sub(residual));
    Answer::Done(std::mem::take(buffer))
}

fn buffer(data: &Direction) -> Option<Vec<u8>> {
    let bytes = match data {
        Direction::None => Vec::new(),
        Direction::Read(bytes) => {
            vec![0; usize::try_from(*bytes).ok().filter(|bytes| *bytes <= MAX_DATA_BYTES)?]
        }
        Direction::Write(bytes) => bytes.clone(),
    };
    (bytes.len() <= MAX_DATA_BYTES).then_some(bytes)
}

const fn direction(data: &Direction) -> i32 {
    match data {
        Direction::None => DIRECTIONS[0],
        Direction::Write(_) => DIRECTIONS[1],
        Direction::Read(_) => DIRECTIONS[2],
    }
}

fn too_long() -> Answer {
    Answer::Lost("the command is longer than any that is sent".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_have_the_sizes_that_the_kernel_knows() {
        assert_eq!(size_of::<NvmeCommand>(), 72);
        assert_eq!(size_of::<SgCommand>(), 88);
        assert_eq!(NVME_ADMIN, 0xc048_4e41);
    }

    #[test]
    fn what_is_no_disk_answers_nothing() {
        let file = tempfile::tempfile().expect("a file");
        for command in [nvme::identify_controller(), crate::core::sanitize::scsi::inquiry()] {
            assert!(matches!(send(&file, &command), Answer::Lost(_)));
        }
    }
}
