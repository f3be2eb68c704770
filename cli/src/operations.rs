//! Which verb reaches which operation of the API: tests alone read this table, and check it both
//! ways, against the API's document and against what can be typed; each line is run, and must make
//! the request that stands beside it.

/// A verb, and the operation that it reaches.
pub(crate) struct Operation {
    /// The operation's method.
    pub method: &'static str,
    /// Its path, as the document has it.
    pub path: &'static str,
    /// A line that reaches it. ` T` stands for a UUID, ` D` for a digest.
    pub line: &'static str,
    /// What the controller answers, one request after another.
    pub answers: &'static [&'static str],
}

/// Verbs that reach no controller.
pub(crate) const LOCAL: &[&str] =
    &["application example", "completions", "man", "profile list", "record example", "verify"];

/// What `login --oidc` reaches, for which somebody must come back in a browser.
pub(crate) const IN_A_BROWSER: &[(&str, &str)] =
    &[("POST", "/v1/oidc/attempts"), ("POST", "/v1/oidc/sessions")];

/// What the site's gateway of short messages calls, and no person.
pub(crate) const OF_THE_GATEWAY: &[(&str, &str)] = &[("GET", "/v1/receipts/{token}")];

const THING: &[&str] = &["{}"];
const NOTHING: &[&str] = &["[]"];
const INITIAL: &[&str] = &["{\"initial_password\":\"p\"}"];
const FILED: &[&str] = &["{\"sha256\":\"d\"}", "{}"];
const HOST: &[&str] =
    &["[{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"name\":\"host-a\"}]", "{}"];

const fn get(path: &'static str, line: &'static str) -> Operation {
    Operation { method: "GET", path, line, answers: THING }
}

const fn list(path: &'static str, line: &'static str) -> Operation {
    Operation { method: "GET", path, line, answers: NOTHING }
}

const fn post(path: &'static str, line: &'static str) -> Operation {
    Operation { method: "POST", path, line, answers: THING }
}

/// A change that files are uploaded for, and the upload before it.
const fn file(path: &'static str, line: &'static str) -> Operation {
    Operation { method: "POST", path, line, answers: FILED }
}

const fn host(path: &'static str, line: &'static str) -> Operation {
    Operation { method: "POST", path, line, answers: HOST }
}

