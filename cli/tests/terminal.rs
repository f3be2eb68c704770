//! tenurectl as people meet it: profiles, languages, colours, and a terminal that it draws on.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that runs the program on a terminal; a panic fails it"
)]

mod double;
mod site;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use double::answer;
use site::{Ran, Site, TENANT, tenurectl};

fn tenants() -> String {
    let row = format!(
        r#"[{{"id":"{TENANT}","customer":"南昌市","system":"trial\u001b[31m\u202e","phase":"trial",
            "isolation":{{"state":"cut"}}}}]"#
    );
    answer(200, &row)
}

/// Runs the program on a terminal of its own, as `script` of util-linux gives it.
fn on_a_terminal(site: &Site, line: &str, environment: &[(&str, &str)]) -> Ran {
    let program = env!("CARGO_BIN_EXE_tenurectl");
    let words = line.replace(" T", &format!(" {TENANT}"));
    let call = format!("{program} {words} --config {}", site.path("config.toml").display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &call, "/dev/null"]);
    command.current_dir(site.dir.path()).stdin(Stdio::null());
    command.env("HOME", site.dir.path()).env("LC_ALL", "C").env("TERM", "xterm");
    command.env_remove("NO_COLOR").envs(environment.iter().copied());
    Ran::of(command.output().unwrap())
}

