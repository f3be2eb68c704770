//! Where the controller is and as whom to speak to it: options first, then the profile file.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{api::Api, args::Global, failure::Failure};

/// Most bytes of a token file, a CA file and a profile.
const MAX_SETTING_BYTES: u64 = 64 * 1024;

const PROFILE: &str = ".config/tenure/tenurectl.toml";

/// Settings of the profile file, or of the options that take their place.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    controller: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    /// Where the session of `login` is kept.
    #[serde(skip)]
    session: Option<PathBuf>,
}

impl Profile {
    /// Options win over the profile file. A missing file is an error only if it was asked for.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let (path, asked) = match &global.profile {
            Some(path) => (Some(path.clone()), true),
            None => (std::env::home_dir().map(|home| home.join(PROFILE)), false),
        };
        let session = path.as_ref().map(|path| path.with_extension("session"));
        let file = match path {
            Some(path) if asked || path.exists() => Self::read(&path)?,
            _ => Self::default(),
        };
        let entered = session.clone().filter(|session| session.exists());
        Ok(Self {
            controller: global.controller.clone().or(file.controller),
            ca: global.ca.clone().or(file.ca),
            token_file: global.token_file.clone().or(entered).or(file.token_file),
            session,
        })
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path)?;
        let profile: Self = toml::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new("."));
        let resolve = |file: PathBuf| match file.strip_prefix("~") {
            Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            Err(_) => base.join(file),
        };
        Ok(Self {
            controller: profile.controller,
            ca: profile.ca.map(resolve),
            token_file: profile.token_file.map(resolve),
            session: None,
        })
    }

    /// Reads CA and token, and makes the API's client. Sends nothing yet.
    pub(crate) fn connect(&self) -> Result<Api, Failure> {
        let file = self.token_file.as_deref().ok_or_else(|| missing("token-file"))?;
        self.connect_as(file)
    }

    /// As [`Self::connect`], with the secret of this file.
    pub(crate) fn connect_as(&self, file: &Path) -> Result<Api, Failure> {
        self.api(Some(token(file)?))
    }

    /// As [`Self::connect`], for somebody who is not known yet.
    pub(crate) fn connect_unknown(&self) -> Result<Api, Failure> {
        self.api(None)
    }

    fn api(&self, token: Option<Zeroizing<String>>) -> Result<Api, Failure> {
        let controller = self.controller.as_deref().ok_or_else(|| missing("controller"))?;
        let ca = self.ca.as_deref().ok_or_else(|| missing("ca"))?;
        Api::new(controller, &authorities(ca)?, token)
    }

    /// Where the session of `login` is kept.
    pub(crate) fn session(&self) -> Result<&Path, Failure> {
        self.session.as_deref().ok_or_else(|| {
            Failure::Usage("there is no home directory to keep a session in: give --profile".into())
        })
    }
}

fn missing(option: &str) -> Failure {
    Failure::Usage(format!("no {option} is known: give --{option}, or set it in ~/{PROFILE}"))
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = read_text(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Failure::Usage(format!(
            "{} holds no PEM certificate: give the controller's ca.pem",
            path.display()
        ))),
    }
}

fn token(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let token = read_private(path)?;
    if token.is_empty() || token.contains(|letter: char| !letter.is_ascii_graphic()) {
        return Err(Failure::Usage(format!(
            "{} does not hold a token: one line, as `tenurectl token create` writes it",
            path.display()
        )));
    }
    Ok(token)
}

/// The secret in a file that nobody else may read, without the blanks around it.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = |source| Failure::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(read)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(Failure::Usage(format!(
            "others can read the secret in {0}: run chmod 600 {0}",
            path.display()
        )));
    }
    Ok(Zeroizing::new(read_text(path)?.trim().to_owned()))
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = |source| Failure::Read { path: path.to_owned(), source };
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(read)?;
    let bytes = file.take(MAX_SETTING_BYTES + 1).read_to_string(&mut text).map_err(read)?;
    if bytes as u64 > MAX_SETTING_BYTES {
        return Err(Failure::Usage(format!(
            "{} has more than {MAX_SETTING_BYTES} bytes: this is another file",
            path.display()
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::io::Write as _;
        let path = dir.join(name);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn options_win_over_the_profile_and_its_paths_are_relative_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = "controller = \"https://a\"\nca = \"ca.pem\"\ntoken_file = \"/t\"\n";
        let profile = file(dir.path(), "p.toml", text, 0o644);
        let global = Global {
            profile: Some(profile),
            controller: Some("https://b".to_owned()),
            ..Global::default()
        };
        let loaded = Profile::load(&global).unwrap();
        assert_eq!(loaded.controller.as_deref(), Some("https://b"));
        assert_eq!(loaded.ca, Some(dir.path().join("ca.pem")));
        assert_eq!(loaded.token_file, Some(PathBuf::from("/t")));
    }

    #[test]
    fn a_profile_with_an_unknown_setting_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let profile = file(dir.path(), "p.toml", "token = \"secret\"\n", 0o600);
        let error = Profile::read(&profile).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("unknown field `token`"), "{error}");
    }

    #[test]
    fn a_token_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), "token", "abc\n", 0o644);
        let error = token(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(token(&path).unwrap().as_str(), "abc");
    }

    #[test]
    fn a_file_with_something_else_than_a_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "\n", "two words", "line\nline"] {
            let path = file(dir.path(), "token", text, 0o600);
            assert_eq!(token(&path).unwrap_err().exit_code(), 2, "{text:?}");
        }
    }
}
