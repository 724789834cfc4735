"""A linter for manifests: assertions that c2pa signs without a word, and that are wrong.

c2pa-rs 0.91 refuses a manifest without a first action, but accepts invented `c2pa.` labels,
unknown source types, bindings that bind nothing and a home folder in a title. Rules are those of
the C2PA specification 2.4 (sections 9, 18 and 19) and of the privacy that Pellucid promises.
"""

from __future__ import annotations

import json
import re
from typing import Any

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCES = {IPTC + name for name in (
    "algorithmicallyEnhanced", "algorithmicMedia", "composite", "compositeCapture",
    "compositeSynthetic", "compositeWithTrainedAlgorithmicMedia", "computationalCapture",
    "dataDrivenMedia", "digitalCapture", "digitalCreation", "humanEdits", "minorHumanEdits",
    "negativeFilm", "positiveFilm", "print", "screenCapture", "softwareImage",
    "trainedAlgorithmicMedia", "virtualRecording",
)} | {"http://c2pa.org/digitalsourcetype/" + name for name in (
    "empty", "trainedAlgorithmicData",
)}  # fmt: skip
AI = {IPTC + "trainedAlgorithmicMedia", IPTC + "compositeWithTrainedAlgorithmicMedia"}
LABELS = {"c2pa." + name for name in (
    "actions", "actions.v2", "ai-disclosure", "asset-ref", "asset-type", "certificate-status",
    "cloud-data", "depthmap.GDepth", "embedded-data", "external-reference", "font.info",
    "hash.bmff", "hash.bmff.v2", "hash.bmff.v3", "hash.boxes", "hash.collection.data", "hash.data",
    "hash.multi-asset", "ingredient", "ingredient.v2", "ingredient.v3", "metadata",
    "session-keys", "soft-binding", "thumbnail.claim", "thumbnail.ingredient", "time-stamp",
)}  # fmt: skip
ACTIONS = {"c2pa." + name for name in (
    "addedText", "adjustedColor", "changedSpeed", "color_adjustments", "converted", "created",
    "cropped", "deleted", "drawing", "dubbed", "edited", "edited.metadata", "enhanced", "filtered",
    "opened", "orientation", "placed", "published", "redacted", "removed", "repackaged",
    "resized", "resized.proportional", "transcoded", "translated", "trimmed", "unknown",
    "watermarked", "watermarked.bound", "watermarked.unbound",
)}  # fmt: skip
FIRST = {"c2pa.created", "c2pa.opened"}
# A folder of some user, on any system, and a mail address.
PRIVATE = re.compile(r"(/home/|/Users/|/root/|[A-Za-z]:\\\\|file://|[\w.+-]+@[\w-]+\.\w)")


def lint(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest (a definition, or as c2pa reads one), a sentence each."""
    assertions = _objects(manifest.get("assertions"))
    labels = [_bare(str(one.get("label"))) for one in assertions]
    actions = _actions(assertions)
    ingredients = _objects(manifest["ingredients"]) if "ingredients" in manifest else None
    return [
        *_unknown(labels, actions),
        *_order(actions, ingredients),
        *_bindings(assertions, actions),
        *_disclosure(labels, actions),
        *_private(manifest),
    ]


def _objects(listed: Any) -> list[dict]:
    """The objects of a list; a manifest may hold anything in its place."""
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _bare(label: str) -> str:
    """A label without the number that tells two of a kind apart."""
    return label.partition("__")[0]


def _actions(assertions: list[dict]) -> list[dict]:
    found = []
    for one in assertions:
        if _bare(str(one.get("label"))) in ("c2pa.actions", "c2pa.actions.v2"):
            data = one.get("data")
            found += _objects(data.get("actions") if isinstance(data, dict) else None)
    return found


def _unknown(labels: list[str], actions: list[dict]) -> list[str]:
    said = []
    for label in dict.fromkeys(labels):
        plain = re.sub(r"\.(png|jpe?g|webp)$", "", label)
        if plain.startswith("c2pa.") and plain not in LABELS:
            said.append(f"{label} is no assertion of C2PA: nobody will read it")
    if "c2pa.actions" in labels:
        said.append("c2pa.actions is the form before version 2; write c2pa.actions.v2")
    for action in actions:
        name, source = str(action.get("action")), action.get("digitalSourceType")
        if name.startswith("c2pa.") and name not in ACTIONS:
            said.append(f"{name} is no action of C2PA")
        if source is not None and str(source) not in SOURCES:
            said.append(f"{str(source)[:80]} is no digital source type of IPTC or C2PA")
    return said


def _order(actions: list[dict], ingredients: list[dict] | None) -> list[str]:
    names = [str(action.get("action")) for action in actions]
    said = []
    if not names:
        return ["it says nothing of what was done: there is no action"]
    if names[0] not in FIRST:
        said.append(f"its first action is {names[0]}, neither c2pa.created nor c2pa.opened")
    if sum(name in FIRST for name in names) > 1:
        said.append("it was created or opened more than once")
    for action in actions:
        if action.get("action") == "c2pa.created" and not action.get("digitalSourceType"):
            said.append("c2pa.created does not say from what kind of source")
    if ingredients is not None:
        parents = sum(i.get("relationship") == "parentOf" for i in ingredients)
        if ("c2pa.opened" in names) != bool(parents):
            said.append("c2pa.opened and an ingredient that is the parent go together")
        if parents > 1:
            said.append(f"it has {parents} parents, and can have one")
    return said


def _bindings(assertions: list[dict], actions: list[dict]) -> list[str]:
    bound = [one for one in assertions if _bare(str(one.get("label"))) == "c2pa.soft-binding"]
    marked = {"c2pa.watermarked", "c2pa.watermarked.bound"}
    said = []
    if any(str(action.get("action")) in marked for action in actions) and not bound:
        said.append("it says that there is a watermark, and no soft binding names it")
    for one in bound:
        data = one.get("data")
        data = data if isinstance(data, dict) else {}
        blocks = data.get("blocks")
        first = blocks[0] if isinstance(blocks, list) and blocks else {}
        value = first.get("value") if isinstance(first, dict) else None
        if not data.get("alg") or not value:
            said.append("a soft binding lacks its algorithm or its value")
    return said


def _disclosure(labels: list[str], actions: list[dict]) -> list[str]:
    made = any(str(action.get("digitalSourceType")) in AI for action in actions)
    if made and "c2pa.ai-disclosure" not in labels:
        return ["a model made it, and no c2pa.ai-disclosure says which"]
    if not made and "c2pa.ai-disclosure" in labels:
        return ["c2pa.ai-disclosure stands beside actions of which none is a model's"]
    return []


def _private(manifest: dict[str, Any]) -> list[str]:
    said = []
    try:
        found = PRIVATE.search(json.dumps(manifest, default=str))
    except (RecursionError, ValueError):
        return ["it is nested too deeply"]
    if found:
        said.append(f"it may name a person or a folder ({found[0]}...)")
    if manifest.get("thumbnail") is not None:
        said.append("it holds a thumbnail, which survives edits that hide something")
    return said
