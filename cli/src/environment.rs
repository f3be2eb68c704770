//! The one place of this program that reads the environment: the reader's language and terminal,
//! and where settings lie. No secret comes from it, and no setting of a controller.

#![allow(
    clippy::disallowed_methods,
    reason = "environment.rs is where the conventions of a Unix session are read"
)]

use std::{env, path::PathBuf};

/// The first of these variables that is set to something.
pub(crate) fn first_of(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The directory of the user's settings, by the XDG base directory specification: a relative one
/// does not count.
pub(crate) fn config_dir() -> Option<PathBuf> {
    let given = first_of(&["XDG_CONFIG_HOME"]).map(PathBuf::from);
    given.filter(|dir| dir.is_absolute()).or_else(|| Some(env::home_dir()?.join(".config")))
}
