//! Disks of no metal: pages as the standards lay them out, and behaviour by command.

use tenure_protocol::{
    evidence::predicate::{
        Conclusion, DeviceSanitizeMeasured, Span,
        device::{Device, Method, Part, Proof},
        device_sanitize::{Sample, Sighting, Stop},
    },
    time::Timestamp,
};

use super::{Answer, Command, Course, Moment, Next, Plan, Survey};

/// How a disk behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it is told.
    Good,
    /// It takes the command, does nothing, and says what it said last year.
    Nothing,
    /// It refuses the command.
    Refuses,
    /// It goes away.
    Vanishes,
    /// The erasure fails.
    Fails,
    /// The erasure never ends.
    Hangs,
}

/// A disk.
pub(super) struct Disk {
    method: Method,
    ending: Ending,
    armed: bool,
    begun: bool,
    looks: u32,
    now_ms: u64,
}

impl Disk {
    pub(super) fn new(method: Method, ending: Ending) -> Self {
        Self { method, ending, armed: false, begun: false, looks: 0, now_ms: 0 }
    }

    pub(super) fn look(&mut self, plan: &Plan) -> Option<Sighting> {
        match self.send(&plan.look()?) {
            Answer::Done(page) => Some(plan.see(&page, at(0)).expect("a page").0),
            Answer::Refused(_) | Answer::Lost(_) => None,
        }
    }

    fn send(&mut self, command: &Command) -> Answer {
        let gone = self.begun && self.ending == Ending::Vanishes;
        if gone {
            return Answer::Lost("no such device".to_owned());
        }
        match command {
            Command::Nvme { opcode: 0x02, .. } => Answer::Done(self.log()),
            Command::Nvme { .. } => self.erase(),
            Command::Scsi { cdb, .. } => match (cdb[0], cdb.get(14)) {
                (0x03, _) => Answer::Done(self.sense()),
                (0x48, _) => self.erase(),
                (0x85, Some(0xec)) => Answer::Done(ata_page(0x21 | u16::from(self.armed) << 1)),
                (0x85, Some(0xf1)) => {
                    self.armed = true;
                    Answer::Done(Vec::new())
                }
                (0x85, Some(0xf3)) => Answer::Done(Vec::new()),
                (0x85, Some(0xf4)) => self.erase(),
                (0x85, Some(0xf6)) => {
                    self.armed = false;
                    Answer::Done(Vec::new())
                }
                other => panic!("an unknown command: {other:x?}"),
            },
        }
    }

    fn erase(&mut self) -> Answer {
        let proof = self.method.proof();
        match self.ending {
            Ending::Refuses => return Answer::Refused("no".to_owned()),
            Ending::Fails if proof != Proof::Status => return Answer::Refused("failed".to_owned()),
            Ending::Vanishes if proof != Proof::Status => {
                self.begun = true;
                return Answer::Lost("gone".to_owned());
            }
            Ending::Good | Ending::Nothing | Ending::Vanishes | Ending::Fails | Ending::Hangs => {}
        }
        if proof == Proof::Security && self.ending == Ending::Nothing {
            return Answer::Done(Vec::new());
        }
        (self.armed, self.begun, self.looks) = (false, true, 0);
        Answer::Done(Vec::new())
    }

    /// Under way for three looks, or for ever.
    fn is_under_way(&mut self) -> bool {
        self.looks += 1;
        self.begun
            && match self.ending {
                Ending::Good | Ending::Fails => self.looks <= 3,
                Ending::Hangs => true,
                Ending::Nothing | Ending::Refuses | Ending::Vanishes => false,
            }
    }

    fn log(&mut self) -> Vec<u8> {
        let action = u32::from(self.method.sanitize_action().expect("a sanitize method"));
        let progress = (self.looks * 0x4000) as u16;
        match (self.is_under_way(), self.begun && self.ending == Ending::Fails) {
            (true, _) => log_page(progress, 2, action),
            (false, true) => log_page(0xffff, 3, action),
            // Completed, and nothing was written since: before and after alike.
            (false, false) => log_page(0xffff, 0x101, action),
        }
    }

    fn sense(&mut self) -> Vec<u8> {
        let mut page = vec![0; 18];
        page[0] = 0x70;
        if self.is_under_way() {
            (page[2], page[12], page[13]) = (2, 0x04, 0x1b);
            (page[15], page[16]) = (0x80, 0x40);
        } else if self.begun && self.ending == Ending::Fails {
            (page[2], page[12], page[13]) = (3, 0x31, 0x03);
        }
        page
    }
}

