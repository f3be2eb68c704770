//! Where the controller is and as whom to speak to it: options first, then a profile of the
//! settings file.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::tls::{Certificate, ClientCert, PrivateKey};
use zeroize::Zeroizing;

use crate::{api::Api, args::Global, config::Config, failure::Failure};

/// Most bytes of a token file, a CA file and a settings file.
const MAX_SETTING_BYTES: u64 = 64 * 1024;

/// One profile of the settings file, or the options that take its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    controller: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    /// A client certificate, PEM, and the file of its key: instead of a token.
    certificate: Option<PathBuf>,
    key_file: Option<PathBuf>,
    /// Where the session of `login` is kept.
    #[serde(skip)]
    session: Option<PathBuf>,
}

impl Profile {
    /// Options win over the profile, and a session over its token. If they say all, no settings
    /// file is read.
    pub(crate) fn load(global: &Global) -> Result<(Self, Config), Failure> {
        let given = Self {
            controller: global.controller.clone(),
            ca: global.ca.clone(),
            token_file: global.token_file.clone(),
            ..Self::default()
        };
        let complete =
            given.controller.is_some() && given.ca.is_some() && given.token_file.is_some();
        if complete && global.config.is_none() && global.profile.is_none() {
            return Ok((given, Config::default()));
        }
        let config = Config::load(global)?;
        let kept = config.choose(global.profile.as_deref())?;
        let entered = kept.session.clone().filter(|session| session.exists());
        let merged = Self {
            controller: given.controller.or(kept.controller),
            ca: given.ca.or(kept.ca),
            token_file: given.token_file.or(entered).or(kept.token_file),
            certificate: kept.certificate,
            key_file: kept.key_file,
            session: kept.session,
        };
        Ok((merged, config))
    }

    /// Makes relative paths those beside `base`; `~` is the home directory.
    pub(crate) fn resolve(&mut self, base: &Path) {
        let Self { ca, token_file, certificate, key_file, .. } = self;
        for path in [ca, token_file, certificate, key_file].into_iter().flatten() {
            *path = match path.strip_prefix("~") {
                Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
                Err(_) => base.join(&*path),
            };
        }
    }

    /// The same, with the place where the session of `login` is kept.
    pub(crate) fn with_session(self, session: PathBuf) -> Self {
        Self { session: Some(session), ..self }
    }

    /// What it says, for a list.
    pub(crate) fn view(&self) -> Value {
        json!({ "controller": self.controller, "ca": self.ca, "token_file": self.token_file })
    }

    /// Reads CA and token, and makes the API's client. Sends nothing yet.
    pub(crate) fn connect(&self, config: &Config) -> Result<Api, Failure> {
        // In the order in which people write them.
        self.controller.as_ref().ok_or_else(|| config.missing("controller"))?;
        self.ca.as_ref().ok_or_else(|| config.missing("ca"))?;
        match &self.token_file {
            Some(file) => self.connect_as(file, config),
            None if self.certificate.is_some() => self.api(None, self.client()?, config),
            None => Err(config.missing("token-file")),
        }
    }

    /// As [`Self::connect`], with the secret of this file.
    pub(crate) fn connect_as(&self, file: &Path, config: &Config) -> Result<Api, Failure> {
        self.api(Some(file), None, config)
    }

    /// As [`Self::connect`], for somebody who is not known yet.
    pub(crate) fn connect_unknown(&self, config: &Config) -> Result<Api, Failure> {
        self.api(None, None, config)
    }

    /// The certificate and its key.
    fn client(&self) -> Result<Option<ClientCert>, Failure> {
        let Some(path) = &self.certificate else { return Ok(None) };
        let wrong = |path: &Path| {
            Failure::Usage(format!(
                "{} holds no PEM of the client certificate and its key: give `certificate` and \
                 `key_file` in the profile",
                path.display()
            ))
        };
        let key_file = self.key_file.as_deref().ok_or_else(|| wrong(path))?;
        let key = read_private(key_file)?;
        let key = PrivateKey::from_pem(key.as_bytes()).map_err(|_| wrong(key_file))?;
        let chain = authorities(path)?;
        let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        Ok(Some(ClientCert::new_with_certs(&chain, key)))
    }

    fn api(
        &self,
        file: Option<&Path>,
        client: Option<ClientCert>,
        config: &Config,
    ) -> Result<Api, Failure> {
        let controller = self.controller.as_deref().ok_or_else(|| config.missing("controller"))?;
        let ca = self.ca.as_deref().ok_or_else(|| config.missing("ca"))?;
        let authorities = authorities(ca)?;
        Api::new(controller, &authorities, client, file.map(token).transpose()?)
    }

    /// Where the session of `login` is kept.
    pub(crate) fn session(&self) -> Result<&Path, Failure> {
        self.session.as_deref().ok_or_else(|| {
            Failure::Usage("there is no place to keep a session in: give --profile".into())
        })
    }
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

/// The text of a file of settings.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, Failure> {
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
    fn options_win_over_the_profile() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[profile.a]\ncontroller = \"https://a\"\nca = \"ca.pem\"\n";
        let config = file(dir.path(), "config.toml", text, 0o644);
        let global = Global {
            config: Some(config),
            controller: Some("https://b".to_owned()),
            ..Global::default()
        };
        let (loaded, _) = Profile::load(&global).unwrap();
        assert_eq!(loaded.controller.as_deref(), Some("https://b"));
        assert_eq!(loaded.ca, Some(dir.path().join("ca.pem")));
        assert_eq!(loaded.token_file, None);
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
