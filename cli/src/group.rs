//! `tenurectl group`: security groups, in the customer's own hand.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
};

/// Most bytes of a file of rules.
const MAX_RULES_BYTES: u64 = 1024 * 1024;

/// What can be done with security groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupVerb {
    /// All of a tenant's, and the roles that they are attached to
    List {
        /// The tenant's id
        tenant: TenantId,
    },
    /// The rules of one, and how far the law opens each now
    Show {
        /// The tenant's id
        tenant: TenantId,
        /// Its name
        name: String,
    },
    /// Set one whole, in place of one of the same name; hosts put it in force at once (customer)
    Set {
        /// The tenant's id
        tenant: TenantId,
        /// Its name
        name: String,
        /// Its roles and rules, TOML or JSON; - reads them from stdin
        #[arg(long, value_name = "FILE|-", conflicts_with_all = ["role", "rule"])]
        file: Option<PathBuf>,
        /// A role of instances that it is attached to; can be given again
        #[arg(long, required_unless_present = "file")]
        role: Vec<String>,
        /// A rule: ingress or egress; tcp:443, udp:5000-5010, icmp or any; extranet, internet,
        /// isolated, a prefix, or group:NAME; and what it is for. Can be given again
        #[arg(long, num_args = 4, value_names = ["DIRECTION", "TRAFFIC", "PEER", "PURPOSE"])]
        rule: Vec<String>,
    },
    /// Remove one that no other names as a peer (customer)
    Rm {
        /// The tenant's id
        tenant: TenantId,
        /// Its name
        name: String,
    },
}

const GROUPS: &[Column] =
    &[column("NAME", &["/name"]), column("ROLES", &["/roles"]), column("RULES", &["/rules"])];

const RULES: &[Column] = &[
    column("DIRECTION", &["/direction"]),
    column("PROTOCOL", &["/protocol"]),
    column("PORT", &["/port"]),
    column("LAST PORT", &["/last_port"]),
    column("PEER", &["/peer"]),
    column("STATE", &["/state"]),
    column("UNTIL", &["/until"]),
    column("PURPOSE", &["/purpose"]),
];

/// Runs it.
pub(crate) fn run(
    verb: GroupVerb,
    api: impl FnOnce() -> Result<Api, Failure>,
    screen: &Screen,
) -> Result<(), Failure> {
    match verb {
        GroupVerb::List { tenant } => screen.many(&list(&api()?, tenant)?, GROUPS),
        GroupVerb::Show { tenant, name } => {
            let groups = list(&api()?, tenant)?;
            let mut found = groups.as_array().into_iter().flatten();
            let found = found.find(|group| group["name"] == name.as_str()).ok_or_else(|| {
                Failure::Usage(format!("no group {name:?}: `group list` shows what there is"))
            })?;
            screen.many(&found["rules"], RULES)
        }
        GroupVerb::Set { tenant, name, file, role, rule } => {
            let mut group = match file {
                Some(file) => read(&file)?,
                None => typed(role, &rule)?,
            };
            if group.get("name").is_some_and(|own| *own != name.as_str()) {
                return Err(Failure::Usage(format!(
                    "the file is of another group than {name:?}: leave its name out, or give it"
                )));
            }
            group.insert("name".to_owned(), json!(name));
            screen.one(&api()?.post(&format!("/v1/tenants/{tenant}/groups"), &group)?)
        }
        GroupVerb::Rm { tenant, name } => {
            let path = format!("/v1/tenants/{tenant}/groups/removal");
            screen.one(&api()?.post(&path, &json!({ "name": name }))?)
        }
    }
}

fn list(api: &Api, tenant: TenantId) -> Result<Value, Failure> {
    api.list(&format!("/v1/tenants/{tenant}/groups"))
}

/// Roles and rules from the command line.
fn typed(role: Vec<String>, rule: &[String]) -> Result<Map<String, Value>, Failure> {
    let rules: Result<Vec<Value>, Failure> = rule.as_chunks::<4>().0.iter().map(a_rule).collect();
    let roles: BTreeSet<String> = role.into_iter().collect();
    let group = [("roles".to_owned(), json!(roles)), ("rules".to_owned(), json!(rules?))];
    Ok(group.into_iter().collect())
}

