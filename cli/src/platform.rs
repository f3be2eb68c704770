//! `tenurectl image` and `tenurectl anchors`: what the platform offers and what it vouches by.

use std::{fs, io::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
};

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// All images that an application can name
    List,
}

/// Where the anchors go.
#[derive(Debug, Args)]
pub(crate) struct AnchorsArgs {
    /// Write them to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const IMAGES: &[Column] = &[
    column("IMAGE", &["/name"]),
    column("KERNEL", &["/kernel"]),
    column("INITRD", &["/initrd"]),
    column("CMDLINE", &["/cmdline"]),
];

/// Images.
pub(crate) fn image(verb: &ImageVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let ImageVerb::List = verb;
    screen.many(&api.get("/v1/images")?, IMAGES)
}

/// Whether the controller is up.
pub(crate) fn health(api: &Api, screen: &Screen) -> Result<(), Failure> {
    let words = api.words("/healthz")?;
    let sentence = screen.fill("the controller at {} is up", &[api.controller()]);
    screen.say(&sentence, &json!({ "up": true, "words": words.trim() }))
}

/// The API's description, JSON by its nature.
pub(crate) fn openapi(api: &Api, screen: &Screen) -> Result<(), Failure> {
    screen.json(&api.get("/openapi.json")?)
}

/// Anchors: JSON in any case, since a file of them is what `verify` reads.
pub(crate) fn anchors(args: &AnchorsArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    let anchors: Value = api.get("/v1/anchors")?;
    let Some(path) = &args.out else {
        return screen.json(&anchors);
    };
    let failed = |source| Failure::Write { path: path.clone(), source };
    let mut file = fs::File::create(path).map_err(failed)?;
    writeln!(file, "{anchors:#}").and_then(|()| file.sync_all()).map_err(failed)?;
    let file = path.to_string_lossy();
    let sentence =
        screen.fill("{}: compare it with a copy from another source before you trust it", &[&file]);
    screen.say(&sentence, &json!({ "file": file }))
}
