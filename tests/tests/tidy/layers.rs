//! Who may import whom, and what a pure core may touch.

use crate::source::{Source, Violation, code, line_of, words};

/// Crates of the workspace, and which others of it each may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("protocol/delivery", &["tenure-protocol"]),
    ("controller", &["tenure-protocol", "tenure-delivery"]),
    ("agent", &["tenure-protocol", "tenure-delivery"]),
    ("cli", &["tenure-protocol"]),
    ("tests", &["tenure-protocol", "tenure-delivery", "tenure-controller", "tenure-agent"]),
];

/// Crates without clock, I/O or randomness, which a core may use.
const PURE: &[&str] = &[
    "base64",
    "ed25519_dalek",
    "fluent_bundle",
    "garde",
    "hex",
    "http",
    "jiff",
    "jsonschema",
    // Its types; `helper`, which runs nft, is among what a core never touches.
    "nftables",
    "postcard",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "uuid",
    "zeroize",
];

/// Modules of std that are only values and algorithms.
const PURE_STD: &[&str] = &[
    "array",
    "borrow",
    "char",
    "cmp",
    "collections",
    "convert",
    "error",
    "fmt",
    "hash",
    "iter",
    "marker",
    "mem",
    "num",
    "ops",
    "option",
    "result",
    "slice",
    "str",
    "string",
    "vec",
];

/// What a core never does, as words of its code and what follows them.
const IMPURE: &[(&str, &str)] = &[
    ("SystemTime", ""),
    ("Instant", "::now"),
    ("Timestamp", "::now"),
    ("TcpStream", ""),
    ("TcpListener", ""),
    ("UdpSocket", ""),
    ("ToSocketAddrs", ""),
    ("File", "::"),
    ("Command", "::new"),
    ("fs", "::"),
    ("helper", "::"),
    ("tokio", ""),
    ("async", ""),
    ("await", ""),
    ("Mutex", ""),
    ("RwLock", ""),
    ("OnceLock", ""),
    ("LazyLock", ""),
    ("thread_local", "!"),
    ("rand", "::"),
    ("getrandom", ""),
    ("OsRng", ""),
    ("println", "!"),
    ("eprintln", "!"),
    ("panic", "!"),
    ("unreachable", "!"),
    ("todo", "!"),
    ("unimplemented", "!"),
    ("unsafe", ""),
];

/// Calls that end a core on bad input; `expect` only with a message, since that is what the ones of
/// Option and Result take.
const PANICS: &[&str] = &[".unwrap()", ".unwrap_err()", ".expect(_", ".expect_err(_"];

/// Shells: modules with side effects of one kind each. `crate/src/` and the module.
const SHELLS: &[(&str, &str)] = &[
    ("controller/src/", "store"),
    ("controller/src/", "link"),
    ("controller/src/", "http"),
    ("controller/src/", "notify"),
    ("controller/src/", "ledger"),
    ("controller/src/", "files"),
];

/// What joins a host's shells: it may import them all.
const HOST_JOINTS: &[&str] = &["real", "observe", "preflight"];

/// What several shells of a host stand on, and who may: `process` alone starts processes.
const HOST_PARTS: &[(&str, &[&str])] = &[
    ("process", &["shed", "nft", "qemu", "volume", "key"]),
    ("netlink", &["nft", "tap"]),
    ("key", &["volume", "qemu"]),
    ("volume", &["qemu"]),
    ("pool", &["volume"]),
    ("block", &["device", "disk", "holders"]),
    ("deadline", &["process", "pidfd", "qemu", "tap"]),
    ("pidfd", &["process", "process_tests", "qemu"]),
    ("shed", &["process"]),
    ("holders", &["disk", "memory"]),
    ("overwrite", &["disk", "memory", "leftovers"]),
    // Files of a run directory are wiped as what they lie on is; devices are told apart as there.
    ("disk", &["leftovers", "pool", "volume"]),
    ("memory", &["leftovers"]),
];

/// Dependencies within the workspace.
pub(crate) fn crates(source: &Source) -> Vec<Violation> {
    let Some(directory) = source.path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == directory) else {
        return vec![Violation::new(1, "a crate that the overview does not know")];
    };
    let manifest: toml::Table = source.text.parse().expect("cargo has read it");
    let mut found = Vec::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let names = manifest.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
        for (name, _) in names.filter(|(name, _)| name.starts_with("tenure")) {
            if !allowed.contains(&name.as_str()) {
                let at = source.text.find(name.as_str()).unwrap_or(0);
                let what = format!("{directory} must not depend on {name}");
                found.push(Violation::new(line_of(&source.text, at), what));
            }
        }
    }
    found
}