/// Sends at most so many commands; how it ended, if it did.
pub(super) fn carry_out(disk: &mut Disk, course: &mut Course, most: usize) -> Option<Stop> {
    let mut sent = 0;
    loop {
        match course.next() {
            Next::End(stop) => return Some(stop),
            Next::Send(..) if sent >= most => return None,
            Next::Send(wait_ms, command) => {
                disk.now_ms += wait_ms + 1;
                let answer = disk.send(&command);
                course.answered(&answer, moment(disk.now_ms));
                sent += 1;
            }
        }
    }
}

pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms as i64)
}

pub(super) fn moment(ms: u64) -> Moment {
    Moment { sent_at: at(ms), answered_at: at(ms), took_ns: 1, boot_ms: ms }
}

pub(super) fn survey(methods: &[Method]) -> Survey {
    let device = Device {
        interface: methods[0].interface(),
        model: "WIDGET 9".to_owned(),
        serial: "S-1".to_owned(),
        firmware: "1".to_owned(),
    };
    let part = |unit| (Part { unit, size_bytes: 1 << 20 }, 0);
    let nvme = methods[0].name().starts_with("nvme");
    Survey {
        device,
        methods: methods.to_vec(),
        parts: if nvme { vec![part(1), part(2)] } else { vec![part(0)] },
        capacity_bytes: Some(2 << 20),
        unallocated_bytes: 0,
        is_shared: false,
        ata: None,
    }
}

pub(super) fn plan_for(method: Method) -> Plan {
    super::plan::plan(&survey(&[method]), super::Wanted::Auto).expect("a plan")
}

pub(super) fn measured(course: &Course, stop: Stop, interruptions: u32) -> DeviceSanitizeMeasured {
    DeviceSanitizeMeasured {
        stop,
        span: Span { started_at: at(0), ended_at: at(1), took_ns: 1 },
        interruptions,
        before: course.before(),
        commands: course.commands().to_vec(),
        sightings: course.sightings().to_vec(),
        same_device: true,
        outside_bytes: 0,
        sample: Some(Sample {
            places: 8,
            place_bytes: 4096,
            unchanged: 0,
            uniform: 8,
            unreadable: 0,
        }),
    }
}

pub(super) fn conclude(facts: &DeviceSanitizeMeasured, method: Method) -> Conclusion {
    facts.conclude(method, &plan_for(method).stated_parts())
}

/// Log page 81h: SPROG, SSTAT, SCDW10, and estimates that say nothing.
pub(super) fn log_page(progress: u16, status: u16, last: u32) -> Vec<u8> {
    let mut page = vec![0; 512];
    page[..2].copy_from_slice(&progress.to_le_bytes());
    page[2..4].copy_from_slice(&status.to_le_bytes());
    page[4..8].copy_from_slice(&last.to_le_bytes());
    page[8..32].fill(0xff);
    page
}

/// IDENTIFY DEVICE with this word 128: 4,096 sectors of 512 bytes.
pub(super) fn ata_page(security: u16) -> Vec<u8> {
    let mut page = vec![0; 512];
    let mut string = |word: usize, words: usize, text: &str| {
        let field = &mut page[word * 2..(word + words) * 2];
        field.fill(b' ');
        for (at, byte) in text.bytes().enumerate() {
            field[at ^ 1] = byte;
        }
    };
    string(10, 10, "S-1");
    string(23, 4, "1.0");
    string(27, 20, "WIDGET 9");
    let mut word = |word: usize, value: u16| {
        page[word * 2..word * 2 + 2].copy_from_slice(&value.to_le_bytes());
    };
    word(82, 2);
    word(83, 1 << 14 | 1 << 10);
    word(89, 1);
    word(100, 4096);
    word(128, security);
    page[510] = 0xa5;
    page[511] = page.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    page
}

/// Identify Controller: crypto and block sanitize, format with cryptographic erase, 1 GiB free.
pub(super) fn nvme_controller() -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[4..24].copy_from_slice(b"S-1                 ");
    page[24..64].fill(b' ');
    page[24..36].copy_from_slice(b"WIDGET 9\x1b[2J");
    page[64..72].copy_from_slice(b"1.0     ");
    (page[256], page[524], page[328]) = (2, 4, 3);
    page[283] = 0x80;
    page[299] = 0x40;
    page
}

/// Identify Namespace: 100 blocks of 4 KiB in format 17.
pub(super) fn nvme_namespace() -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[0] = 100;
    page[26] = 1 | 1 << 4 | 1 << 5;
    page[29] = 1 | 1 << 3;
    page[128 + 17 * 4 + 2] = 12;
    page
}
