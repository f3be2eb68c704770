//! Kannel in the lab: a gateway for short messages that we did not write, with the message centre
//! that it brings for tests, which shows what arrives, or with another, which gives receipts.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::daemon::wait_for;

/// How long anything may take to come.
const LIMIT: Duration = Duration::from_secs(30);
/// What carries messages to the centre, what takes them over HTTP, and the centre.
const PROGRAMS: [&str; 3] =
    ["/usr/sbin/bearerbox", "/usr/sbin/smsbox", "/usr/lib/kannel/test/fakesmsc"];
/// Where each writes what it does.
const LOGS: [&str; 3] = ["bearerbox.log", "smsbox.log", "centre.log"];

/// One that runs, with a user `tenure`. Dropping it ends it.
pub struct Kannel {
    /// Where its `sendsms` listens on this machine.
    pub port: u16,
    dir: TempDir,
    children: Vec<Child>,
}

impl Kannel {
    /// Starts one whose user has this password.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(password: &str) -> anyhow::Result<Self> {
        let [centre] = ports()?;
        let group = format!("smsc = fake\nport = {centre}\nconnect-allow-ip = 127.0.0.1");
        let mut kannel = Self::start_before(&group, Some(centre), password)?;
        let centre = centre.to_string();
        kannel.run(2, &["-H", "127.0.0.1", "-r", &centre, "-m", "0", "1 2 text none"])?;
        Ok(kannel)
    }

    /// As [`Kannel::start`], before a message centre that speaks SMPP here and has the same
    /// password.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_by_smpp(password: &str, centre: u16) -> anyhow::Result<Self> {
        let group = format!(
            "smsc = smpp\nhost = 127.0.0.1\nport = {centre}\nsmsc-username = tenure\n\
             smsc-password = {password}\nsystem-type = \"\"\ntransceiver-mode = true"
        );
        Self::start_before(&group, None, password)
    }

    /// With this message centre; `opened` is what it connects to.
    fn start_before(group: &str, opened: Option<u16>, password: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let [admin, boxes, port] = ports()?;
        let config = dir.path().join("kannel.conf");
        let text = format!(
            "group = core\nadmin-port = {admin}\nadmin-interface = 127.0.0.1\n\
             admin-password = {password}\nsmsbox-port = {boxes}\nsmsbox-interface = 127.0.0.1\n\
             box-allow-ip = 127.0.0.1\ndlr-storage = internal\n\n\
             group = smsc\n{group}\n\n\
             group = smsbox\nbearerbox-host = 127.0.0.1\nbearerbox-port = {boxes}\n\
             sendsms-port = {port}\nsendsms-interface = 127.0.0.1\n\n\
             group = sendsms-user\nusername = tenure\npassword = {password}\n\
             user-allow-ip = 127.0.0.1\nconcatenation = true\nmax-messages = 10\n\n\
             group = sms-service\nkeyword = default\ntext = \"\"\n"
        );
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&config)?;
        file.write_all(text.as_bytes())?;
        let config = config.to_string_lossy().into_owned();
        let mut kannel = Self { port, dir, children: Vec::new() };
        // At the level below it a box writes its own configuration down, with the password.
        kannel.run(0, &["-v", "1", &config])?;
        for opened in [boxes].into_iter().chain(opened) {
            kannel.wait(opened)?;
        }
        kannel.run(1, &["-v", "1", &config])?;
        kannel.wait(port)?;
        Ok(kannel)
    }

    fn run(&mut self, which: usize, arguments: &[&str]) -> anyhow::Result<()> {
        let program = PROGRAMS[which];
        let log = File::create(self.dir.path().join(LOGS[which]))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        self.children.push(child.with_context(|| {
            format!("cannot start {program}: packaging/install-deps test installs it")
        })?);
        Ok(())
    }

    fn wait(&self, port: u16) -> anyhow::Result<()> {
        let opened =
            wait_for("Kannel", LIMIT, || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()));
        opened.map(drop).with_context(|| self.logs().unwrap_or_default())
    }

    /// The first text for a number of which every part is at the message centre.
    ///
    /// # Errors
    /// If none arrives in time, or one is not UTF-16.
    pub fn text(&self, number: &str) -> anyhow::Result<String> {
        let whole = wait_for("a whole text at the message centre", LIMIT, || {
            let log = fs::read_to_string(self.dir.path().join(LOGS[2]))?;
            let mut texts: BTreeMap<u8, BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
            for Part { to, reference, total, place, data } in log.lines().filter_map(part) {
                let parts = texts.entry(reference).or_default();
                parts.insert(place, data);
                if to == number && parts.len() == usize::from(total) {
                    return Ok(Some(parts.values().flatten().copied().collect::<Vec<u8>>()));
                }
            }
            Ok(None)
        })?;
        let units = whole.chunks(2).map(|pair| match pair {
            [high, low] => Ok(u16::from_be_bytes([*high, *low])),
            _ => bail!("half a letter at the end"),
        });
        Ok(String::from_utf16(&units.collect::<anyhow::Result<Vec<u16>>>()?)?)
    }

    /// What its programs have written.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn logs(&self) -> anyhow::Result<String> {
        let texts = LOGS.map(|name| self.dir.path().join(name)).into_iter();
        let texts = texts.filter(|path| path.exists()).map(fs::read_to_string);
        Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A part of a text, as the message centre shows it.
struct Part {
    to: String,
    reference: u8,
    total: u8,
    place: u8,
    data: Vec<u8>,
}

/// `… Got message 1: <FROM TO udh UDH data DATA>`; bytes as in a URL's query.
fn part(line: &str) -> Option<Part> {
    let words: Vec<&str> = line.split_once(": <")?.1.strip_suffix('>')?.split(' ').collect();
    let [_, to, "udh", header, "data", data] = words[..] else { return None };
    // 3GPP TS 23.040, 9.2.3.24.1: concatenated short messages, with a reference of eight bits.
    let [5, 0, 3, reference, total, place] = bytes(header)?[..] else { return None };
    Some(Part { to: to.to_owned(), reference, total, place, data: bytes(data)? })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        found.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, behind) = after.split_at_checked(2)?;
                rest = behind;
                *hex::decode(digits).ok()?.first()?
            }
            other => *other,
        });
    }
    Some(found)
}

/// Ports that nobody listens on, for who takes none of its own choice.
///
/// # Errors
/// If there is none.
pub fn ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [0; N].map(bind);
    let mut found = [0; N];
    for (port, listener) in found.iter_mut().zip(held) {
        *port = listener?.local_addr()?.port();
    }
    Ok(found)
}
