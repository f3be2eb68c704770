"""What the stranger knows besides the document: a token of each role, and the site's image."""

import json
import os
import random

import jsonschema_rs
import schemathesis

with open(os.environ["TENURE_KNOWN"], encoding="utf-8") as file:
    KNOWN = json.load(file)
RANDOM = random.Random(980)


@schemathesis.auth(refresh_interval=None)
class RoleToken:
    """Calls each operation as one of the roles that may, else as anybody."""

    def get(self, case, context):
        roles = case.operation.definition.raw.get("x-roles") or list(KNOWN["tokens"])
        return KNOWN["tokens"][RANDOM.choice(roles)]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"
        # Each request on a connection of its own: the API closes one that lies idle for 10 s, and a
        # request that is under way just then is lost, which is no fault.
        case.headers["Connection"] = "close"


@schemathesis.hook
def before_call(context, case, kwargs):
    """A stream that is followed has no end."""
    if case.operation.path == "/v1/events" and isinstance(case.query, dict):
        case.query["follow"] = "false"


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the time the tenant that is there."""
    if path_parameters and "id" in path_parameters and RANDOM.random() < 0.5:
        path_parameters["id"] = KNOWN["tenant"]
    return path_parameters


def whole(value):
    """The API writes and takes whole numbers without a point; JSON Schema knows no difference."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


@schemathesis.hook
def map_headers(context, headers):
    """Mostly whichever version the tenant is at: another is refused before anything else is."""
    if headers and "If-Match" in headers and RANDOM.random() < 0.8:
        headers["If-Match"] = "*"
    return headers


@schemathesis.hook
def map_body(context, body):
    """Mostly what the site has: the customer's own name, its image, hosts of some size. A body that
    is meant to be wrong stays as it is: made to fit, it would be right."""
    body = whole(body)
    applies = isinstance(body, dict) and "instances" in body
    if applies and is_right(context.operation, body) and RANDOM.random() < 0.8:
        fit(body)
    return body


def is_right(operation, body):
    """Whether the document admits a body."""
    content = operation.definition.raw["requestBody"]["content"]["application/json"]
    components = operation.schema.raw_schema["components"]
    return jsonschema_rs.is_valid({**content["schema"], "components": components}, body)


def fit(application):
    """Makes an application one that the site can take, where it has the shape of one."""
    application["customer"] = "city-archive"
    contacts, instances = application.get("contacts"), application["instances"]
    for contact in contacts if isinstance(contacts, list) else []:
        if isinstance(contact, dict) and "webhook" in contact:
            del contact["webhook"]
            contact["email"] = "duty@example.org"
            contact["designated"] = ["email"]
    for number, instance in enumerate(instances if isinstance(instances, list) else []):
        if isinstance(instance, dict) and "image" in instance:
            instance.update(image="tiny-1", role=f"role-{number}", count=1, volumes_mib=[64])
            instance.pop("volumes_gib", None)


# What no schema says well: sums, one of two members, which networks the site lets webhooks into, and
# which hosts and secrets go with which vendor's bots.
UNSAYABLE = (
    "ask for at most",
    "stands twice",
    "has no channel",
    "designate",
    "volumes_gib",
    "webhook",
    "from the Internet",
    "of wecom",
    "signature secret",
    "of dingtalk",
    "of feishu",
)
# What is refused here is the draft as it was saved, not the input.
OF_DRAFTS = "/v1/tenants/{id}/draft/submission"


@schemathesis.check
def no_right_input_is_called_malformed(context, response, case):
    """What the schema admits is never refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.operation.path == OF_DRAFTS:
        return
    if response.status_code in (400, 422) and "problem+json" in response.headers["content-type"][0]:
        faults = response.json().get("errors", [])
        faults = [fault for fault in faults if not any(x in fault["message"] for x in UNSAYABLE)]
        if response.status_code == 422:
            # Which tenants there are, and how each stands, is no matter of form.
            faults = [fault for fault in faults if not fault["pointer"].startswith("/tenants/")]
        if faults:
            raise AssertionError(f"the schema admits what is refused: {faults}")
