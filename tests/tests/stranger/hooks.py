"""What the stranger knows besides the document: a token of each role, and the site's image."""

import json
import os
import random

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
def map_body(context, body):
    """Half of the time the customer's own name, and an image that there is."""
    body = whole(body)
    if isinstance(body, dict) and "instances" in body and RANDOM.random() < 0.5:
        body["customer"] = "city-archive"
        for instance in body["instances"] if isinstance(body["instances"], list) else []:
            if isinstance(instance, dict) and "image" in instance:
                instance["image"] = "tiny-1"
    return body


# What no schema says well: sums, one of two members, and which networks the site lets webhooks into.
UNSAYABLE = ("ask for at most", "stands twice", "has no channel", "volumes_gib", "webhook")


@schemathesis.check
def no_right_input_is_called_malformed(context, response, case):
    """What the schema admits is never refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in (400, 422) and "problem+json" in response.headers["content-type"][0]:
        faults = response.json().get("errors", [])
        faults = [fault for fault in faults if not any(x in fault["message"] for x in UNSAYABLE)]
        if faults:
            raise AssertionError(f"the schema admits what is refused: {faults}")
