//! What operations have in common, added to the document once: who may call them (from the
//! [`Policy`]), the headers that reads and changes take, the answers other than success, and where
//! one may go on with what an answer gives.

use serde_json::{Map, Value, json};

use super::{
    change::MAX_KEY_CHARS,
    described,
    policy::Policy,
    route::{Route, Subject, TABLE, Verb},
};

/// The answers that are problem documents: status, name in the document, what it means.
const PROBLEMS: [(u16, &str, &str); 16] = [
    (400, "BadRequest", "The request itself is wrong: `code` and `detail` say how"),
    (401, "Unauthenticated", "No valid token"),
    (403, "Forbidden", "The token's role, or the same person twice, may not do this"),
    (404, "NotFound", "There is no such thing that the caller may see"),
    (408, "TooSlow", "The request took too long to arrive or to answer"),
    (409, "Conflict", "The present state does not admit this, or the same request is under way"),
    (412, "VersionMismatch", "The tenant is at another version than `If-Match` names"),
    (413, "TooLarge", "The body is too large"),
    (415, "NotJson", "The body is not said to be JSON"),
    (422, "Unprocessable", "The request is well formed and asks for something impossible"),
    (428, "VersionRequired", "Say with `If-Match` which version this is about"),
    (429, "TooMany", "Too many at once, or too often: `Retry-After` says when to come again"),
    (431, "HeadTooLarge", "The request's head is too large"),
    (500, "BrokenOff", "The controller broke off; nothing is known to be done"),
    (503, "NotDurable", "It could not be made durable; nothing is known to be done: try again"),
    (507, "Full", "As much is filed already as may be, or the disk has too little free space"),
];

/// Answers that any request may get.
const ALWAYS: [u16; 6] = [400, 408, 429, 431, 500, 503];
/// Answers that changes may get besides.
const ON_CHANGES: [u16; 4] = [409, 413, 415, 422];
/// Answers that uploads may get besides: their body is a file, of any type and known by its digest,
/// so that they take neither a key nor a version.
const ON_UPLOADS: [u16; 4] = [409, 413, 422, 507];

/// Operations that need `If-Match`.
const ON_A_VERSION: [&str; 8] = [
    "review-application",
    "review-reports",
    "review-offboarding",
    "decide-extension",
    "confirm-icp",
    "countersign-service",
    "confirm-cut-rule",
    "confirm-canary",
];

/// An `If-Match` or `If-None-Match`: `*`, or entity tags; an empty list matches nothing.
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*"){0,15})?$"#;

/// Adds it to the document.
pub(super) fn complete(document: &mut Value, policy: &Policy) {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    let problem = |description: &str, status: u16| {
        let mut answer = json!({
            "description": description,
            "content": {"application/problem+json": {"schema": schema}},
        });
        if status == 401 {
            let means = "`Bearer`: how to come in (RFC 6750)";
            answer["headers"] = json!({
                "www-authenticate": {"description": means, "schema": {"type": "string"}},
            });
        }
        answer
    };
    let answers = PROBLEMS
        .iter()
        .map(|(status, name, means)| ((*name).to_owned(), problem(means, *status)))
        .collect::<Map<_, _>>();
    document["components"]["responses"] = answers.into();
    close_requests(document);
    described::describe_properties(document);
    let of_tenants = on_tenants(document);
    for route in TABLE {
        let path = route.path.replace("{*path}", "{path}");
        let verb = verb(route);
        let operation = &mut document["paths"][&path][verb];
        if operation.is_object() {
            describe(operation, route, policy, &of_tenants);
            described::describe_operation(operation, route, policy);
        }
    }
}

/// What the derives cannot say: requests have no other members than these, and a contact has a
/// channel beside its name.
fn close_requests(document: &mut Value) {
    const REQUESTS: [&str; 17] = [
        "Application",
        "System",
        "Draft",
        "DraftSystem",
        "Contact",
        "Webhook",
        "Bot",
        "InstanceRequest",
        "IngressRequest",
        "Document",
        "Expert",
        "Assessment",
        "IcpFiling",
        "NewRecord",
        "Group",
        "GroupRule",
        "Thresholds",
    ];
    let schemas = &mut document["components"]["schemas"];
    for name in REQUESTS {
        assert!(schemas[name]["properties"].is_object(), "{name} is in the document");
        schemas[name]["additionalProperties"] = json!(false);
    }
    schemas["Contact"]["minProperties"] = json!(2);
}

const fn verb(route: &Route) -> &'static str {
    match route.verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Delete => "delete",
    }
}

/// The operations on one tenant, which one may go on with once there is a tenant.
fn on_tenants(document: &Value) -> Vec<String> {
    let on_one = TABLE.iter().filter(|route| route.path.starts_with("/v1/tenants/{id}"));
    // Others need an id beside the tenant's.
    let alone = on_one.filter(|route| route.path.matches('{').count() == 1);
    let there = alone.filter(|route| document["paths"][route.path][verb(route)].is_object());
    there.map(|route| route.action.to_owned()).collect()
}

