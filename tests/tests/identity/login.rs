//! The whole way of a person, through tenurectl and a provider that we did not write.

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;
use tenure_tests::lab::in_process::InProcess;

use super::{
    acts,
    browser::Browser,
    knock, linked, problem,
    provider::{Provider, SECRET},
    site, text,
};

/// A home with a profile and nothing else.
struct Home {
    dir: TempDir,
    program: PathBuf,
}

#[allow(clippy::disallowed_methods, reason = "runs the program under test and writes its files")]
impl Home {
    fn of(site: &InProcess) -> Self {
        let test_binary = std::env::current_exe().expect("a path");
        let bin = test_binary.parent().and_then(Path::parent).expect("a target directory");
        let program = bin.join("tenurectl");
        assert!(program.exists(), "tenurectl is not built: cargo build --workspace");
        let home = Self { dir: tempfile::tempdir().expect("a directory"), program };
        home.write("ca.pem", &fs::read(site.state.join("ca.pem")).expect("the CA"));
        let config = format!("[profile.a]\ncontroller = {:?}\nca = \"ca.pem\"\n", site.url());
        home.write("config.toml", format!("default = \"a\"\n{config}").as_bytes());
        home
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("changed");
    }

    fn start(&self, line: &str) -> Child {
        Command::new(&self.program)
            .args(line.split_whitespace())
            .arg("--config")
            .arg(self.dir.path().join("config.toml"))
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts")
    }

    /// Runs a line; its exit code, and all it said.
    fn run(&self, line: &str) -> (Option<i32>, String) {
        let output = self.start(line).wait_with_output().expect("it ends");
        let said =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
        (output.status.code(), said.concat())
    }

    /// Signs in as `login`, in a browser; the address that it came back to, the exit code, and all
    /// that was said.
    fn login(&self, line: &str, login: &str) -> (String, Option<i32>, String) {
        let mut program = self.start(line);
        let mut said = BufReader::new(program.stderr.take().expect("piped"));
        let mut words = String::new();
        while !words.lines().any(|line| line.starts_with("http://")) {
            assert_ne!(said.read_line(&mut words).expect("text"), 0, "no address: {words}");
        }
        let url = words.lines().find(|line| line.starts_with("http://")).expect("an address");
        let mut browser = Browser::new();
        let back = browser.sign_in(url, login);
        assert!(back.starts_with("http://127.0.0.1:"), "{back}");
        // Whoever finds the port without the state changes nothing.
        let (other, _) = browser.get_text(&back.replace("state=", "state=x"));
        assert_eq!(other, 404);
        let (status, page) = browser.get_text(&back);
        assert_eq!(status, 200);
        assert!(page.contains("can be closed"), "{page}");
        said.read_to_string(&mut words).expect("text");
        let output = program.wait_with_output().expect("it ends");
        words.push_str(&String::from_utf8(output.stdout).expect("text"));
        (back, output.status.code(), words)
    }
}

fn portal(provider: &Provider, dir: &TempDir) -> InProcess {
    let path = dir.path().join("secret");
    #[allow(clippy::disallowed_methods, reason = "a file that the controller reads")]
    fs::write(&path, SECRET).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("changed");
    site(&format!(
        "[[api.oidc]]\nname = \"portal\"\nissuer = {:?}\nclient_id = \"tenure\"\n\
         client_secret_file = {path:?}\n",
        provider.issuer
    ))
}

#[test]
fn a_person_comes_in_by_a_certified_provider_and_goes_out() {
    let Some(provider) = Provider::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let site = portal(&provider, &dir);
    linked(&site, "li.na", "li-na-at-the-portal");
    let home = Home::of(&site);
    assert_ne!(home.run("clock show").0, Some(0), "nobody is in");
    let (_, code, said) = home.login("login --oidc portal", "li-na-at-the-portal");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("li.na is in as reviewer"), "{said}");
    assert_eq!(home.run("clock show").0, Some(0));
    let (code, said) = home.run("account list");
    assert!(code == Some(1) && said.contains("wrong-role"), "{said}");
    let came = acts(&site, "li.na").pop().expect("an act");
    assert_eq!(came["body"]["identity"]["subject"], "li-na-at-the-portal", "{came}");
    assert_eq!(home.run("logout").0, Some(0));
    assert_ne!(home.run("clock show").0, Some(0), "nobody is in");
}

#[test]
fn a_stranger_at_the_provider_is_told_the_subject_to_be_linked() {
    let Some(provider) = Provider::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let site = portal(&provider, &dir);
    let home = Home::of(&site);
    let (_, code, said) = home.login("login --oidc", "a-stranger");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the subject a-stranger of") && said.contains("not-linked"), "{said}");
    assert_ne!(home.run("clock show").0, Some(0), "nobody is in");
}

#[test]
fn a_code_that_was_used_is_worth_nothing_in_another_attempt() {
    let Some(provider) = Provider::start() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let site = portal(&provider, &dir);
    linked(&site, "li.na", "li-na-at-the-portal");
    let home = Home::of(&site);
    let (back, code, said) = home.login("login --oidc", "li-na-at-the-portal");
    assert_eq!(code, Some(0), "{said}");
    let used = back.split_once("code=").expect("a code").1.split('&').next().expect("a code");
    let body = json!({ "redirect_port": 65000 });
    let begun = knock(&site, "/v1/oidc/attempts", &body);
    let url = text(&begun, "authorization_url");
    let state = url.split_once("state=").expect("a state").1.split('&').next();
    let token = text(&begun, "attempt_token");
    let replay = json!({ "attempt_token": token, "state": state, "code": used });
    problem(&knock(&site, "/v1/oidc/sessions", &replay), 401, "sign-in-refused");
}
