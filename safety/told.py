"""A verification in words: where a picture came from, what was done to it since, layer by layer.

Each sentence claims what its layer shows and no more: a mark that is not found shows nothing, looks
are no proof, and a mark alone can have been lifted from another picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safety.content_credentials import AI_MADE
from safety.watermark import PRESENT

if TYPE_CHECKING:
    from safety.brightness import Compared
    from safety.content_credentials import CredentialsFound
    from safety.verify import Verification

WHOLE = {True: "yes", False: "no: do not rely on this file", None: "too little to compare"}
CODES = {  # of C2PA, in words
    "assertion.dataHash.mismatch": "its bytes are not those that were signed",
    "assertion.hashedURI.mismatch": "the manifest itself was changed",
    "claimSignature.mismatch": "the manifest itself was changed",
    "signingCredential.untrusted": "its signer is not pinned here",
}


def summary(found: Verification) -> tuple[str, ...]:
    """Origin, changes and what is not shown, then one line a layer; each begins with its name."""
    return (
        f"origin: {origin(found)}",
        *(f"since then: {change}" for change in changes(found)),
        *(f"contradiction: {one}" for one in found.contradictions),
        *(f"not shown: {one}" for one in not_shown(found)),
        f"watermark: {_mark(found)}",
        f"mark of generation: {_drawn(found)}",
        f"metadata: {_metadata(found)}",
        f"credentials: {_credentials(found)}",
        *(f"credentials: {doubt}" for doubt in found.credentials.doubts),
        f"ledger: {_ledger(found)}",
        f"agreement: {WHOLE[found.agrees]}",
    )


def fits(found: Verification) -> Compared | None:
    """How the picture fits the manifest that was recovered for it, where it does fit."""
    back = found.recovered
    return back.compared if back is not None and back.compared.kind != "inconclusive" else None


def marked(found: Verification) -> bool:
    """Whether the key finds a mark of either kind."""
    there = found.mark.verdict == "present" or bool(found.parts)
    return there or found.drawn.p_value < PRESENT


def origin(found: Verification) -> str:
    """Where the picture came from, with the number that speaks for it."""
    pixels, fit = _pixels(found), fits(found)
    if found.contradictions:
        return f"what the file says contradicts itself, so its words do not count; {pixels}"
    if found.credentials.state == "trusted":
        return f"{_story(found.credentials)}; {pixels}"
    if fit is not None and found.recovered is not None:
        told = found.recovered.credentials
        which = f"number {told.payload} of those released here"
        near = f"brightness misses by {fit.rms:.1f} grey levels"
        if marked(found):
            how = "it is" if found.recovered.by == "mark" else "by its looks it is"
            return f"{pixels}; {how} {which} ({near}), whose manifest says: {_story(told)}"
        return (
            f"it looks like {which} ({near}), but {pixels}: a copy whose mark was lost, or the "
            "picture that ours was made from, or one that looks the same"
        )
    if found.parts:
        return f"{pixels}; each comes from here, or its mark was lifted from a picture that does"
    if found.ledger.state == "other bytes" and found.mark.payload is not None:
        return f"{pixels}; entry {found.ledger.index} of the ledger is of this picture"
    if marked(found):
        return f"{pixels}; it comes from here, or the mark was lifted from a picture that does"
    if found.credentials.state == "untrusted":
        return f"signed by {found.credentials.signer!r}, whom nobody here has pinned: not shown"
    return f"nothing here tells: {pixels}"


def _story(told: CredentialsFound) -> str:
    """What a manifest says of how the picture was made, and who says so."""
    signer = f"signed by {told.signer!r}, whose root is pinned here"
    if told.source == AI_MADE and len(told.steps) <= 2:  # drawn and marked, from no other picture
        when = f" on {told.when[:16].replace('T', ' ')} UTC" if told.when else ""
        return f"drawn by an AI model ({told.model or 'not named'}){when}, {signer}"
    return f"{'; '.join(told.steps)}; model {told.model or 'not named'}; {signer}"


def _pixels(found: Verification) -> str:
    """What the key finds in the pixels, with the p-value of each mark that is there."""
    mark, number = found.mark, f"p = {found.mark.p_value:.2g}"
    guided = f"its drawing was guided towards this key's mark (p = {found.drawn.p_value:.2g})"
    drawn = found.drawn.p_value < PRESENT
    if found.parts:
        told = ", ".join(f"{one.number} (p = {one.p_value:.2g})" for one in found.parts)
        return f"parts of it carry this key's mark with different numbers: {told}"
    if mark.verdict == "present":
        named = "a number that can't be read" if mark.payload is None else f"number {mark.payload}"
        said = f"its pixels carry this key's mark, {named} ({number})"
        return f"{said}, and {guided}" if drawn else said
    if drawn:
        return guided
    if mark.verdict == "inconclusive":
        return f"whether its pixels carry this key's mark is inconclusive ({number})"
    return f"no mark of this key is found in its pixels ({number})"


def changes(found: Verification) -> tuple[str, ...]:
    """What was done to the file since it was released, as far as it shows."""
    credentials = found.credentials
    if credentials.state == "trusted" and not found.contradictions:
        return ("nothing: its bytes are those that were signed",)
    said = []
    if credentials.state == "invalid":
        why = ", ".join(CODES.get(code, code) for code in credentials.problems)
        said.append(f"changed after signing: {why}")
    said += _taken(found)
    if _saved_anew(found):
        said.append(f"saved anew: its bytes are not those that were released (now {found.format})")
    if found.lies.words and (marked(found) or fits(found) is not None):
        said.append(f"the picture was {found.lies.words}")
    scale, turn = getattr(found.mark, "scale", 1.0), getattr(found.mark, "turn", 0.0)
    if found.mark.verdict == "present" and abs(scale - 1) > 0.01:
        said.append(f"made {scale:.2f} times as large")
    if found.mark.verdict == "present" and abs(turn) > 0.1:
        said.append(f"turned by {turn:.1f} degrees")
    if found.parts:
        told = (f"number {one.number} {_within(one.where, found)}" for one in found.parts)
        said.append(f"put together from pictures with marks of their own: {'; '.join(told)}")
    fit = found.recovered.compared if found.recovered else found.compared
    if fit is None or (fit.kind == "inconclusive" and found.parts):
        return tuple(said)
    return (*said, *_looks(fit, found))


def _taken(found: Verification) -> list[str]:
    """Manifest and metadata that a released picture has and this one lacks."""
    if found.credentials.state != "none" or not marked(found):
        return []
    gone = "manifest" if found.metadata.record is not None else "manifest and metadata"
    if fits(found) is not None or found.ledger.state in ("sealed", "other bytes"):
        return [f"the {gone} {'were' if ' ' in gone else 'was'} taken out"]
    return [f"it has no {gone}: taken out, or the mark was lifted onto another picture"]


def _saved_anew(found: Verification) -> bool:
    """Whether it is shown to be a released picture in other bytes."""
    if found.credentials.state == "invalid" or found.ledger.state == "sealed":
        return False
    back = found.recovered
    other = back is not None and back.released != found.sha256
    known = fits(found) is not None and marked(found) and other
    return known or found.ledger.state == "other bytes"


def _within(where: tuple[float, float, float, float], found: Verification) -> str:
    left, right = (round(found.width * end) for end in where[::2])
    top, bottom = (round(found.height * end) for end in where[1::2])
    return f"within pixels {left} to {right} across and {top} to {bottom} down"


def _looks(fit: Compared, found: Verification) -> tuple[str, ...]:
    """What the map of brightness shows."""
    if fit.kind == "inconclusive":
        return (
            f"brightness misses that of the released picture by {fit.rms:.1f} grey levels: it was "
            "cropped, turned or largely edited, or is another picture (inconclusive)",
        )
    said = []
    if fit.cut is not None:
        left, top, right, bottom = (f"{100 * end:.0f}" for end in fit.cut)
        said.append(
            f"cropped: left are {left} to {right} % of the released picture's width and {top} to "
            f"{bottom} % of its height, as brightness tells (it misses by {fit.rms:.1f} grey "
            "levels)"
        )
    if abs(fit.contrast - 1) > 0.05:
        said.append(f"contrast multiplied by {fit.contrast:.2f}")
    if fit.where is not None:
        said.append(f"{fit.changed} of 256 cells do not fit, {_within(fit.where, found)}: "
                    "edited there")  # fmt: skip
    if fit.kind == "same":
        said.append(
            f"still that picture, as far as brightness tells (it misses by {fit.rms:.1f} grey "
            "levels); colours, and details finer than a sixteenth of its width, are not compared"
        )
    return tuple(said)


def not_shown(found: Verification) -> tuple[str, ...]:
    """What a reader may think is shown, and is not."""
    said = []
    if found.credentials.state == "trusted" and not found.contradictions:
        said.append("that the signer told the truth: a signature shows who said it, and to whom "
                    "it counts are those who trust that root")  # fmt: skip
    if found.credentials.state == "none" and found.metadata.record is not None:
        opened = found.ledger.commitment is True
        if not opened:
            said.append("what its metadata say, of prompt and model: nothing signs them any more")
    if not marked(found) and found.credentials.state != "trusted":
        said.append(
            "that a person made it, or that it is not from here: a mark is lost when a picture is "
            "drawn anew, and a small one's when it is cropped by a fifth, resized, or turned by "
            "other than quarters"
        )
    return tuple(said)


def _mark(found: Verification) -> str:
    carried = f", number {found.mark.payload}" if found.mark.payload is not None else ""
    word = {"absent": "not found"}.get(found.mark.verdict, found.mark.verdict)
    return f"{word} (p = {found.mark.p_value:.2g}{carried})"


def _drawn(found: Verification) -> str:
    there = found.drawn.p_value < PRESENT
    return f"{'present' if there else 'not found'} (p = {found.drawn.p_value:.2g})"


def _metadata(found: Verification) -> str:
    if found.metadata.problem:
        return found.metadata.problem
    return (
        "none of ours" if found.metadata.record is None else f"ours, number {found.metadata.index}"
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
        by = {"mark": "the mark's number", "looks": "the picture's looks"}[found.recovered.by]
        fit = "" if fits(found) is not None else ", but the picture does not fit it"
        said += (
            f"; one was found in the store by {by}{fit}: of the released file with SHA-256 "
            f"{found.recovered.released[:16]}…"
        )
    return said


def _ledger(found: Verification) -> str:
    index = found.ledger.index
    said = {
        "sealed": f"entry {index} has this very file",
        "other bytes": f"entry {index} has this picture in other bytes (re-encoded)",
        "other picture": f"entry {index} is of another picture, or of this one unchanged",
        "missing": "no entry for this file",
        "broken": "the ledger itself does not hold",
        "not asked": "not looked at",
    }[found.ledger.state]
    if found.ledger.bits is not None:
        said += f" ({found.ledger.bits} of 256 bits of the perceptual hash differ)"
    return said + "".join(f"; {text}" for text in found.ledger.problems)
