//! The faults, each in its variants, and how they are mended.

use std::fs;

use anyhow::ensure;
use nix::sys::signal::Signal;
use tenure_tests::lab::webhook::Mood;

use crate::rig::{COMMAND_PORT, Rig, WEBHOOK_PORT};

/// What stops a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGKILL.
    Killed,
    /// SIGSTOP: it is there, and does nothing.
    Hanging,
}

/// What becomes of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Its files are removed while the controller runs on.
    Removed,
    /// The controller ends, and its files are not there when it is started again.
    Gone,
}

/// What takes a host out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    /// Both of its processes.
    Stopped(Stop),
    /// Its network.
    Unplugged,
}

/// What a mail server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Postfix {
    Stopped,
    Hanging,
    Refusing,
}

/// What a message centre does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Centre {
    /// It takes messages and never says what became of them.
    Silent,
    Refusing,
    Hanging,
}

/// One fault. Which host is the witness is known once the cut is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash(Stop),
    Database(Loss),
    Smtp(Postfix),
    Sms(Centre),
    Webhook(Mood),
    CutHost(Out),
    WitnessHost(Out),
    Link,
}

/// The faults with their variants: a scenario of several faults takes one of each.
pub(crate) const FAULTS: [&[Fault]; 8] = [
    &[Fault::Crash(Stop::Killed), Fault::Crash(Stop::Hanging)],
    &[Fault::Database(Loss::Removed), Fault::Database(Loss::Gone)],
    &[Fault::Smtp(Postfix::Stopped), Fault::Smtp(Postfix::Hanging), Fault::Smtp(Postfix::Refusing)],
    &[Fault::Sms(Centre::Silent), Fault::Sms(Centre::Refusing), Fault::Sms(Centre::Hanging)],
    &[
        Fault::Webhook(Mood::Answers(500)),
        Fault::Webhook(Mood::Answers(302)),
        Fault::Webhook(Mood::Slow),
    ],
    &[
        Fault::CutHost(Out::Stopped(Stop::Killed)),
        Fault::CutHost(Out::Stopped(Stop::Hanging)),
        Fault::CutHost(Out::Unplugged),
    ],
    &[
        Fault::WitnessHost(Out::Stopped(Stop::Killed)),
        Fault::WitnessHost(Out::Stopped(Stop::Hanging)),
        Fault::WitnessHost(Out::Unplugged),
    ],
    &[Fault::Link],
];

/// The files of the database.
const DATABASE: [&str; 3] = ["tenure.db", "tenure.db-wal", "tenure.db-shm"];
/// The table in the controller's namespace that faults are made of.
const TABLE: &str = "inet faults";

impl Fault {
    /// Whether it is there before the cut is ordered; else it comes right after the commit.
    pub(crate) const fn is_early(self) -> bool {
        matches!(self, Self::Smtp(_) | Self::Sms(_) | Self::Webhook(_))
    }

    /// Whether the controller can tell nobody any more.
    pub(crate) const fn silences(self) -> bool {
        matches!(self, Self::Crash(_) | Self::Database(_))
    }
}

impl Rig {
    /// Injects a fault. `witness` is the host that watches besides the one that cuts.
    pub(crate) fn inject(&mut self, fault: Fault, witness: usize) -> anyhow::Result<()> {
        match fault {
            Fault::Crash(stop) => self.stop_controller(stop),
            Fault::Database(Loss::Removed) => self.remove_database(),
            Fault::Database(Loss::Gone) => {
                self.stop_controller(Stop::Killed)?;
                self.remove_database()?;
                let said = self.controller_refuses()?;
                ensure!(said.contains("tenure.db is missing"), "{said}");
                Ok(())
            }
            Fault::Smtp(Postfix::Stopped) => {
                self.stop_mail();
                Ok(())
            }
            Fault::Smtp(Postfix::Hanging) => self.mail(|mail| mail.signal(Signal::SIGSTOP)),
            Fault::Smtp(Postfix::Refusing) => self.mail(|mail| mail.refuse(true)),
            Fault::Sms(Centre::Silent) => self.phone.set_receipts(false),
            // ESME_RTHROTTLED
            Fault::Sms(Centre::Refusing) => self.phone.set_status(0x58),
            Fault::Sms(Centre::Hanging) => self.phone.signal(Signal::SIGSTOP),
            Fault::Webhook(mood) => {
                self.webhook.set_mood(mood);
                Ok(())
            }
            Fault::CutHost(out) => self.take_out(self.cut_host, out),
            Fault::WitnessHost(out) => self.take_out(witness, out),
            Fault::Link => {
                self.filter(&dropping("cable", "input", &format!("udp dport {COMMAND_PORT}")))
            }
        }
    }

