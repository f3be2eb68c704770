//! What can be typed: global options, and one noun or act each with its verbs.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    account::AccountVerb,
    anomaly::AnomalyVerb,
    application::ApplicationVerb,
    attachment::AttachmentVerb,
    bundle::BundleVerb,
    calendar::CalendarVerb,
    clock::ClockVerb,
    config::ProfileVerb,
    contact::ContactVerb,
    deadline::DeadlineVerb,
    deployment::{ConfigurationVerb, DeploymentVerb},
    drill::{CanaryVerb, DrillVerb},
    duty::DutyArgs,
    events::EventsArgs,
    filing::{AssessmentVerb, IcpVerb},
    group::GroupVerb,
    hold::HoldVerb,
    host::HostVerb,
    isolation::{CutArgs, CutNoticeVerb, RestoreArgs},
    ledger::LedgerVerb,
    manual::Shell,
    offboarding::OffboardingVerb,
    order::OrderVerb,
    platform::{AnchorsArgs, ImageVerb},
    record::{AccessVerb, InspectionVerb, RecordVerb},
    report::ReportVerb,
    review::ReviewVerb,
    screen::{Colour, Format},
    session::LoginArgs,
    tenant::TenantVerb,
    text::Lang,
    token::TokenVerb,
    trial::TrialVerb,
    verify::VerifyArgs,
    wipe::WipeVerb,
};

const AFTER_HELP: &str = "\
Settings come from the options above, else from ~/.config/tenurectl/config.toml:
  default = \"province\"     # the profile without --profile
  [profile.province]
  controller = \"https://controller.example:8443\"
  ca = \"ca.pem\"            # the controller's CA; paths are relative to this file
  token_file = \"token\"     # mode 0600; a token never stands in an argument or the environment
Instead of a token a script may have a client certificate: `certificate` and `key_file` (PEM).
A session of `tenurectl login` stands beside that file, and goes before its token_file.

Exit codes: 0 done, 1 refused, 2 wrong use, 3 the evidence does not hold, 4 the controller
cannot be reached or has failed, 5 the answer could not be written, 6 not finished within
--wait-limit.";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "tenurectl",
    version,
    about = "Run the life of tenants on a Tenure controller, and verify its evidence offline",
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// Options that every verb takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The controller, such as https://controller.example:8443
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) controller: Option<String>,
    /// The controller's certificate authority (PEM); no other one is trusted
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// File with the bearer token, readable by its owner alone
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Settings file to use instead of ~/.config/tenurectl/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Which profile of the settings file to use, instead of its default
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// How answers are shown: a table for people, JSON for scripts
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) output: Format,
    /// When tables are coloured; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Colour,
    /// Language of tables; by LC_ALL, LC_MESSAGES or LANG if not given
    #[arg(long, global = true, value_enum)]
    pub(crate) lang: Option<Lang>,
}

