"""Content Credentials (C2PA): a manifest signed into an image, and what reading one is worth.

Signing and reading are c2pa-python's, certificates `safety.certificates`'. Anybody can make a
certificate with any name, so only the state "trusted", against pinned anchors, counts.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from safety.assertions import lint
from safety.certificates import Credentials

AI_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# Not in C2PA's registry of soft bindings: only Pellucid with the key can read this mark.
MARK_ALGORITHM = "pellucid.mark.2"
State = Literal["trusted", "untrusted", "invalid", "none"]
AI_EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
MAP_ALGORITHM = "pellucid.map.1"  # `safety.brightness`
LEDGER = "org.pellucid.ledger"
Use = Literal["edited", "input"]
RELATIONS: dict[Use, str] = {"edited": "parentOf", "input": "inputTo"}


@dataclass(frozen=True)
class Source:
    """A file that a picture was made from: drawn over ("edited"), or looked at ("input").

    A signed source brings its own manifest along; no name of it is kept.
    """

    data: bytes
    mime: str
    use: Use = "input"


@dataclass(frozen=True)
class Statement:
    """What a manifest states: the mark's payload, who drew it, what it looks like, its entry."""

    payload: int
    version: str = ""  # of Pellucid
    model: str = ""
    model_hash: str = ""
    map: bytes = b""  # of brightness, `safety.brightness`
    ledger: str = ""  # its public key, hex; the entry's index is the payload
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Signed:
    """A signed file, and the manifest by itself."""

    data: bytes
    manifest: bytes


@dataclass(frozen=True)
class CredentialsFound:
    """What a file's manifest says. "trusted" alone means: signed under a pinned root, unchanged.

    `steps` is what was done, oldest first, each step with who did it; `doubts` is what the linter
    says of the assertions.
    """

    state: State
    problems: tuple[str, ...] = ()
    signer: str | None = None  # the certificate's own claim of a name
    serial: str | None = None
    source: str | None = None  # digitalSourceType of the first action
    payload: int | None = None  # watermark payload that the soft binding names
    thumbnail: bool = False
    model: str | None = None
    ledger: str | None = None  # public key of the ledger that has the entry, hex
    map: str | None = None  # of brightness, hex
    agent: str | None = None  # the program that signed, and its version
    when: str | None = None  # of the first action
    steps: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {**asdict(self)}


def _settings(anchors: bytes | None) -> dict[str, object]:
    """No thumbnail, no network. c2pa ignores unknown names silently: tests look at the effect."""
    settings: dict[str, object] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
            "verify_after_sign": False,
        },
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii")}
    return settings


def manifest(payload: int, version: str = "", mime: str = "image/png") -> dict[str, Any]:
    """Made by a trained model, and bound to the watermark's payload."""
    agent = {"name": "Pellucid"} | ({"version": version} if version else {})
    actions = [
        {"action": "c2pa.created", "digitalSourceType": AI_MADE, "softwareAgent": agent},
        {"action": "c2pa.watermarked"},
    ]
    binding = {"alg": MARK_ALGORITHM, "blocks": [{"scope": {}, "value": f"{payload:08x}"}]}
    return {
        "claim_generator_info": [agent],
        "title": "image",
        "format": mime,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "c2pa.soft-binding", "data": binding},
        ],
    }