    /// Mends a fault.
    pub(crate) fn mend(&mut self, fault: Fault, witness: usize) -> anyhow::Result<()> {
        match fault {
            // It runs again if another fault that is mended needed it to.
            Fault::Crash(Stop::Killed) if self.site.controller.is_some() => Ok(()),
            Fault::Crash(Stop::Killed) => self.start_controller(),
            Fault::Crash(Stop::Hanging) => self.controller_signal(Signal::SIGCONT),
            Fault::Database(_) => {
                self.stop_controller(Stop::Killed)?;
                self.put_database_back()?;
                self.start_controller()
            }
            Fault::Smtp(Postfix::Stopped) => self.start_mail(),
            Fault::Smtp(Postfix::Hanging) => self.mail(|mail| mail.signal(Signal::SIGCONT)),
            Fault::Smtp(Postfix::Refusing) => self.mail(|mail| mail.refuse(false)),
            Fault::Sms(Centre::Silent) => self.phone.set_receipts(true),
            Fault::Sms(Centre::Refusing) => self.phone.set_status(0),
            Fault::Sms(Centre::Hanging) => self.phone.signal(Signal::SIGCONT),
            Fault::Webhook(_) => {
                self.webhook.set_mood(Mood::Answers(204));
                Ok(())
            }
            Fault::CutHost(out) => self.bring_back(self.cut_host, out),
            Fault::WitnessHost(out) => self.bring_back(witness, out),
            Fault::Link => self.unfilter("cable"),
        }
    }

    /// Keeps the controller from telling anybody, from now on, so that it can be struck before it
    /// has; what it sends stays on its machine.
    pub(crate) fn gag(&self) -> anyhow::Result<()> {
        let ports = format!("{{ 25, {WEBHOOK_PORT}, {} }}", self.phone.port());
        self.filter(&dropping("gag", "output", &format!("tcp dport {ports}")))
    }

    /// Ends what [`Rig::gag`] began.
    pub(crate) fn ungag(&self) -> anyhow::Result<()> {
        self.unfilter("gag")
    }

    fn unfilter(&self, chain: &str) -> anyhow::Result<()> {
        self.filter(&format!("flush chain {TABLE} {chain}\ndelete chain {TABLE} {chain}\n"))
    }

    /// Puts a text of the packet filter in force at the controller.
    fn filter(&self, text: &str) -> anyhow::Result<()> {
        let file = self.site.state.with_file_name("faults.nft");
        fs::write(&file, text)?;
        self.site.ctl.run(&["nft", "-f", &file.to_string_lossy()]).map(drop)
    }

    fn mail(
        &self,
        act: impl FnOnce(&tenure_tests::lab::mail::MailServer) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.mail.as_ref().map_or(Ok(()), act)
    }

    fn stop_mail(&mut self) {
        self.mail = None;
    }

    fn controller_signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.site.controller.as_ref().map_or(Ok(()), |daemon| daemon.signal(signal))
    }

    fn stop_controller(&mut self, stop: Stop) -> anyhow::Result<()> {
        match stop {
            Stop::Killed => {
                self.site.controller = None;
                Ok(())
            }
            Stop::Hanging => self.controller_signal(Signal::SIGSTOP),
        }
    }

    /// The files get other names, under which the test alone can find what was in them.
    fn remove_database(&self) -> anyhow::Result<()> {
        for name in DATABASE {
            let file = self.site.state.join(name);
            if file.exists() {
                fs::rename(&file, self.site.state.join(format!("{name}.away")))?;
            }
        }
        Ok(())
    }

    fn put_database_back(&self) -> anyhow::Result<()> {
        for name in DATABASE {
            let (file, away) = (self.site.state.join(name), format!("{name}.away"));
            ensure!(!file.exists(), "a second database was made: {}", file.display());
            let away = self.site.state.join(away);
            if away.exists() {
                fs::rename(away, file)?;
            }
        }
        Ok(())
    }

    fn take_out(&mut self, host: usize, out: Out) -> anyhow::Result<()> {
        let host = &mut self.site.hosts[host];
        match out {
            Out::Stopped(Stop::Killed) => {
                (host.agent, host.hostd) = (None, None);
                Ok(())
            }
            Out::Stopped(Stop::Hanging) => {
                let mut both = [&host.hostd, &host.agent].into_iter().flatten();
                both.try_for_each(|daemon| daemon.signal(Signal::SIGSTOP))
            }
            Out::Unplugged => host.netns.ip(&["link", "set", "eth0", "down"]).map(drop),
        }
    }

    fn bring_back(&mut self, host: usize, out: Out) -> anyhow::Result<()> {
        let build = self.site.build().clone();
        let host = &mut self.site.hosts[host];
        match out {
            Out::Stopped(Stop::Killed) => host.start(&build),
            Out::Stopped(Stop::Hanging) => {
                let mut both = [&host.hostd, &host.agent].into_iter().flatten();
                both.try_for_each(|daemon| daemon.signal(Signal::SIGCONT))
            }
            Out::Unplugged => host.netns.ip(&["link", "set", "eth0", "up"]).map(drop),
        }
    }
}

/// A chain that drops what fits, as a text for nft.
fn dropping(chain: &str, hook: &str, what: &str) -> String {
    format!(
        "add table {TABLE}\n\
         add chain {TABLE} {chain} {{ type filter hook {hook} priority 0; policy accept; }}\n\
         add rule {TABLE} {chain} {what} drop\n"
    )
}
