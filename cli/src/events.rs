//! `tenurectl events`: what happens to the tenants that this token may see, as it is committed. A
//! stream that ends (each does after a while) is taken up again after the last event shown, so that
//! nothing is left out and nothing comes twice.

use std::{
    io::{BufRead as _, BufReader, Read},
    time::Duration,
};

use clap::Args;
use serde_json::Value;

use crate::{
    api::Api,
    failure::Failure,
    pause,
    screen::{Format, Screen, cell},
};

/// How long to wait before a stream is taken up again.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest line of a stream, bytes.
const MAX_LINE_BYTES: u64 = 4 * 1024 * 1024;

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with what happens next, until interrupted
    #[arg(long)]
    follow: bool,
    /// Begin after the event of this number; 0 is the beginning [default: 0, or what comes next
    /// with --follow]
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

/// Shows them, one on a line.
pub(crate) fn run(args: &EventsArgs, api: &Api, screen: &Screen) -> Result<(), Failure> {
    if !args.follow {
        let after = args.after.unwrap_or(0);
        let stream = api.stream(&format!("/v1/events?follow=false&after={after}"), None)?;
        return show(stream, api, screen, &mut None);
    }
    let mut path = "/v1/events".to_owned();
    if let Some(after) = args.after {
        path = format!("{path}?after={after}");
    }
    let mut last = None;
    loop {
        let shown = api.stream(&path, last).and_then(|stream| show(stream, api, screen, &mut last));
        match shown {
            Ok(()) => {}
            Err(Failure::Unreachable(text)) => screen.tell(format_args!("{text}; trying again")),
            Err(failure) => return Err(failure),
        }
        pause::pause(AGAIN);
    }
}

/// Shows the events of one stream, and keeps the number of the last one.
fn show(
    stream: impl Read,
    api: &Api,
    screen: &Screen,
    last: &mut Option<u64>,
) -> Result<(), Failure> {
    let mut stream = BufReader::new(stream);
    let mut data = String::new();
    loop {
        let mut line = String::new();
        let read = stream.by_ref().take(MAX_LINE_BYTES).read_line(&mut line);
        if read.map_err(|error| api.broken(error))? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(text) = line.strip_prefix("data:") {
            data.push_str(text.strip_prefix(' ').unwrap_or(text));
        } else if line.is_empty() && !data.is_empty() {
            let event: Value =
                serde_json::from_str(&data).map_err(|_| api.broken("an event is not JSON"))?;
            data.clear();
            screen.text(&screen.line(&event))?;
            // The row's own number is its id in the stream.
            *last = event["seq"].as_u64().or(*last);
        }
    }
}

impl Screen {
    /// An event on one line.
    fn line(&self, event: &Value) -> String {
        if self.format() == Format::Json {
            return event.to_string();
        }
        let part = |pointers: &[&str]| cell(event, pointers);
        format!(
            "{:>6}  {}  {}  {:<20}  {:<22}  {}",
            part(&["/seq"]),
            part(&["/at"]),
            part(&["/tenant"]),
            part(&["/kind"]),
            part(&["/phase"]),
            part(&["/actor/name"]),
        )
    }
}