/// The nouns, in the order in which a tenant meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Apply for a tenant (customer)
    Application {
        #[command(subcommand)]
        verb: ApplicationVerb,
    },
    /// Look at tenants
    Tenant {
        #[command(subcommand)]
        verb: TenantVerb,
    },
    /// Decide on an application (reviewer)
    Review {
        #[command(subcommand)]
        verb: ReviewVerb,
    },
    /// Order hosts once more to configure a tenant (operator)
    Configuration {
        #[command(subcommand)]
        verb: ConfigurationVerb,
    },
    /// Declare that deployment has begun (customer)
    Deployment {
        #[command(subcommand)]
        verb: DeploymentVerb,
    },
    /// Submit the trial's reports (customer) and decide on them (reviewer)
    Report {
        #[command(subcommand)]
        verb: ReportVerb,
    },
    /// Extend a major system's trial: ask (customer), decide (reviewer)
    Trial {
        #[command(subcommand)]
        verb: TrialVerb,
    },
    /// File the MLPS (等保) assessment (customer)
    Assessment {
        #[command(subcommand)]
        verb: AssessmentVerb,
    },
    /// File the ICP filing (customer), or open the Internet before it (reviewer)
    Icp {
        #[command(subcommand)]
        verb: IcpVerb,
    },
    /// Contacts: whom a tenant's notices go to, and the monthly probe of the channels
    Contact {
        #[command(subcommand)]
        verb: ContactVerb,
    },
    /// Security groups: what may come in and go out of instances (customer)
    Group {
        #[command(subcommand)]
        verb: GroupVerb,
    },
    /// What hosts count of a tenant: thresholds, and the rule that cuts it (operator, security)
    Anomaly {
        #[command(subcommand)]
        verb: AnomalyVerb,
    },
    /// Keep what a tenant has from being destroyed (security and a second person)
    Hold {
        #[command(subcommand)]
        verb: HoldVerb,
    },
    /// Add, list and confirm records of a tenant, or of the platform
    Record {
        #[command(subcommand)]
        verb: RecordVerb,
    },
    /// Record a monthly security check (operator, security)
    Inspection {
        #[command(subcommand)]
        verb: InspectionVerb,
    },
    /// Lawful access to a customer's data: request, two approvals, what was shown
    Access {
        #[command(subcommand)]
        verb: AccessVerb,
    },
    /// Upload, list and fetch the files that acts and records refer to
    Attachment {
        #[command(subcommand)]
        verb: AttachmentVerb,
    },
    /// What needs a person of the provider now, most urgent first
    Duty(DutyArgs),
    /// Tell the customer of a planned cut (operator), and take down that it knows of a cut
    CutNotice {
        #[command(subcommand)]
        verb: CutNoticeVerb,
    },
    /// Cut all of a tenant's traffic at once, in an emergency or as announced (operator)
    Cut(CutArgs),
    /// End a cut (operator)
    Restore(RestoreArgs),
    /// Rehearse the emergency cut on a canary, and see how it went
    Drill {
        #[command(subcommand)]
        verb: DrillVerb,
    },
    /// Which tenants are canaries, which exist for drills (two persons: operator, security)
    Canary {
        #[command(subcommand)]
        verb: CanaryVerb,
    },
    /// Leave the cloud: request and confirm (customer), approve or reject (reviewer)
    Offboarding {
        #[command(subcommand)]
        verb: OffboardingVerb,
    },
    /// Approve the wipe of a stopped tenant (two persons: operator, security)
    Wipe {
        #[command(subcommand)]
        verb: WipeVerb,
    },
    /// Fetch the evidence of a closed tenant
    Bundle {
        #[command(subcommand)]
        verb: BundleVerb,
    },
    /// Verify an exit bundle offline, against trust anchors from another source
    Verify(VerifyArgs),
    /// Hosts and their join tokens
    Host {
        #[command(subcommand)]
        verb: HostVerb,
    },
    /// Come in by password and second factor (the first time, set a password and enrol), or by an
    /// OpenID provider
    Login(LoginArgs),
    /// Go out: end the session
    Logout,
    /// People's accounts (administrator)
    Account {
        #[command(subcommand)]
        verb: AccountVerb,
    },
    /// API tokens, for scripts (administrator)
    Token {
        #[command(subcommand)]
        verb: TokenVerb,
    },
    /// Orders to hosts
    Order {
        #[command(subcommand)]
        verb: OrderVerb,
    },
    /// What happens to tenants, as it happens
    Events(EventsArgs),
    /// Images that applications can name
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// The trust anchors that `verify` needs
    Anchors(AnchorsArgs),
    /// What is due, and why on that day
    Deadline {
        #[command(subcommand)]
        verb: DeadlineVerb,
    },
    /// The working-day calendar, and the State Council's notices
    Calendar {
        #[command(subcommand)]
        verb: CalendarVerb,
    },
    /// The controller's legal clock; a demo clock can be moved forward
    Clock {
        #[command(subcommand)]
        verb: ClockVerb,
    },
    /// The transparency log: its signed checkpoint, and its tiles
    Ledger {
        #[command(subcommand)]
        verb: LedgerVerb,
    },
    /// Ask whether the controller is up
    Health,
    /// Print the API's description (OpenAPI), as this controller has it
    Openapi,
    /// Profiles of the settings file, one per controller
    Profile {
        #[command(subcommand)]
        verb: ProfileVerb,
    },
    /// Print a script that completes tenurectl's words in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write manual pages, one for each verb
    Man {
        /// The directory to write them to, such as /usr/local/share/man/man1
        dir: PathBuf,
    },
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