fn a_rule([direction, traffic, peer, purpose]: &[String; 4]) -> Result<Value, Failure> {
    let (protocol, ports) = match traffic.split_once(':') {
        Some((protocol, ports)) => (protocol, Some(ports)),
        None => (traffic.as_str(), None),
    };
    let mut rule = json!({
        "direction": direction, "protocol": protocol, "peer": a_peer(peer), "purpose": purpose,
    });
    if let Some(ports) = ports {
        let number = |text: &str| {
            text.parse::<u16>().map_err(|_| {
                Failure::Usage(format!("{ports:?} is no port: give 443, or 5000-5010 for a range"))
            })
        };
        match ports.split_once('-') {
            None => rule["port"] = json!(number(ports)?),
            Some((first, last)) => {
                rule["port"] = json!(number(first)?);
                rule["last_port"] = json!(number(last)?);
            }
        }
    }
    Ok(rule)
}

fn a_peer(peer: &str) -> Value {
    match peer.strip_prefix("group:") {
        Some(group) => json!({ "group": group }),
        None if peer.contains(['/', '.', ':']) => json!({ "prefix": peer }),
        None => json!({ "zone": peer }),
    }
}

/// Reads a group: JSON if it begins with a brace, else TOML.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let source: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    source.take(MAX_RULES_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_RULES_BYTES {
        return Err(Failure::Usage(format!(
            "{} has more than {MAX_RULES_BYTES} bytes: this is another file",
            path.display()
        )));
    }
    let unreadable = |error: String| {
        Failure::Usage(format!("{} is neither TOML nor JSON: {error}", path.display()))
    };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()));
    }
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok(table.into_iter().map(|(name, value)| (name, plain(value))).collect())
}

/// TOML as JSON: its days are texts there.
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(yes) => json!(yes),
        toml::Value::Datetime(day) => json!(day.to_string()),
        toml::Value::Array(items) => items.into_iter().map(plain).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(name, value)| (name, plain(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rule: [&str; 4]) -> [String; 4] {
        rule.map(str::to_owned)
    }

    #[test]
    fn a_rule_that_is_typed_is_what_the_api_takes() {
        let typed = |rule| a_rule(&words(rule)).unwrap();
        assert_eq!(
            typed(["ingress", "tcp:443", "internet", "portal"]),
            json!({"direction": "ingress", "protocol": "tcp", "port": 443,
                   "peer": {"zone": "internet"}, "purpose": "portal"})
        );
        assert_eq!(
            typed(["egress", "udp:5000-5010", "10.1.0.0/16", "logs"]),
            json!({"direction": "egress", "protocol": "udp", "port": 5000, "last_port": 5010,
                   "peer": {"prefix": "10.1.0.0/16"}, "purpose": "logs"})
        );
        assert_eq!(typed(["ingress", "icmp", "group:db", "p"])["peer"], json!({"group": "db"}));
        assert_eq!(
            typed(["ingress", "any", "2001:db8::/32", "p"])["peer"]["prefix"],
            json!("2001:db8::/32")
        );
        let wrong = a_rule(&words(["ingress", "tcp:x", "extranet", "p"])).unwrap_err();
        assert!(wrong.to_string().contains("5000-5010"), "{wrong}");
    }

    #[test]
    fn a_file_of_toml_says_what_one_of_json_says() {
        let toml = r#"
            roles = ["web"]
            [[rules]]
            direction = "ingress"
            protocol = "tcp"
            port = 443
            peer = { zone = "internet" }
            purpose = "portal"
            until = 2026-12-31
        "#;
        let json = r#"{"roles": ["web"], "rules": [{"direction": "ingress", "protocol": "tcp",
            "port": 443, "peer": {"zone": "internet"}, "purpose": "portal",
            "until": "2026-12-31"}]}"#;
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
            read(file.path())
        };
        assert_eq!(file(toml).unwrap(), file(json).unwrap());
        assert!(file("rules = [").is_err() && file("{").is_err());
    }
}