/// Every verb that reaches a controller. Files are those that [`FILES`] names.
pub(crate) const OPERATIONS: &[Operation] = &[
    get("/healthz", "health"),
    get("/openapi.json", "openapi"),
    list("/v1/accounts", "account list"),
    Operation {
        method: "POST",
        path: "/v1/accounts",
        line: "account create rita --role reviewer -o initial",
        answers: INITIAL,
    },
    post("/v1/accounts/{name}/confirm", "account confirm rita"),
    post("/v1/accounts/{name}/disable", "account disable rita"),
    Operation {
        method: "POST",
        path: "/v1/accounts/{name}/reset",
        line: "account reset rita -o initial",
        answers: INITIAL,
    },
    post(
        "/v1/accounts/{name}/identities",
        "account link rita --provider portal --subject 248289761001",
    ),
    Operation {
        method: "DELETE",
        path: "/v1/accounts/{name}/identities/{provider}",
        line: "account unlink rita --provider portal",
        answers: THING,
    },
    get("/v1/anchors", "anchors"),
    get("/v1/application-forms/{version}", "application form"),
    post("/v1/applications", "application submit thing.json"),
    get("/v1/calendar", "calendar show"),
    list("/v1/calendar/days", "calendar show --from 2026-02-01 --to 2026-02-28"),
    post("/v1/calendar/notices", "calendar import notice.txt"),
    post("/v1/calendar/notices/{id}/enact", "calendar enact T"),
    post("/v1/calendar/notices/{id}/reject", "calendar reject T --reason mistyped"),
    get("/v1/clock", "clock show"),
    post("/v1/drafts", "application draft thing.json"),
    list("/v1/deadlines/preview", "deadline preview --on 2026-10-20"),
    post("/v1/demo/clock", "clock advance 30"),
    get("/v1/duty", "duty"),
    Operation {
        method: "GET",
        path: "/v1/events",
        line: "events",
        answers: &["id: 1\nevent: cut\ndata: {\"seq\":1}\n\n"],
    },
    list("/v1/hosts", "host list"),
    post("/v1/hosts/tokens", "host token host-a"),
    Operation {
        method: "GET",
        path: "/v1/hosts/{id}/alarms",
        line: "host alarms host-a",
        answers: &["[{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"name\":\"host-a\"}]", "[]"],
    },
    host("/v1/hosts/{id}/alarms/{sequence}/end", "host end-alarm host-a 7 --reason mended"),
    host("/v1/hosts/{id}/block", "host block host-a --reason stolen"),
    host("/v1/hosts/{id}/unblock", "host unblock host-a --reason found"),
    list("/v1/images", "image list"),
    get("/v1/ledger/checkpoint", "ledger checkpoint"),
    get("/v1/ledger/tile/{path}", "ledger tile 0/000 -o out"),
    get("/v1/orders/{id}", "order show T"),
    list("/v1/platform/attachments", "attachment list platform"),
    post("/v1/platform/attachments", "attachment upload platform report.pdf"),
    get("/v1/platform/attachments/{digest}", "attachment get platform D -o out"),
    list("/v1/platform/deadlines", "deadline platform"),
    list("/v1/platform/journal", "host journal"),
    list("/v1/platform/records", "record list platform"),
    post("/v1/platform/records", "record add platform thing.json"),
    post("/v1/platform/records/{record}/confirmations", "record confirm platform T --opinion seen"),
    Operation {
        method: "POST",
        path: "/v1/sessions",
        line: "login rita --password-file word",
        answers: &["{\"token\":\"t\",\"name\":\"rita\",\"role\":\"reviewer\"}"],
    },
    Operation { method: "DELETE", path: "/v1/sessions/current", line: "logout", answers: THING },
    list("/v1/tenants", "tenant list"),
    post("/v1/cuts", "cut T T --reason attack"),
    post("/v1/cuts", "cut --host host-a --reason fire"),
    post("/v1/restores", "restore T T --reason mended"),
    post("/v1/restores", "restore --host host-a --reason mended"),
    get("/v1/tenants/{id}", "tenant show T"),
    get("/v1/tenants/{id}", "contact list T"),
    get("/v1/tenants/{id}", "contact probe T"),
    post("/v1/tenants/{id}/application", "application resubmit T thing.json"),
    file(
        "/v1/tenants/{id}/assessment",
        "assessment file T --report-number n --assessor a --level 3 --conclusion good \
         --report report.pdf",
    ),
    post("/v1/tenants/{id}/canary", "canary propose T --reason ours"),
    post("/v1/tenants/{id}/canary/confirmation", "canary confirm T"),
    post("/v1/tenants/{id}/canary/withdrawal", "canary withdraw T --reason sold"),
    post("/v1/tenants/{id}/drill", "drill run T --reason monthly"),
    get("/v1/tenants/{id}/drills", "drill show T"),
    get("/v1/tenants/{id}/anomalies", "anomaly show T"),
    post("/v1/tenants/{id}/anomalies/thresholds", "anomaly thresholds T --packets 50000"),
    post("/v1/tenants/{id}/anomalies/rule", "anomaly propose T --for packet-flood --reason botnet"),
    post("/v1/tenants/{id}/anomalies/rule/confirmation", "anomaly confirm T"),
    post("/v1/tenants/{id}/anomalies/rule/withdrawal", "anomaly withdraw T --reason mended"),
    list("/v1/tenants/{id}/attachments", "attachment list T"),
    post("/v1/tenants/{id}/attachments", "attachment upload T report.pdf"),
    get("/v1/tenants/{id}/attachments/{digest}", "attachment get T D -o out"),
    list("/v1/tenants/{id}/checklist", "application checklist T"),
    get("/v1/tenants/{id}/bundle", "bundle fetch T -o out"),
    post("/v1/tenants/{id}/configuration/retry", "configuration retry T"),
    post("/v1/tenants/{id}/cut", "cut T --reason attack"),
    post("/v1/tenants/{id}/cut/acknowledgement", "cut-notice acknowledge T --cut 1"),
    post(
        "/v1/tenants/{id}/cut/acknowledgement/heard",
        "cut-notice heard T --cut 1 --person Li --over 13800000000 --words yes",
    ),
    post("/v1/tenants/{id}/cut/announcement", "cut-notice announce T --reason switch"),
    post("/v1/tenants/{id}/cut/announcement/end", "cut-notice call-off T --reason later"),
    list("/v1/tenants/{id}/deadlines", "deadline list T"),
    Operation {
        method: "GET",
        path: "/v1/tenants/{id}/deadlines",
        line: "deadline explain T O6a",
        answers: &["[{\"id\":\"O6a\",\"serial\":1}]"],
    },
    post("/v1/tenants/{id}/deadlines/sign", "deadline sign T O5 --serial 1 --reason agreed"),
    post("/v1/tenants/{id}/deployment", "deployment declare T"),
    list("/v1/tenants/{id}/evidence", "tenant evidence T"),
    post("/v1/tenants/{id}/draft", "application draft thing.json --tenant T"),
    post("/v1/tenants/{id}/draft/submission", "application submit-draft T"),
    file(
        "/v1/tenants/{id}/holds",
        "hold place T --kind legal-hold --document report.pdf --reason court",
    ),
    list("/v1/tenants/{id}/groups", "group list T"),
    Operation {
        method: "GET",
        path: "/v1/tenants/{id}/groups",
        line: "group show T web",
        answers: &["[{\"name\":\"web\",\"rules\":[]}]"],
    },
    post("/v1/tenants/{id}/contacts", "contact set T --file thing.json"),
    post("/v1/tenants/{id}/contacts/acknowledgement", "contact acknowledge T"),
    post("/v1/tenants/{id}/groups", "group set T web --file group.toml"),
    post("/v1/tenants/{id}/groups/removal", "group rm T web"),
    post("/v1/tenants/{id}/holds/countersignatures", "hold countersign T --hold 1"),
    file(
        "/v1/tenants/{id}/holds/release",
        "hold release T --hold 1 --document report.pdf --reason over",
    ),
    file(
        "/v1/tenants/{id}/icp",
        "icp file T --number n --domain d --holder h --filed-on 2026-10-01 --proof report.pdf",
    ),
    post("/v1/tenants/{id}/icp/confirmation", "icp confirm T --opinion seen"),
    post("/v1/tenants/{id}/icp/confirmation", "icp dispute T --opinion absent"),
    post("/v1/tenants/{id}/icp/opening", "icp open T --reason soon"),
    list("/v1/tenants/{id}/journal", "tenant journal T"),
    list("/v1/tenants/{id}/notices", "tenant notices T"),
    post(
        "/v1/tenants/{id}/offboarding",
        "offboarding request T --stop-day 2026-10-20 --reason merged",
    ),
    post("/v1/tenants/{id}/offboarding/confirm", "offboarding confirm T --migrated --backed-up"),
    post("/v1/tenants/{id}/offboarding/review", "offboarding approve T --opinion ok"),
    post("/v1/tenants/{id}/offboarding/review", "offboarding reject T --opinion no"),
    file(
        "/v1/tenants/{id}/offboarding/service",
        "offboarding served T --served-on 2026-11-10 --document report.pdf",
    ),
    post("/v1/tenants/{id}/offboarding/countersignatures", "offboarding countersign T"),
    post("/v1/tenants/{id}/offboarding/waivers", "offboarding waive T --reason dissolved"),
    list("/v1/tenants/{id}/orders", "tenant orders T"),
    list("/v1/tenants/{id}/records", "record list T"),
    post("/v1/tenants/{id}/records", "record add T thing.json"),
    file("/v1/tenants/{id}/records", "inspection add T --checked ports --report report.pdf"),
    file(
        "/v1/tenants/{id}/records",
        "access request T --authority a --document-no 1 --scope logs --document report.pdf",
    ),
    post("/v1/tenants/{id}/records", "access shown T T --shown logs --officer 036012"),
    post("/v1/tenants/{id}/records/{record}/confirmations", "record confirm T T --opinion seen"),
    post("/v1/tenants/{id}/records/{record}/confirmations", "access approve T T --opinion seen"),
    Operation {
        method: "POST",
        path: "/v1/tenants/{id}/reports",
        line: "report submit T --test-report report.pdf --security-report report.pdf",
        answers: &["{\"sha256\":\"d\"}", "{\"sha256\":\"d\"}", "{}"],
    },
    file(
        "/v1/tenants/{id}/reports/rectifications",
        "report rectify T --item 1 --note mended --evidence report.pdf",
    ),
    post("/v1/tenants/{id}/reports/review", "report pass T --opinion ok"),
    post("/v1/tenants/{id}/reports/review", "report fail T --opinion no --item logs"),
    post("/v1/tenants/{id}/restore", "restore T --reason mended"),
    post("/v1/tenants/{id}/review", "review approve T --opinion ok"),
    post("/v1/tenants/{id}/review", "review reject T --opinion no"),
    post("/v1/tenants/{id}/review", "review return T --opinion again"),
    post("/v1/tenants/{id}/review/resumption", "review resume T"),
    post("/v1/tenants/{id}/review/suspension", "review suspend T --reason fire"),
    post("/v1/tenants/{id}/trial/extension", "trial extend T --days 20 --reason much"),
    file(
        "/v1/tenants/{id}/trial/extension/decision",
        "trial decide approve T --opinion ok --expert Wu:yes --expert Li:yes \
         --assessment report.pdf",
    ),
    post("/v1/tenants/{id}/trial/extension/decision", "trial decide reject T --opinion no"),
    post("/v1/tenants/{id}/wipe/approvals", "wipe approve T"),
    post("/v1/tenants/{id}/withdrawal", "application withdraw T --reason over"),
    list("/v1/tokens", "token list"),
    post("/v1/tokens", "token create rita --role reviewer"),
    post("/v1/tokens/{id}/confirm", "token confirm 0123456789abcdef0123456789abcdef"),
    Operation {
        method: "DELETE",
        path: "/v1/tokens/{id}",
        line: "token revoke 0123456789abcdef0123456789abcdef",
        answers: THING,
    },
];

/// Files that the lines above name, with what they hold.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("thing.json", "{}"),
    ("notice.txt", "放假"),
    ("group.toml", "roles = [\"web\"]\n"),
    ("report.pdf", "abc"),
    ("word", "p"),
    ("double.session", "s"),
];
