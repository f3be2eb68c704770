//! The settings file: one profile per controller, by name. It holds paths of secrets, never a
//! secret. Also `tenurectl profile`, which shows them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    args::Global,
    environment::config_dir,
    failure::Failure,
    profile::{Profile, read_text},
    screen::{Column, Screen, column},
};

/// Whose session it is if no profile has a name.
const UNNAMED: &str = "default";
/// The settings file, in the user's directory of settings.
const FILE: &str = "tenurectl/config.toml";

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileVerb {
    /// All profiles of the settings file, and whether each can be used
    List,
}

/// The settings file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The profile that is used without `--profile`.
    default: Option<String>,
    /// All profiles, by name.
    #[serde(default, rename = "profile")]
    profiles: BTreeMap<String, Profile>,
    /// Where it was read from, or would be.
    #[serde(skip)]
    path: PathBuf,
}

impl Config {
    /// The file of `--config`, else the user's. A missing one is an error only if it was asked for.
    pub(crate) fn load(global: &Global) -> Result<Self, Failure> {
        let (path, asked) = match &global.config {
            Some(path) => (path.clone(), true),
            None => match config_dir() {
                Some(dir) => (dir.join(FILE), false),
                None => return Ok(Self::default()),
            },
        };
        if asked || path.exists() {
            Self::read(&path)
        } else {
            Ok(Self { path, ..Self::default() })
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let text = read_text(path)?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.profiles.values_mut().for_each(|profile| profile.resolve(base));
        config.path = path.to_owned();
        match &config.default {
            Some(name) if !config.profiles.contains_key(name) => {
                Err(config.unknown(name, "as its default"))
            }
            _ => Ok(config),
        }
    }

    /// The profile of this name, else the default one, else the only one.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<Profile, Failure> {
        let profile = match name {
            Some(name) => {
                let found = self.profiles.get(name).cloned();
                found.ok_or_else(|| self.unknown(name, "but --profile names it"))?
            }
            None => {
                let chosen = self.usual().and_then(|name| self.profiles.get(name));
                chosen.cloned().unwrap_or_default()
            }
        };
        if self.path.as_os_str().is_empty() {
            return Ok(profile);
        }
        let name = name.or_else(|| self.usual()).unwrap_or(UNNAMED);
        Ok(profile.with_session(self.path.with_file_name(format!("{name}.session"))))
    }

    fn usual(&self) -> Option<&str> {
        let only = || match self.profiles.len() {
            1 => self.profiles.keys().next(),
            _ => None,
        };
        self.default.as_ref().or_else(only).map(String::as_str)
    }

    /// Nothing says which controller, or how to reach it.
    pub(crate) fn missing(&self, option: &str) -> Failure {
        let path = self.path.display();
        Failure::Usage(if self.usual().is_none() && !self.profiles.is_empty() {
            format!(
                "no {option} is known: give --{option}, or --profile with one of {}, or set \
                 `default` in {path}",
                self.names()
            )
        } else {
            format!("no {option} is known: give --{option}, or set it in {path}")
        })
    }

    fn unknown(&self, name: &str, why: &str) -> Failure {
        let path = self.path.display();
        let known = match self.profiles.len() {
            0 => "it has none: write [profile.NAME]".to_owned(),
            _ => format!("it has {}", self.names()),
        };
        Failure::Usage(format!("{path} has no profile {name:?} {why}; {known}"))
    }

    fn names(&self) -> String {
        self.profiles.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn list(&self) -> Value {
        let row = |(name, profile): (&String, &Profile)| {
            let mut row = profile.view();
            row["name"] = json!(name);
            row["default"] = json!(Some(name.as_str()) == self.usual());
            row["usable"] = match profile.connect(self) {
                Ok(_) => json!(true),
                Err(failure) => json!(failure.to_string()),
            };
            row
        };
        Value::Array(self.profiles.iter().map(row).collect())
    }
}

const PROFILES: &[Column] = &[
    column("PROFILE", &["/name"]),
    column("DEFAULT", &["/default"]),
    column("CONTROLLER", &["/controller"]),
    column("CA", &["/ca"]),
    column("TOKEN FILE", &["/token_file"]),
    column("USABLE", &["/usable"]),
];

/// Runs it.
pub(crate) fn run(verb: &ProfileVerb, global: &Global, screen: &Screen) -> Result<(), Failure> {
    let ProfileVerb::List = verb;
    screen.many(&Config::load(global)?.list(), PROFILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
            .unwrap();
        Config::read(&path)
    }

    const TWO: &str = "\
        [profile.province]\ncontroller = \"https://a\"\nca = \"ca.pem\"\ntoken_file = \"/t\"\n\
        [profile.city]\ncontroller = \"https://b\"\n";

    fn controller(config: &Config, name: Option<&str>) -> Value {
        config.choose(name).unwrap().view()["controller"].clone()
    }

    #[test]
    fn a_profile_is_the_named_one_else_the_default_else_the_only_one() {
        let two = config(TWO).unwrap();
        assert_eq!(controller(&two, Some("city")), "https://b");
        assert_eq!(controller(&two, None), Value::Null);
        let set = config(&format!("default = \"province\"\n{TWO}")).unwrap();
        assert_eq!(controller(&set, None), "https://a");
        let one = config("[profile.city]\ncontroller = \"https://b\"\n").unwrap();
        assert_eq!(controller(&one, None), "https://b");
        assert_eq!(Config::default().choose(None).unwrap(), Profile::default());
    }

    #[test]
    fn what_is_missing_is_said_with_the_names_to_choose_from() {
        let said = config(TWO).unwrap().missing("controller").to_string();
        assert!(said.contains("--profile with one of city, province"), "{said}");
        let one = config("[profile.city]\nca = \"ca.pem\"\n").unwrap().missing("controller");
        assert!(!one.to_string().contains("--profile"), "{one}");
        let said = config(TWO).unwrap().choose(Some("town")).unwrap_err();
        assert_eq!(said.exit_code(), 2);
        assert!(
            said.to_string().contains("\"town\"") && said.to_string().contains("city"),
            "{said}"
        );
        let said = config("default = \"town\"\n").unwrap_err().to_string();
        assert!(said.contains("[profile.NAME]"), "{said}");
    }

    #[test]
    fn a_token_in_the_file_is_refused_by_the_name_of_the_setting() {
        let said = config("[profile.a]\ntoken = \"secret\"\n").unwrap_err();
        assert_eq!(said.exit_code(), 2);
        assert!(said.to_string().contains("unknown field `token`"), "{said}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), TWO.as_bytes())
            .unwrap();
        let view = Config::read(&path).unwrap().choose(Some("province")).unwrap().view();
        assert_eq!(view["ca"], dir.path().join("ca.pem").to_string_lossy().as_ref());
        assert_eq!(view["token_file"], "/t");
    }
}
