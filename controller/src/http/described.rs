//! Descriptions for the OpenAPI document where its derives have none to give: parameters, and
//! properties whose shape is a function's. A test sees that nothing is left without one.

use serde_json::{Value, json};

use super::{policy::Policy, route::Route};

/// What stands in the query: name, meaning.
const IN_QUERY: [(&str, &str, &str); 5] = [
    ("", "limit", "Most items of the answer, such as 50"),
    (
        "",
        "after",
        "Where to go on: the `after` of the last answer's `Link: <…>; rel=\"next\"`, unread; the \
         list begins anew without it",
    ),
    (
        "list-events",
        "after",
        "Begin after the event of this number, such as 1042; 0 is the beginning. Without it, and \
         without `Last-Event-ID`, the stream begins with what comes next",
    ),
    ("", "phase", "Only tenants in this phase, such as `online`"),
    ("", "isolation", "Only tenants whose network is so, such as `cut`"),
];

/// What stands in paths: the path's beginning, the parameter, its meaning.
const IN_PATH: [(&str, &str, &str); 14] = [
    ("/v1/accounts/", "provider", "The provider's name in the controller's configuration"),
    ("/v1/accounts/", "name", "The account's name, which is the person's, such as `li.na`"),
    ("/v1/receipts/", "token", "The message's token, as its `{receipt_url}` ends with it"),
    ("/v1/tokens/", "id", "The token's id, as the list of tokens gives it"),
    (
        "/v1/tenants/",
        "id",
        "The tenant's id: a UUID, such as `01890a5d-ac96-774b-bcce-b302099a8057`",
    ),
    ("/v1/hosts/", "id", "The host's id: a UUID, as the list of hosts gives it"),
    ("/v1/hosts/", "sequence", "The alarm's number, as the list of the host's alarms gives it"),
    ("/v1/orders/", "id", "The order's id: a UUID, as the answer to what made it gives it"),
    ("/v1/calendar/notices/", "id", "The notice's id: a UUID, as the calendar gives it"),
    ("/v1/tenants/", "record", "The record's id: a UUID, as the list of records gives it"),
    ("/v1/platform/", "record", "The record's id: a UUID, as the list of records gives it"),
    ("/v1/tenants/", "digest", ATTACHMENT),
    ("/v1/platform/", "digest", ATTACHMENT),
    (
        "/v1/ledger/tile/",
        "path",
        "Which tile, as C2SP tlog-tiles names it under `tile/`: level and index, such as `0/000`, \
         with `.p/` and a width if it is not full; `entries/000` for the entries themselves",
    ),
];

const ATTACHMENT: &str = "The attachment's SHA-256: 64 lower-case hexadecimal digits, as the \
                          upload's answer gives it";

const PEER: &str = "With whom: `prefix`, `zone` or `group`. From addresses of the Internet nothing \
                    comes in before formal operation and its ICP filing, whatever rules say";