def stated(statement: Statement, mime: str = "image/png") -> dict[str, Any]:
    """The manifest of a statement (C2PA 2.4): actions, soft bindings, AI disclosure, the entry."""
    made = manifest(statement.payload, statement.version, mime)
    actions = made["assertions"][0]["data"]["actions"]
    actions[0]["when"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    inputs = [f"input-{i}" for i, s in enumerate(statement.sources) if s.use == "input"]
    edited = [f"edited-{i}" for i, s in enumerate(statement.sources) if s.use == "edited"]
    if inputs:
        actions[0]["parameters"] = {"ingredientIds": inputs}
    if edited:
        drawn = actions[0] | {"action": "c2pa.edited", "digitalSourceType": AI_EDITED}
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": edited}}
        actions[:1] = [opened, drawn]
    if statement.map:
        value = base64.b64encode(statement.map).decode()
        binding = {"alg": MAP_ALGORITHM, "blocks": [{"scope": {}, "value": value}]}
        made["assertions"].append({"label": "c2pa.soft-binding", "data": binding})
    disclosed = {"modelType": "c2pa.types.model", "modelName": statement.model or "unnamed"}
    if statement.model_hash:
        disclosed["modelIdentifier"] = f"sha256:{statement.model_hash}"
    made["assertions"].append({"label": "c2pa.ai-disclosure", "data": disclosed})
    if statement.ledger:
        entry = {"key": statement.ledger, "index": str(statement.payload)}
        made["assertions"].append({"label": LEDGER, "data": entry})
    return made


def sign_image(
    data: bytes, mime: str, credentials: Credentials, statement: Statement, embed: bool = True
) -> Signed:
    """An image file's bytes with a signed manifest, or (not `embed`) as they are, and the manifest.

    Anything written into the file afterwards breaks it. Raises ValueError when c2pa refuses, and
    for a source that it can't read.
    """
    made = stated(statement, mime)
    return sign_manifest(data, mime, credentials, made, statement.sources, embed)


def sign_manifest(
    data: bytes,
    mime: str,
    credentials: Credentials,
    made: dict[str, Any],
    sources: tuple[Source, ...] = (),
    embed: bool = True,
) -> Signed:
    """Sign any manifest, right or wrong (`safety.assertions.lint` tells); see `sign_image`."""
    import c2pa

    information = c2pa.C2paSignerInfo(b"es256", credentials.chain, credentials.key, None)
    out = io.BytesIO()
    try:
        with (
            c2pa.Signer.from_info(information) as signer,
            c2pa.Context.from_dict(_settings(credentials.anchors)) as context,
            c2pa.Builder(made, context=context) as builder,
        ):
            for index, source in enumerate(sources):
                told = {"title": "image", "format": source.mime, "label": f"{source.use}-{index}"}
                told["relationship"] = RELATIONS[source.use]
                builder.add_ingredient(told, source.mime, io.BytesIO(source.data))
            if not embed:
                builder.set_no_embed()
            signed = builder.sign(signer, mime, io.BytesIO(data), out)
    except c2pa.C2paError as error:
        raise ValueError(
            f"c2pa refused to sign ({error}); the certificate may have expired: "
            "move its folder away and a new one is made"
        ) from None
    return Signed(out.getvalue(), bytes(signed))


def read_credentials(
    data: bytes,
    mime: str = "image/png",
    anchors: bytes | None = None,
    manifest: bytes | None = None,
) -> CredentialsFound:
    """Read the manifest in a file's bytes, against pinned root certificates (PEM).

    `manifest` is one kept beside the file or in a store; it is read in place of the file's own.
    """
    import c2pa

    try:
        with (
            c2pa.Context.from_dict(_settings(anchors)) as context,
            c2pa.Reader(mime, io.BytesIO(data), manifest, context=context) as reader,
        ):
            state, told = str(reader.get_validation_state()), json.loads(reader.json())
    except (c2pa.C2paError, RecursionError, UnicodeError) as error:
        text = str(error)
        if "ManifestNotFound" in text or "no JUMBF" in text:
            return CredentialsFound("none")
        if text.startswith("Remote"):
            return CredentialsFound("none", ("it names a manifest elsewhere, not fetched",))
        if "UnsupportedType" in text or "NotSupported" in text:
            return CredentialsFound("none", (f"c2pa does not read {mime}",))
        return CredentialsFound("invalid", (text,))
    known: dict[str, State] = {"Trusted": "trusted", "Valid": "untrusted"}
    found = known.get(state, "invalid")
    if found == "trusted" and not anchors:
        found = "untrusted"  # trusted by a list that nobody here has pinned
    failures = told.get("validation_status") or []
    problems = tuple(dict.fromkeys(str(one.get("code", one)) for one in failures))
    manifests = told.get("manifests", {})
    active = manifests.get(told.get("active_manifest"), {})
    steps = tuple(_steps(manifests, str(told.get("active_manifest"))))
    return CredentialsFound(
        found, problems, **_claims(active), steps=steps, doubts=tuple(lint(active))
    )


def _claims(active: dict) -> dict:
    """What the manifest claims about signer, source, watermark, model, entry and looks."""
    signature = active.get("signature_info") or {}
    claims: dict = {
        "signer": signature.get("common_name") or signature.get("issuer"),
        "serial": signature.get("cert_serial_number"),
        "thumbnail": active.get("thumbnail") is not None,
        "agent": _agent(active),
    }
    for assertion in active.get("assertions", []):
        label, data = str(assertion.get("label")), assertion.get("data")
        data = data if isinstance(data, dict) else {}
        if label.startswith("c2pa.actions"):
            for action in data.get("actions", []):
                if action.get("action") in ("c2pa.created", "c2pa.edited"):
                    claims.setdefault("source", action.get("digitalSourceType"))
                    claims.setdefault("when", action.get("when"))
        if label.startswith("c2pa.soft-binding"):
            claims |= _bound(data)
        if label == "c2pa.ai-disclosure":
            claims["model"] = str(data.get("modelName"))
        if label == LEDGER:
            claims["ledger"] = str(data.get("key"))
    return claims


def _agent(active: dict) -> str | None:
    """The signing program by its own claim, "name version"."""
    made = active.get("claim_generator_info")
    first = made[0] if isinstance(made, list) and made and isinstance(made[0], dict) else {}
    return " ".join(str(first[k]) for k in ("name", "version") if first.get(k)) or None


def _bound(data: dict) -> dict:
    """Payload or map of a soft binding of ours."""
    try:
        value = str(data["blocks"][0]["value"])
        if data.get("alg") == MARK_ALGORITHM:
            return {"payload": int(value, 16)}
        if data.get("alg") == MAP_ALGORITHM:
            return {"map": base64.b64decode(value, validate=True).hex()}
    except (KeyError, IndexError, TypeError, ValueError, binascii.Error):
        pass
    return {}


def _steps(manifests: dict, label: str, deep: int = 0) -> list[str]:
    """What was done to a picture, oldest first, through the manifests of what it was made from."""
    active = manifests.get(label) or {}
    signature = active.get("signature_info") or {}
    signer = signature.get("common_name") or signature.get("issuer") or "nobody"
    steps: list[str] = []
    for ingredient in active.get("ingredients", []) if deep < 20 else []:
        if ingredient.get("active_manifest"):
            steps += _steps(manifests, str(ingredient["active_manifest"]), deep + 1)
        else:
            steps.append(f"{ingredient.get('relationship')}: a file without a manifest")
    for assertion in active.get("assertions", []):
        if not str(assertion.get("label")).startswith("c2pa.actions"):
            continue
        for action in (assertion.get("data") or {}).get("actions", []):
            name = str(action.get("action")).removeprefix("c2pa.")
            kind = str(action.get("digitalSourceType") or "").rpartition("/")[2]
            steps.append(f"{name}{f' ({kind})' if kind else ''}, signed by {signer}")
    return steps
