use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::operations::{LOCAL, OPERATIONS};

const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("tenurectl").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

fn all_parse(lines: &[&str]) {
    let digest = format!(" {}", "0".repeat(64));
    for line in lines {
        let line = line.replace(" T", &format!(" {TENANT}")).replace(" D", &digest);
        let line = line.replace(" R", &format!(" {TENANT}"));
        if let Err(error) = parse(&line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn every_verb_about_anomalies_parses() {
    all_parse(&[
        "anomaly show T",
        "anomaly thresholds T --packets 50000 --connections 500 --disk 1048576 --steal 100",
        "anomaly propose T --for packet-flood --for connection-flood --reason botnet",
        "anomaly confirm T --version 7",
        "anomaly withdraw T --reason mended",
        "drill run T --reason monthly --wait --wait-limit 400",
        "drill show T",
        "canary propose T --reason ours",
        "canary confirm T --version 7",
        "canary withdraw T --reason sold",
    ]);
}

#[test]
fn every_verb_of_the_way_parses() {
    all_parse(&[
        "application submit -",
        "application resubmit T -",
        "application example",
        "tenant list --phase trial",
        "tenant show T",
        "tenant journal T",
        "tenant orders T",
        "tenant notices T",
        "tenant evidence T",
        "review approve T --opinion ok --wait --wait-limit 5",
        "review reject T --opinion no",
        "review return T --opinion again",
        "configuration retry T --wait",
        "deployment declare T",
        "report submit T --test-report a --security-report b",
        "report pass T --opinion ok",
        "report fail T --opinion no --item a --item b",
        "report rectify T --item 1 --note mended --evidence a",
        "application draft -",
        "application draft - --tenant T",
        "application submit-draft T",
        "application withdraw T --reason over",
        "review suspend T --reason fire",
        "review resume T",
        "trial extend T --days 20 --reason much",
        "trial decide approve T --opinion ok --expert Wu:yes --expert Li:yes --assessment a",
        "trial decide reject T --opinion no",
        "assessment file T --report-number n --assessor a --level 3 --conclusion good --report f",
        "icp file T --number n --domain d --holder h --filed-on 2026-10-01 --proof f",
        "icp open T --reason soon",
        "application checklist T --lacking",
        "icp confirm T --opinion seen",
        "icp dispute T --opinion absent",
        "group list T",
        "group show T web",
        "group set T web --file -",
        "group set T web --role web --rule ingress tcp:443 internet portal",
        "group rm T web",
        "hold place T --kind legal-hold --document f --reason court",
        "hold release T --hold 1 --document f --reason over",
        "hold countersign T --hold 1",
        "offboarding request T --stop-day 2026-10-20 --reason merged --ask-waiver",
        "offboarding waive T --reason dissolved",
        "offboarding served T --served-on 2026-11-10 --document f",
        "offboarding countersign T",
        "attachment upload T a.pdf --media-type application/pdf",
        "record add T support.json --document scan.pdf --effective 2026-09-01T01:00:00Z",
        "record add platform - --document report.pdf",
        "record list T",
        "record confirm T R --opinion seen --answer reject",
        "record example support",
        "inspection add T --checked ports --finding low a b --finding high c d --report r.pdf",
        "access request T --authority a --document-no 1 --scope logs --sealed --document d.pdf",
        "access approve T R --opinion seen",
        "access shown T R --shown logs --officer 036012",
        "attachment list platform",
        "attachment get T D -o a.pdf",
        "cut T --reason attack --wait",
        "cut T --planned --reason switch",
        "cut-notice announce T --reason switch",
        "cut-notice call-off T --reason later",
        "cut-notice acknowledge T",
        "cut-notice heard T --cut 1 --person Li --over 1 --words yes --at 2026-10-20T09:00:00Z",
        "restore T --reason mended",
        "offboarding approve T --opinion ok",
        "offboarding reject T --opinion no",
        "offboarding confirm T --migrated --backed-up --wait",
        "wipe approve T --wait",
    ]);
}

#[test]
fn every_verb_beside_the_way_parses() {
    all_parse(&[
        "bundle fetch T -o exit.tar",
        "cut T T --reason attack --wait",
        "cut --host h1 --reason fire",
        "restore T T --reason mended",
        "restore --host h1 --reason mended --wait",
        "verify exit.tar --anchors anchors.json",
        "duty",
        "duty --watch",
        "contact list T",
        "contact probe T",
        "contact set T --file -",
        "contact acknowledge T",
        "host list",
        "host token host-a -o join",
        "host block host-a --reason stolen",
        "host alarms host-a",
        "host end-alarm host-a 7 --reason mended",
        "host unblock host-a --reason found",
        "host journal",
        "token create rita --role reviewer",
        "token create carl --role customer --customer bureau",
        "token create night-watch --owner wang.lei --role operator --scope read,cut --days 30",
        "token create night-watch --owner wang.lei --role operator --certificate night.pem",
        "token list",
        "token revoke 0123456789abcdef0123456789abcdef",
        "account create rita --role reviewer -o initial",
        "account confirm rita",
        "token confirm 0123456789abcdef0123456789abcdef",
        "account list",
        "account disable rita",
        "account reset rita",
        "account link rita --provider portal --subject 248289761001",
        "account unlink rita --provider portal",
        "login rita --password-file p --new-password-file n",
        "login --oidc",
        "login --oidc portal --listen 8400",
        "logout",
        "order show T --wait",
        "image list",
        "anchors",
        "deadline list T",
        "deadline explain T O6a --serial 1",
        "deadline preview --on 2026-10-20",
        "deadline sign T O5 --serial 1 --reason agreed",
        "calendar show",
        "calendar show --from 2026-02-01 --to 2026-02-28",
        "calendar import - --form holiday-cn --number N --title X --issued 2026-11-05",
        "calendar enact T",
        "calendar reject T --reason mistyped",
        "deadline platform",
        "clock show",
        "clock advance 30",
    ]);
}

#[test]
fn verbs_around_the_way_parse() {
    for line in [
        "ledger tile 0/x001/234.p/5 -o tile",
        "profile list",
        "completions bash",
        "man pages",
        "application form 1.0",
        "tenant list --profile city --color never --lang zh-CN",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

/// Every verb that can be typed, as its words: `tenant list`.
fn verbs(command: &clap::Command, before: &str) -> Vec<String> {
    let verbs = command.get_subcommands().flat_map(|verb| {
        let words = format!("{before}{}", verb.get_name());
        if verb.has_subcommands() { verbs(verb, &format!("{words} ")) } else { vec![words] }
    });
    verbs.collect()
}

#[test]
fn every_verb_reaches_an_operation_or_is_known_to_need_none() {
    let lines = || OPERATIONS.iter().map(|one| one.line).chain(LOCAL.iter().copied());
    let says = |line: &str, verb: &str| {
        line.strip_prefix(verb).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let verbs = verbs(&Cli::command(), "");
    assert!(verbs.len() > 50, "{verbs:?}");
    let missing: Vec<_> =
        verbs.iter().filter(|verb| !lines().any(|line| says(line, verb))).collect();
    assert!(missing.is_empty(), "operations.rs lacks {missing:?}");
    let made_up: Vec<_> =
        lines().filter(|line| !verbs.iter().any(|verb| says(line, verb))).collect();
    assert!(made_up.is_empty(), "nobody can type {made_up:?}");
}

#[test]
fn global_options_may_stand_before_and_after_the_verb() {
    for line in ["--output json tenant list", "tenant list --output json"] {
        assert_eq!(parse(line).unwrap().global.output, Format::Json);
    }
}

#[test]
fn no_option_takes_a_token_or_reads_the_environment() {
    let command = Cli::command();
    assert!(command.get_arguments().all(|argument| argument.get_id() != "token"));
    assert!(parse("--token abc tenant list").is_err());
}

#[test]
fn wrong_values_are_refused_with_what_would_be_right() {
    for (line, hint) in [
        ("tenant show nonsense", "give a UUID"),
        ("offboarding request T --stop-day tomorrow --reason r", "2026-10-20"),
        ("offboarding confirm T --migrated", "--backed-up"),
        ("token create carl --role customer", "--customer"),
        ("token create carl --role king", "administrator"),
        ("cut T", "--reason"),
        ("cut --reason r", "--host"),
        ("cut T --host h1 --reason r", "--host"),
        ("group set T web --rule ingress tcp:443", "4 values"),
        ("group set T web --file f --role web", "--role"),
        ("anomaly propose T --for cpu-steal --reason r", "cpu-steal"),
        ("anomaly propose T --reason r", "--for"),
        ("trial decide approve T --opinion ok --expert Wu --assessment a", "NAME: OPINION"),
        ("assessment file T --level 6", "1..=5"),
        ("host block host-a", "--reason"),
        ("login", "<NAME>"),
        ("login rita --oidc", "--oidc"),
        ("login rita --listen 8400", "--listen"),
        ("login --listen 8400", "--oidc"),
        ("login --oidc portal --listen 80", "1024..=65535"),
        ("clock advance 0", "1..=3660"),
        ("cut T --reason r --wait-limit 5", "--wait"),
        ("ledger tile ../tokens -o x", "0/000"),
        ("application form ../x", "current"),
        ("tenant list --lang de", "zh-CN"),
        ("completions tcsh", "fish"),
    ] {
        let error = parse(&line.replace(" T", &format!(" {TENANT}"))).unwrap_err().to_string();
        assert!(error.contains(hint), "{line}: {error}");
    }
}