/// What properties mean: schema, property, meaning.
const PROPERTIES: [(&str, &str, &str); 95] = [
    (
        "AccountRequest",
        "name",
        "The person's name, such as `li.na`: separation of duties goes by it. 1 to 63 of a-z, 0-9 \
         and `. _ -`, beginning with a letter",
    ),
    ("AccountRequest", "role", "What the person may do"),
    ("AlarmEnd", "reason", "What was found and done, for the platform's journal"),
    ("Application", "contacts", "Whom to notify, at least one"),
    ("Application", "customer", "The organisation that applies: the token's own"),
    ("Application", "instances", "What it needs, at least one"),
    ("Assessment", "assessor", "The assessing organisation: not the customer itself"),
    ("Assessment", "conclusion", "The assessor's conclusion, such as `met`"),
    ("Assessment", "level", "The MLPS level that was assessed"),
    ("Assessment", "report_number", "Number of the report"),
    ("BlockRequest", "reason", "Why the host is not to be trusted, for the platform's journal"),
    ("Bot", "kind", "Whose product the chat is"),
    ("Contact", "available", "When it can be reached, such as `24x7`"),
    ("Contact", "designated", "Which of its channels are the systems that it designates"),
    ("ContactsRequest", "contacts", "Whom to notify, at least one; all secrets anew"),
    (
        "Contact",
        "mobile",
        "Mobile telephone, such as `13800000000`: for people to call, and for short messages if \
         `sms` is designated",
    ),
    ("Contact", "name", "Who: a person's or a desk's name"),
    ("CutRuleProposal", "kinds", "For which kinds of alarm, by what the tenant's instances do"),
    ("CutRuleProposal", "reason", "Why people are not asked first"),
    ("CutRequest", "kind", "Which kind: `planned` once a notice of it has reached the customer"),
    ("CutRequest", "reason", "Why: the customer reads this in the notice"),
    ("CutsRequest", "kind", "Which kind: `planned` once a notice of it has reached each customer"),
    ("CutsRequest", "reason", "Why: the customers read this in the notice"),
    ("CutsRequest", "tenants", "Ids of the tenants, each once; or leave it out and give `host`"),
    ("RestoresRequest", "reason", "Why the traffic may pass again"),
    (
        "RestoresRequest",
        "tenants",
        "Ids of the tenants, each once; or leave it out and give `host`",
    ),
    ("Document", "title", "Its title or number"),
    ("Draft", "contacts", "Whom to notify; none, as yet"),
    ("Draft", "customer", "The organisation that applies: the token's own"),
    ("Draft", "instances", "What it needs; nothing, as yet"),
    ("DraftSystem", "code", "Its short code; empty, as yet"),
    ("DraftSystem", "name", "Its name; empty, as yet"),
    ("Expert", "name", "Who"),
    ("Expert", "opinion", "What that person said"),
    ("ExtensionDecision", "decision", "The outcome"),
    ("ExtensionDecision", "experts", "Who assessed it; two or more to approve"),
    ("ExtensionDecision", "opinion", "Why"),
    ("ExtensionRequest", "reason", "Why a longer trial is needed"),
    ("Group", "name", "Its name within the tenant, such as `web`: of letters, digits and hyphens"),
    ("Group", "roles", "Roles of the instances that it is attached to; none, if left out"),
    ("Group", "rules", "What it lets pass; nothing, if left out. No two rules say the same"),
    ("GroupRemoval", "name", "Which group"),
    ("GroupRule", "direction", "Which way the first packet goes: answers pass the other way"),
    ("GroupRule", "peer", PEER),
    (
        "GroupRule",
        "protocol",
        "`icmp` is echo requests alone (ping; its errors and answers always pass), `any` every \
         IPv4 packet",
    ),
    ("GroupRule", "purpose", "What it is for, such as `monitoring of the bureau`"),
    ("RuleView", "direction", "Which way the first packet goes"),
    ("RuleView", "peer", "With whom"),
    ("RuleView", "protocol", "Which protocol"),
    (
        "RuleView",
        "state",
        "How far it is in force: `in-part` and `not-in-force` until the law opens the rest of its \
         zone, or if it names nobody; `ended` once its term is over",
    ),
    ("HoldPlacing", "kind", "Why things are kept"),
    ("HoldPlacing", "reason", "What it is about"),
    ("HoldRelease", "reason", "Why it ends"),
    ("HeardAcknowledgement", "over", "By what number, or otherwise, such as `13800000000`"),
    ("HeardAcknowledgement", "person", "Who acknowledged it"),
    ("HeardAcknowledgement", "words", "The words that were heard"),
    ("IcpFiling", "domain", "The domain that was filed, such as `example.gov.cn`"),
    ("IcpFiling", "holder", "Who holds the filing"),
    ("IcpFiling", "number", "The filing's number, such as 赣ICP备2026000001号"),
    ("IngressRequest", "protocol", "Which transport"),
    (
        "IngressRequest",
        "zone",
        "From where it is to be reached: `extranet` (the government extranet), `internet` (opens \
         in formal operation, once a reviewer has found the ICP filing in the ministry's \
         register), or `isolated` (the tenant's network alone)",
    ),
    ("ChecklistItemView", "state", "Whether it is there"),
    ("IcpCheck", "opinion", "What was looked up, and what stands there"),
    ("InstanceRequest", "count", "How many like instances"),
    ("InstanceRequest", "image", "Name of an image of the catalogue, as the list of images has it"),
    ("InstanceRequest", "ingress", "What may come in; nothing, if left out"),
    ("InstanceRequest", "memory_mib", "Memory of each, MiB, such as 2048"),
    ("InstanceRequest", "role", "What they do, such as web: their names begin with it"),
    ("InstanceRequest", "vcpus", "Virtual processors of each"),
    ("InstanceRequest", "volumes_gib", "Volumes of each, GiB: at least one, or `volumes_mib`"),
    ("InstanceRequest", "volumes_mib", "Volumes of each, MiB: instead of `volumes_gib`"),
    ("JoinRequest", "host_name", "The host's name: a DNS label, such as `h1`"),
    ("Leaving", "reason", "Why the customer leaves"),
    ("NewRecord", "content", "What it says: a `kind`, and the fields of that kind"),
    ("NoticeForm", "form", "`text`: its Chinese text; `holiday-cn`: a year's file of holiday-cn"),
    ("NoticeRejection", "reason", "Why it is not put in force"),
    ("Opinion", "opinion", "What was looked at, or why not"),
    ("Reason", "reason", "Why"),
    ("Rectification", "note", "What was changed"),
    ("ReportsReview", "decision", "The outcome"),
    (
        "ReportsReview",
        "items",
        "What to rectify, item by item: at least one if they fail, none if they pass",
    ),
    ("ReportsReview", "opinion", "Why"),
    ("Review", "decision", "The outcome"),
    ("Review", "opinion", "Why"),
    ("Signature", "id", "Which obligation, such as `O5`"),
    ("Signature", "reason", "Why the customer may be held to the earlier deadline"),
    ("System", "code", "Its short code, such as `permits`"),
    ("System", "name", "Its name"),
    (
        "TokenRequest",
        "name",
        "The token's own name, such as `night-watch`: a person's, or a script's. 1 to 63 of a-z, \
         0-9 and `. _ -`, beginning with a letter",
    ),
    ("Thresholds", "packets_per_s", "Packets of one network card in one direction, in a second"),
    (
        "Thresholds",
        "connections_per_s",
        "TCP connections that one network card begins, or is asked for, in a second",
    ),
    (
        "Thresholds",
        "disk_bytes_per_s",
        "Bytes that one instance reads from its volumes and writes to them, in a second",
    ),
    (
        "Thresholds",
        "steal_permille",
        "Thousandths of its processors' time that a host does not get; of all tenants on a host \
         the least counts",
    ),
    ("TokenRequest", "role", "What it may do at most"),
    (
        "TokenRequest",
        "scope",
        "Groups of acts that it is limited to; all that the role may, if left out",
    ),
];

