"""A verification in words: where a picture came from, what was done to it since, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safety.watermark import PRESENT

if TYPE_CHECKING:
    from safety.brightness import Compared
    from safety.verify import Verification

WHOLE = {True: "yes", False: "no: do not rely on this file", None: "too little to compare"}


def summary(found: Verification) -> tuple[str, ...]:
    """Origin and changes, then one line a layer."""
    return (
        f"origin: {origin(found)}",
        *(f"since then: {change}" for change in changes(found)),
        f"watermark: {_mark(found)}",
        f"mark of generation: {_drawn(found)}",
        f"metadata: {_metadata(found)}",
        f"credentials: {_credentials(found)}",
        *(f"credentials: {doubt}" for doubt in found.credentials.doubts),
        f"ledger: {_ledger(found)}",
        f"agreement: {WHOLE[found.agrees]}",
    )


def origin(found: Verification) -> str:
    """Where the picture came from, with the number that speaks for it."""
    number = f"p = {found.mark.p_value:.2g}"
    if found.agrees is False or found.credentials.state == "invalid":
        return f"what the file says contradicts itself, so nothing of it counts (mark: {number})"
    if found.credentials.state == "trusted":
        steps = "; ".join(found.credentials.steps)
        return f"{steps}; model {found.credentials.model or 'not named'} (mark: {number})"
    if found.recovered is not None and found.recovered.compared.kind != "inconclusive":
        told, fit = found.recovered.credentials, found.recovered.compared
        by = f"the mark ({number})" if found.recovered.by == "mark" else "its looks alone"
        return (
            f"its manifest was taken out; {by} leads to one kept here: {'; '.join(told.steps)} "
            f"(brightness misses by {fit.rms:.1f} grey levels)"
        )
    if found.mark.verdict == "present":
        named = f", number {found.mark.payload}" if found.mark.payload is not None else ""
        return (
            f"it carries this key's mark{named} ({number}); only the ledger can tell whether the "
            "mark was lifted from another picture"
        )
    if found.drawn.p_value < PRESENT:
        return (
            f"its drawing was guided towards this key's mark (p = {found.drawn.p_value:.2g}); of "
            "which picture it is, that mark does not tell"
        )
    if found.credentials.state == "untrusted":
        return f"signed by {found.credentials.signer!r}, whom nobody here has pinned: not shown"
    return f"nothing here tells (mark: {number}); that does not show that a person made it"


def changes(found: Verification) -> tuple[str, ...]:
    """What was done to the file since it was released, as far as it shows."""
    credentials, logged = found.credentials, found.ledger.state
    if credentials.state == "trusted" and found.agrees is not False:
        return ("nothing: its bytes are those that were signed",)
    said = []
    if credentials.state == "invalid":
        said.append(f"changed after signing ({', '.join(credentials.problems)})")
    ours = found.mark.verdict == "present" or found.recovered is not None
    if credentials.state == "none" and ours:
        said.append("the manifest was taken out")
        if found.metadata.record is None:
            said.append("so was the metadata")
    if logged in ("other bytes", "other picture") and found.format != "PNG":
        said.append(f"saved anew as {found.format}")
    scale, turn = getattr(found.mark, "scale", 1.0), getattr(found.mark, "turn", 0.0)
    if found.mark.verdict == "present" and abs(scale - 1) > 0.01:
        said.append(f"made {scale:.2f} times as large")
    if found.mark.verdict == "present" and abs(turn) > 0.1:
        said.append(f"turned by {turn:.1f} degrees")
    fit = found.recovered.compared if found.recovered else found.compared
    return (*said, *(_looks(fit) if fit is not None else ()))


def _looks(fit: Compared) -> tuple[str, ...]:
    """What the map of brightness shows."""
    if fit.kind == "inconclusive":
        return (
            f"brightness misses that of the released picture by {fit.rms:.1f} grey levels: it was "
            "cropped, turned or largely edited, or is another picture (inconclusive)",
        )
    said = []
    if abs(fit.contrast - 1) > 0.05:
        said.append(f"contrast multiplied by {fit.contrast:.2f}")
    if fit.where is not None:
        left, top, right, bottom = (round(100 * end) for end in fit.where)
        said.append(
            f"{fit.changed} of 256 cells do not fit, between {left} and {right} % of its width "
            f"and {top} and {bottom} % of its height: edited there"
        )
    if fit.kind == "same":
        said.append(f"still that picture (brightness misses by {fit.rms:.1f} grey levels)")
    return tuple(said)


def _mark(found: Verification) -> str:
    carried = f", index {found.mark.payload}" if found.mark.payload is not None else ""
    return f"{found.mark.verdict} (p = {found.mark.p_value:.2g}{carried})"


def _drawn(found: Verification) -> str:
    there = found.drawn.p_value < PRESENT
    return f"{'present' if there else 'not found'} (p = {found.drawn.p_value:.2g})"


def _metadata(found: Verification) -> str:
    if found.metadata.problem:
        return found.metadata.problem
    return (
        "none of ours" if found.metadata.record is None else f"ours, index {found.metadata.index}"
    )


def _credentials(found: Verification) -> str:
    said = {
        "trusted": "signed under a pinned root, and unchanged since",
        "untrusted": "signed by nobody that is pinned here: this proves nothing",
        "invalid": "broken: the file was changed after signing, or the manifest is damaged",
        "none": "none in the file",
    }[found.credentials.state]
    if found.manifest == "sidecar":
        said += " (in a file beside it)"
    if found.recovered is not None:
        said += f"; recovered from the store by {found.recovered.by}"
    return said


def _ledger(found: Verification) -> str:
    index = found.ledger.index
    said = {
        "sealed": f"entry {index} has this very file",
        "other bytes": f"entry {index} has this picture in other bytes (re-encoded)",
        "other picture": f"entry {index} is of another picture, or of more than is left of it",
        "missing": "no entry for this file",
        "broken": "the ledger itself does not hold",
        "not asked": "not looked at",
    }[found.ledger.state]
    if found.ledger.bits is not None:
        said += f" ({found.ledger.bits} of 256 bits of the perceptual hash differ)"
    return said + "".join(f"; {text}" for text in found.ledger.problems)
