"""Verifies an exit bundle with tools that Tenure's authors did not write.

third_party.py BUNDLE_DIR ATTESTATION_KEY_PEM: every envelope by securesystemslib, every statement by
in-toto-attestation, every inclusion proof by hashlib alone; the hosts' keys are those of the manifest.
Exits 0 if all of it holds.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey


def key(pem):
    public = load_pem_public_key(pem)
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SSlibKey.from_crypto(public, keyid=hashlib.sha256(spki).hexdigest())


def members(directory, pattern):
    """All of them; none to check is no bundle that holds."""
    found = sorted(directory.glob(pattern))
    assert found, f"{directory} is empty"
    return found


def check_envelope(path, signers):
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    envelope.verify(signers, 1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    statement = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    return json.loads(envelope.payload)


def root_of(leaf, index, size, proof):
    """RFC 9162, 2.1.3.2."""
    first, last, value = index, size - 1, leaf
    for sibling in proof:
        assert last > 0
        if first % 2 == 1 or first == last:
            value = hashlib.sha256(b"\x01" + sibling + value).digest()
            while first % 2 == 0 and first != 0:
                first, last = first >> 1, last >> 1
        else:
            value = hashlib.sha256(b"\x01" + value + sibling).digest()
        first, last = first >> 1, last >> 1
    assert last == 0
    return value


def check_entries(ledger):
    _, size, root = (ledger / "checkpoint").read_text().split("\n")[:3]
    for path in members(ledger, "*.json"):
        entry = json.loads(path.read_bytes())
        leaf = hashlib.sha256(b"\x00" + entry["entry"].encode()).digest()
        proof = [bytes.fromhex(part) for part in entry["proof"]]
        assert root_of(leaf, entry["index"], int(size), proof) == base64.b64decode(root)


bundle, attestation = pathlib.Path(sys.argv[1]), key(pathlib.Path(sys.argv[2]).read_bytes())
manifest = check_envelope(bundle / "manifest.dsse.json", [attestation])["predicate"]
signers = [attestation] + [key(host["key"].encode()) for host in manifest["hosts"]]
statements = members(bundle / "statements", "*")
listed = {one["path"]: one["digest"] for one in manifest["envelopes"]}
assert {f"statements/{path.name}" for path in statements} == set(listed)
for path in statements:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in listed[f"statements/{path.name}"], f"{path} is not the one that is listed"
    check_envelope(path, signers)
check_entries(bundle / "ledger")