#[test]
fn a_profile_is_chosen_by_name_by_default_or_because_it_is_the_only_one() {
    let (first, second) = (Site::new(&[tenants(), tenants()]), Site::new(&[tenants(), tenants()]));
    let profile = |name: &str, site: &Site| {
        format!(
            "[profile.{name}]\ncontroller = \"https://localhost:{}\"\nca = \"{}\"\n\
             token_file = \"{}\"\n",
            site.double.port,
            site.path("ca.pem").display(),
            site.path("token").display()
        )
    };
    let both = format!("{}{}", profile("province", &first), profile("city", &second));
    first.write("config.toml", &both);
    let ran = first.run("tenant list");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--profile with one of city, province"), "{ran:?}");
    assert_eq!(first.run("tenant list --profile city").code, Some(0));
    let unknown = first.run("tenant list --profile town");
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("it has city, province"), "{unknown:?}");
    first.write("config.toml", &format!("default = \"province\"\n{both}"));
    assert_eq!(first.run("tenant list").code, Some(0));
    assert_eq!((first.double.requests().len(), second.double.requests().len()), (1, 1));

    // The user's own file, where XDG has it.
    fs::create_dir_all(second.path("xdg/tenurectl")).unwrap();
    second.write("xdg/tenurectl/config.toml", &profile("only", &second));
    let mut command = tenurectl("tenant list", second.dir.path());
    command.env("XDG_CONFIG_HOME", second.path("xdg"));
    let ran = Ran::of(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn profiles_are_listed_with_what_is_wrong_with_them_and_without_a_secret() {
    let site = Site::new(&[]);
    site.write("open", "secret-token\n");
    fs::set_permissions(site.path("open"), Permissions::from_mode(0o644)).unwrap();
    let config = "default = \"good\"\n\
        [profile.good]\ncontroller = \"https://a\"\nca = \"ca.pem\"\ntoken_file = \"token\"\n\
        [profile.open]\ncontroller = \"https://b\"\nca = \"ca.pem\"\ntoken_file = \"open\"\n\
        [profile.half]\ncontroller = \"https://c\"\n";
    site.write("config.toml", config);
    let ran = site.run("profile list --output json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let list: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(list[0]["name"], "good");
    assert_eq!((&list[0]["usable"], &list[0]["default"]), (&true.into(), &true.into()));
    assert!(list[1]["usable"].as_str().unwrap().contains("--ca"), "{list}");
    assert!(list[2]["usable"].as_str().unwrap().contains("chmod 600"), "{list}");
    assert!(!ran.stdout.contains("secret-token"), "{ran:?}");
    let ran = site.run("tenant list --profile open");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("others can read the secret"), "{ran:?}");
    assert_eq!(site.double.requests().len(), 0, "a token that others know is not sent");
}

#[test]
fn tables_are_in_the_language_of_the_session_or_of_the_option() {
    let site = Site::new(&vec![tenants(); 4]);
    let list = |line: &str, locale: &str| {
        let ran = Ran::of(site.command(line).env("LC_ALL", locale).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let chinese = list("tenant list", "zh_CN.UTF-8");
    for text in ["租户", "阶段", "试运行", "断网", "南昌市", "trial\\u{1b}[31m\\u{202e}"]
    {
        assert!(chinese.contains(text), "{text} is not in {chinese}");
    }
    assert_eq!(list("tenant list --lang zh-CN", "C"), chinese);
    let english = list("tenant list --lang en", "zh_CN.UTF-8");
    assert!(english.contains("PHASE") && !english.contains("阶段"), "{english}");
    let json = list("tenant list --output json", "zh_CN.UTF-8");
    assert!(json.contains("\"phase\": \"trial\""), "scripts get the API's words: {json}");
    assert!(json.contains("\\u001b") && json.contains("\\u202e"), "{json}");
}

#[test]
fn colours_are_for_terminals_and_for_who_asks_for_them() {
    let site = Site::new(&vec![tenants(); 7]);
    let is_coloured = |ran: &Ran| {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("trial\\u{1b}[31m"), "what others send is no colour: {ran:?}");
        ran.stdout.contains("\u{1b}[31mcut\u{1b}[0m")
    };
    assert!(!is_coloured(&site.run("tenant list")));
    assert!(is_coloured(&site.run("tenant list --color always")));
    assert!(is_coloured(&on_a_terminal(&site, "tenant list", &[])));
    assert!(!is_coloured(&on_a_terminal(&site, "tenant list --color never", &[])));
    assert!(!is_coloured(&on_a_terminal(&site, "tenant list", &[("NO_COLOR", "1")])));
    assert!(!is_coloured(&on_a_terminal(&site, "tenant list", &[("TERM", "dumb")])));
    let asked = on_a_terminal(&site, "tenant list --color always", &[("NO_COLOR", "1")]);
    assert!(is_coloured(&asked), "{asked:?}");
}

fn view(phase: &str) -> String {
    answer(200, &format!(r#"{{"id":"{TENANT}","phase":"{phase}","instances":[]}}"#)).replacen(
        "\r\n",
        "\r\netag: \"7\"\r\n",
        1,
    )
}

#[test]
fn a_wait_draws_a_bar_by_what_hosts_report_and_ends_with_the_right_code() {
    let orders = answer(
        200,
        r#"[{"generation":2,"state":"done","finished_at":"2026-10-20T00:00:00Z"},
            {"generation":2,"state":"started","message":"overwrite: 512 of 1024 bytes"}]"#,
    );
    let unchanged = "HTTP/1.1 304 Told\r\nconnection: close\r\n\r\n".to_owned();
    for (end, code) in [("closed", 0), ("wipe-failed", 1)] {
        let mut answers = vec![answer(202, "{}"), view("wiping"), orders.clone()];
        answers.extend([unchanged.clone(), orders.clone(), view(end)]);
        let site = Site::new(&answers);
        let ran = on_a_terminal(&site, "wipe approve T --wait", &[]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stdout.contains("75 %") && ran.stdout.contains("1 of 2 orders"), "{ran:?}");
        assert!(ran.stdout.contains("wiping"), "{ran:?}");
        let requests = site.double.requests();
        assert!(requests[3].contains("if-none-match: \"7\""), "{requests:?}");
        assert!(requests[2].starts_with(&format!("GET /v1/tenants/{TENANT}/orders?")));
    }
}

#[test]
fn what_a_controller_says_of_itself_cannot_move_the_cursor_either() {
    let said = r#"{"code":"store","detail":"full\u001b[2J\u009b"}"#;
    let site = Site::new(&[answer(500, said), answer(500, said), answer(409, said)]);
    for line in ["host list", "host list --output json", "host list"] {
        let ran = site.run(line);
        assert!(ran.stderr.contains("full"), "{ran:?}");
        assert!(!ran.stderr.contains(['\u{1b}', '\u{9b}']), "{ran:?}");
    }
}
