//! A real mail server in the lab: Postfix with configuration, queue and mailboxes of its own.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Group, Pid, User},
};

use super::daemon::{Daemon, run, wait_for};

/// A running Postfix that takes mail for one domain into one Maildir. Dropping it ends it.
pub struct MailServer {
    /// Where the mail arrives: `Maildir/new/*`.
    pub maildir: PathBuf,
    config: PathBuf,
    master: Daemon,
}

impl MailServer {
    /// Starts Postfix in `netns`, listening on port 25 of all its addresses.
    ///
    /// # Errors
    /// If Postfix is not installed or does not start.
    pub fn start(netns: &str, dir: &Path, domain: &str) -> anyhow::Result<Self> {
        let config = dir.join("etc");
        let boxes = dir.join("boxes");
        for path in [&config, &boxes, &dir.join("queue"), &dir.join("data")] {
            fs::create_dir_all(path)?;
        }
        let user = User::from_name("postfix")?.context("user postfix is missing: install it")?;
        let group = Group::from_name("postdrop")?.context("group postdrop is missing")?;
        chown(dir.join("data"), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        chown(&boxes, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        let text = main_cf(dir, domain, user.uid.as_raw(), user.gid.as_raw(), &group.name);
        fs::write(config.join("main.cf"), text)?;
        fs::write(config.join("master.cf"), MASTER_CF)?;
        let path = config.to_str().context("path is not UTF-8")?;
        run(&["postfix", "-c", path, "check"])?;
        let log = dir.join("postfix.out");
        let argv = ["/usr/lib/postfix/sbin/master", "-c", path, "-d"];
        let mut master = Daemon::spawn(netns, "postfix", &argv, None, &log)?;
        let pid = dir.join("queue/pid/master.pid");
        wait_for("Postfix", Duration::from_secs(20), || {
            master.alive()?;
            Ok(pid.exists().then_some(()))
        })?;
        Ok(Self { maildir: boxes.join("inbox"), config, master })
    }

    /// Has it take no more mail, and say so; or take it again.
    ///
    /// # Errors
    /// If Postfix does not take the setting.
    pub fn refuse(&self, refuses: bool) -> anyhow::Result<()> {
        let config = self.config.to_string_lossy();
        let whom = if refuses { "reject" } else { "" };
        let setting = format!("smtpd_recipient_restrictions = {whom}");
        run(&["postconf", "-c", &config, "-e", &setting])?;
        run(&["postfix", "-c", &config, "reload"]).map(drop)
    }

    /// Signals all of its processes: stopped ones take connections, and never answer.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.master.signal(signal)?;
        let master = self.master.pid();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        for pid in children.split_whitespace() {
            // One that has ended meanwhile needs none.
            let _ = kill(Pid::from_raw(pid.parse()?), signal);
        }
        Ok(())
    }

    /// All mail that arrived, its head word for word and its text as a reader sees it, and when its
    /// file was written.
    ///
    /// # Errors
    /// If the mailbox cannot be read.
    pub fn mails(&self) -> anyhow::Result<Vec<(String, SystemTime)>> {
        let Ok(entries) = fs::read_dir(self.maildir.join("new")) else { return Ok(Vec::new()) };
        let mut files: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        files.sort();
        files
            .iter()
            .map(|file| {
                Ok((readable(&fs::read_to_string(file)?)?, fs::metadata(file)?.modified()?))
            })
            .collect()
    }
}

/// A text is sent in base64 if much of it is Chinese.
fn readable(mail: &str) -> anyhow::Result<String> {
    let (head, body) = mail.split_once("\n\n").context("a mail without a body")?;
    if !head.contains("Content-Transfer-Encoding: base64") {
        return Ok(mail.to_owned());
    }
    let text = STANDARD.decode(body.split_whitespace().collect::<String>())?;
    Ok(format!("{head}\n\n{}", String::from_utf8(text)?))
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = run(&["postfix", "-c", &self.config.to_string_lossy(), "abort"]);
    }
}

fn main_cf(dir: &Path, domain: &str, uid: u32, gid: u32, setgid_group: &str) -> String {
    let dir = dir.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {dir}/queue\n\
         data_directory = {dir}/data\n\
         mail_owner = postfix\n\
         setgid_group = {setgid_group}\n\
         myhostname = mx.{domain}\n\
         mydestination =\n\
         inet_interfaces = all\n\
         inet_protocols = ipv4\n\
         virtual_mailbox_domains = {domain}\n\
         virtual_mailbox_base = {dir}/boxes\n\
         virtual_mailbox_maps = static:inbox/\n\
         virtual_minimum_uid = 1\n\
         virtual_uid_maps = static:{uid}\n\
         virtual_gid_maps = static:{gid}\n\
         alias_maps =\n\
         local_recipient_maps =\n\
         smtpd_peername_lookup = no\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         maillog_file = {dir}/mail.log\n\
         maillog_file_prefixes = {dir}\n"
    )
}

const MASTER_CF: &str = "\
smtp inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