/// Imports of a core.
pub(crate) fn core_imports(source: &Source) -> Vec<Violation> {
    let core = if source.path.starts_with("protocol/") { None } else { Some("core") };
    let child = |name: &str| {
        code(source.without_tests()).contains(&format!("mod {name};"))
            || source.path.starts_with("protocol/")
    };
    let mut found = Vec::new();
    for (line, path) in source.imports() {
        let part = |at: usize| path.get(at).map_or("", String::as_str);
        let allowed = match part(0) {
            "crate" => core.is_none_or(|core| part(1) == core),
            "std" | "core" | "alloc" => {
                PURE_STD.contains(&part(1))
                    || part(1) == "net" && part(2).starts_with("Ip")
                    || part(1) == "time" && part(2) == "Duration"
            }
            "tenure_protocol" => true,
            // A type of this file, or a module that it declares, such as `use Phase::*`.
            name if name.starts_with(char::is_uppercase) || child(name) => true,
            // Its ciphers and digests are; its random source is not.
            "ring" => ["aead", "digest", "hmac"].contains(&part(1)),
            name => PURE.contains(&name),
        };
        if !allowed {
            found.push(Violation::new(line, format!("core must not import {}", path.join("::"))));
        }
    }
    found
}

/// Words and calls of a core.
pub(crate) fn core_purity(source: &Source) -> Vec<Violation> {
    let code = code(source.without_tests());
    let mut found = Vec::new();
    for &(word, after) in IMPURE {
        for (at, _) in words(&code, word).filter(|(_, rest)| rest.starts_with(after)) {
            let what = format!("core must not use {word}{after}");
            found.push(Violation::new(line_of(&code, at), what));
        }
    }
    for (at, _) in code.match_indices('.') {
        let call: String = code[at..].chars().filter(|c| !c.is_whitespace()).take(13).collect();
        if let Some(call) = PANICS.iter().find(|panic| call.starts_with(**panic)) {
            let call = call.trim_end_matches('_');
            found.push(Violation::new(line_of(&code, at), format!("core must not call {call}")));
        }
    }
    found
}

/// Imports from one shell to another.
pub(crate) fn shells(source: &Source) -> Vec<Violation> {
    let module = source.module();
    let own = |at: usize| module.get(at).map_or("", String::as_str);
    let is_shell = |name: &str| {
        SHELLS.iter().any(|(base, shell)| source.path.starts_with(base) && *shell == name)
    };
    let mut found = Vec::new();
    for (line, path) in source.imports() {
        let part = |at: usize| path.get(at).map_or("", String::as_str);
        if part(0) != "crate" {
            continue;
        }
        let sideways = is_shell(own(0)) && is_shell(part(1)) && own(0) != part(1);
        let host = source.path.starts_with("agent/src/host/")
            && part(1) == "host"
            && !own(1).is_empty()
            && !HOST_JOINTS.contains(&own(1))
            && own(1) != part(2)
            && part(2).starts_with(char::is_lowercase)
            && !HOST_PARTS.iter().any(|(name, users)| {
                *name == part(2) && users.contains(&own(1).trim_end_matches("_tests"))
            });
        if sideways || host {
            let what = format!("a shell must not import another: {}", path.join("::"));
            found.push(Violation::new(line, what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(found: &[Violation]) -> Vec<usize> {
        let mut lines: Vec<usize> = found.iter().map(|violation| violation.line).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    #[test]
    fn a_controller_that_depends_on_the_agent_is_found() {
        let text = "[dependencies]\ntenure-protocol.workspace = true\n\
            [dev-dependencies]\ntenure-agent.workspace = true\n";
        assert_eq!(lines(&crates(&Source::new("controller/Cargo.toml", text))), [4]);
        assert_eq!(crates(&Source::new("tests/Cargo.toml", text)), []);
        assert_eq!(lines(&crates(&Source::new("common/Cargo.toml", ""))), [1]);
    }

    #[test]
    fn a_core_that_imports_a_shell_a_socket_or_a_runtime_is_found() {
        let text = "use std::{collections::BTreeMap, fs};\nuse tokio::sync;\n\
            use crate::{core::tenant, store::Row};\nuse std::net::TcpStream;\n\
            use tenure_protocol::id;\nuse std::net::Ipv4Addr;\nuse super::super::clock;\n\
            use std::time::{Duration, Instant};\n";
        let found = core_imports(&Source::new("controller/src/core/tenant.rs", text));
        assert_eq!(lines(&found), [1, 2, 3, 4, 7, 8]);
    }

    #[test]
    fn a_core_that_reads_a_clock_locks_awaits_or_panics_is_found() {
        let text = "let a = Instant::now();\nlet b = c.unwrap();\nasync fn d() {}\n\
            let e: Mutex<u8>;\npanic!(a.expect(\n\"why\"), b.expect(c));\n\
            let f = g.unwrap_or(1); // Instant\n\
            #[expect(dead_code)]\nlet h = \"async\";\n#[cfg(test)]\nmod tests { i.unwrap() }\n";
        let found = core_purity(&Source::new("agent/src/core/plan.rs", text));
        assert_eq!(lines(&found), [1, 2, 3, 4, 5]);
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn a_shell_that_imports_another_is_found() {
        let text = "use crate::core::tenant;\nuse crate::store::Row;\nuse super::page;\n";
        assert_eq!(lines(&shells(&Source::new("controller/src/http/api.rs", text))), [2]);
        let text = "use super::process::run;\nuse super::tap;\nuse crate::host::qemu::Qmp;\n";
        assert_eq!(lines(&shells(&Source::new("agent/src/host/qemu.rs", text))), [2]);
        assert_eq!(shells(&Source::new("agent/src/host/mod.rs", text)), []);
    }
}
