//! `tenurectl completions` and `tenurectl man`: what can be typed, for shells and for readers, made
//! from the definitions of the command line themselves.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use clap::{CommandFactory as _, ValueEnum};
use clap_mangen::Man;
use serde_json::json;

use crate::{args::Cli, failure::Failure, screen::Screen};

/// Shells with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// What every page ends with, roff.
const SEE_ALSO: &str = "\
.SH EXIT STATUS
.TP
0
Done.
.TP
1
Refused by the controller, or what was waited for ended otherwise.
The sentence and the code say why.
.TP
2
Wrong use, or a local file that cannot be used.
.TP
3
The evidence does not hold.
.TP
4
The controller cannot be reached, or has failed.
.TP
5
The answer could not be written.
.TP
6
What was waited for has not ended within \\-\\-wait\\-limit; it goes on.
.SH FILES
.TP
.I ~/.config/tenurectl/config.toml
Profiles, one for each controller; see
.BR tenurectl (1).
";

/// The settings file, on the first page, roff.
const SETTINGS: &str = "\
.SH SETTINGS
Options go before the settings file, which is TOML:
.PP
.nf
default = \\(dqprovince\\(dq
[profile.province]
controller = \\(dqhttps://controller.example:8443\\(dq
ca = \\(dqca.pem\\(dq
token_file = \\(dqtoken\\(dq
.fi
.PP
Paths are relative to the file.
A token stands in a file of its own that its owner alone can read,
never in an argument or the environment.
.SH ENVIRONMENT
.TP
.B LC_ALL, LC_MESSAGES, LANG
The language of tables, if
.B \\-\\-lang
is not given.
.TP
.B NO_COLOR
If set, tables have no colours unless
.B \\-\\-color
asks for them.
.TP
.B XDG_CONFIG_HOME
Where the settings file is looked for, instead of ~/.config.
";

/// Prints a completion script.
pub(crate) fn completions(shell: Shell, screen: &Screen) -> Result<(), Failure> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut command, "tenurectl", &mut script);
    screen.bytes(&script)
}

/// Writes manual pages into a directory, and makes it if there is none.
pub(crate) fn pages(dir: &Path, screen: &Screen) -> Result<(), Failure> {
    let failed = |path: &Path, source| Failure::Write { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(|source| failed(dir, source))?;
    let mut command = Cli::command();
    command.build();
    let mut written = Vec::new();
    let mut waiting = vec![command.disable_help_subcommand(true)];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned());
        let has_verbs = command.has_subcommands();
        let man = Man::new(command);
        let path = dir.join(man.get_filename());
        page(&man, has_verbs, written.is_empty(), &path).map_err(|source| failed(&path, source))?;
        written.push(path);
    }
    let (count, at) = (written.len().to_string(), dir.to_string_lossy());
    screen.say(&screen.fill("{} pages in {}", &[&count, &at]), &json!({ "files": written }))
}

fn page(man: &Man, has_verbs: bool, is_first: bool, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_verbs {
        man.render_subcommands_section(&mut page)?;
    }
    // A break around a blank line is one blank line.
    let text = String::from_utf8_lossy(&page).replace(".br\n\n.br\n", ".sp\n");
    let name = path.file_stem().unwrap_or_default().to_string_lossy().to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    let settings = if is_first { SETTINGS } else { "" };
    // Not a date, which would make two builds differ.
    let title = format!(".TH \"{name}\" 1 \"\" \"tenurectl {version}\" \"Tenure\"\n");
    File::create(path)?.write_all(format!("{title}{text}{settings}{SEE_ALSO}").as_bytes())
}