fn describe(operation: &mut Value, route: &Route, policy: &Policy, of_tenants: &[String]) {
    let id = route.action;
    operation["operationId"] = json!(id);
    let mut statuses = ALWAYS.to_vec();
    let is_open = policy.is_open(route.action);
    if is_open {
        operation["security"] = json!([]);
    } else {
        let on_tenant = matches!(route.subject, Subject::Tenant | Subject::Order);
        operation["x-roles"] = json!(policy.roles_for(route.action, on_tenant));
        statuses.extend([401, 403]);
    }
    // A host may stand in the body as well.
    let on_a_thing = route.path.contains('{') || matches!(id, "cut-several" | "restore-several");
    if on_a_thing {
        statuses.push(404);
    }
    if id == "list-events" {
        let number = json!({"pattern": "^(0|[1-9][0-9]{0,17})$"});
        add_header(operation, "Last-Event-ID", false, LAST_EVENT_ID, &number);
    }
    if id == "fetch-bundle" {
        statuses.push(409);
    }
    let takes_json = operation["requestBody"]["content"]["application/json"].is_object();
    if ["sign-in", "begin-oidc", "finish-oidc"].contains(&id) {
        statuses.extend([401, 403, 413, 415, 422]);
    } else if ["sign-out", "unlink-identity"].contains(&id) {
        statuses.push(422);
    } else if route.verb == Verb::Post && !takes_json {
        statuses.extend(ON_UPLOADS);
    } else if route.verb == Verb::Post {
        statuses.extend(ON_CHANGES);
        let tags = ON_A_VERSION.contains(&id);
        // Tenants have versions; hosts and notices of the calendar have none.
        if route.subject == Subject::Tenant {
            statuses.push(412);
            add_header(operation, "If-Match", tags, IF_MATCH, &json!({"pattern": TAGS}));
        }
        if tags {
            statuses.push(428);
        }
        let key = json!({
            "minLength": 1, "maxLength": MAX_KEY_CHARS, "pattern": r"^[!#-\[\]-~]+$"
        });
        add_header(operation, "Idempotency-Key", false, IDEMPOTENCY_KEY, &key);
    } else if route.verb == Verb::Get && !is_open && id != "list-events" {
        if operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["name"] == "after"))
        {
            statuses.push(422);
        }
        add_header(operation, "If-None-Match", false, IF_NONE_MATCH, &json!({"pattern": TAGS}));
        operation["responses"]["304"] = json!({"description": "The caller has this answer"});
    }
    name_success(operation, route, of_tenants);
    for status in statuses {
        let Some((_, name, _)) = PROBLEMS.iter().find(|(known, _, _)| *known == status) else {
            continue;
        };
        operation["responses"][status.to_string()] =
            json!({"$ref": format!("#/components/responses/{name}")});
    }
}

const IF_MATCH: &str = "Only if the tenant is at one of these versions: its ETag, or `*`. Weak \
                        tags match nothing";
const LAST_EVENT_ID: &str = "The id of the last event that the caller has: the stream goes on \
                             after it. It goes before `after`";
const IF_NONE_MATCH: &str = "ETags of answers that the caller has, or `*`";
const IDEMPOTENCY_KEY: &str = "A key of the caller's own for this request, such as a UUID. Sent \
                               again within 24 hours it gets the first answer, and nothing is \
                               done twice; with another request it is refused";

fn add_header(operation: &mut Value, name: &str, required: bool, means: &str, rules: &Value) {
    let mut schema = rules.clone();
    schema["type"] = json!("string");
    let header = json!({
        "name": name, "in": "header", "required": required, "description": means,
        "schema": schema,
    });
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(header),
        None => operation["parameters"] = json!([header]),
    }
}

/// Says what success means, its headers, and what one may go on with.
fn name_success(operation: &mut Value, route: &Route, of_tenants: &[String]) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = json!(match status.as_str() {
                "201" => "Made",
                "202" => "Accepted: the hosts that have these orders carry them out",
                _ => "Done",
            });
        }
        let schema = &response["content"]["application/json"]["schema"];
        if schema["type"] == "array" && route.verb == Verb::Get {
            let means = "`<…>; rel=\"next\"` (RFC 8288): where the list goes on, if it does";
            response["headers"]["link"] =
                json!({"description": means, "schema": {"type": "string"}});
        }
        let target = if ["submit", "start-draft"].contains(&route.action) {
            "$response.body#/id"
        } else if status == "202" && route.subject == Subject::Tenant {
            "$response.body#/tenant"
        } else {
            continue;
        };
        let mut links = Map::new();
        for id in of_tenants {
            links.insert(id.clone(), json!({"operationId": id, "parameters": {"id": target}}));
        }
        if status == "202" {
            let order = json!({"id": "$response.body#/orders/0"});
            links.insert(
                "order".to_owned(),
                json!({"operationId": "show-order", "parameters": order}),
            );
        }
        response["links"] = links.into();
    }
}