/// Adds what properties mean to the document's schemas.
pub(super) fn describe_properties(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    for (schema, property, means) in PROPERTIES {
        let found = schemas.pointer_mut(&format!("/{schema}/properties/{property}"));
        assert!(found.is_some(), "{schema} has {property} in the document");
        if let Some(found) = found {
            found["description"] = json!(means);
        }
    }
    let all = schemas.as_object_mut().into_iter().flat_map(|all| all.values_mut());
    let properties = all.filter_map(|schema| schema.get_mut("properties")?.as_object_mut());
    for property in properties.flat_map(|properties| properties.values_mut()) {
        raise(property);
    }
}

/// What may be null has its description in the alternative that is not: it is the property's.
fn raise(property: &mut Value) {
    if property["description"].is_string() {
        return;
    }
    let alternatives = property["oneOf"].as_array().into_iter().flatten();
    let means = alternatives.filter_map(|one| one["description"].as_str()).next();
    if let Some(means) = means.map(str::to_owned) {
        property["description"] = json!(means);
    }
}

/// Adds what an operation's parameters mean, and who may call it.
pub(super) fn describe_operation(operation: &mut Value, route: &Route, policy: &Policy) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let means = match parameter["in"].as_str() {
            Some("query") => {
                let mut known = IN_QUERY.iter().rev();
                known
                    .find(|(of, known, _)| *known == name && (of.is_empty() || *of == route.action))
            }
            Some("path") => {
                let mut known = IN_PATH.iter();
                known.find(|(at, known, _)| *known == name && route.path.starts_with(at))
            }
            _ => None,
        };
        if let Some((_, _, means)) = means {
            parameter["description"] = json!(means);
        }
    }
    let roles = operation["x-roles"].as_array().map(|roles| {
        let names: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
        names.join(", ")
    });
    let callers = match roles {
        _ if policy.is_open(route.action) => "Needs no token.".to_owned(),
        Some(roles) => format!("For the roles {roles}."),
        None => return,
    };
    operation["description"] = json!(match operation["description"].as_str() {
        Some(more) => format!("{more}\n\n{callers}"),
        None => callers,
    });
}
