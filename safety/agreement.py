"""Whether mark, metadata, credentials and ledger tell one story, and where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safety.content_credentials import AI_EDITED, AI_MADE, CredentialsFound
from safety.metadata import Metadata
from safety.watermark import MarkResult

if TYPE_CHECKING:
    from safety.verify import LedgerFound


def _named(
    mark: MarkResult, metadata: Metadata, credentials: CredentialsFound, logged: LedgerFound
) -> dict[str, int]:
    """Which number each layer gives, those that give none left out."""
    whole, seen = credentials.state == "trusted", logged.state in ("sealed", "other bytes")
    numbers = {
        "the mark": mark.payload,
        "the metadata": metadata.index,
        "the manifest": credentials.payload if whole else None,
        "the ledger": logged.index if seen else None,
    }
    return {layer: number for layer, number in numbers.items() if number is not None}


def contradictions(
    mark: MarkResult, metadata: Metadata, credentials: CredentialsFound, logged: LedgerFound
) -> tuple[str, ...]:
    """What can't be true of an honest file, a sentence each."""
    whole = credentials.state == "trusted"
    # A crop looks like another picture; a file that is unchanged since it was signed does not.
    moved = logged.state == "other picture" and (whole or metadata.record is not None)
    made = credentials.source in (AI_MADE, AI_EDITED)
    said = {
        f"the metadata can't be read: {metadata.problem}": metadata.problem is not None,
        "the manifest does not hold for this file": credentials.state == "invalid",
        "the ledger itself does not hold": logged.state == "broken",
        f"the file names entry {logged.index} of the ledger, which is of another picture": moved,
        f"it was signed like this, and entry {logged.index} of the ledger has other bytes":
            whole and logged.state == "other bytes",
        "the manifest tells of no model, and the mark is one that a model's pictures get":
            whole and not made and mark.payload is not None,
        f"its metadata do not say what entry {logged.index} of the ledger committed to":
            logged.commitment is False,
        "it names an entry that the ledger does not have":
            logged.state == "missing" and not (mark.payload is None and metadata.index is None),
    }  # fmt: skip
    numbers = _named(mark, metadata, credentials, logged)
    told = ", ".join(f"{layer} {number}" for layer, number in numbers.items())
    return (
        *(sentence for sentence, holds in said.items() if holds),
        *([f"they name different numbers: {told}"] if len(set(numbers.values())) > 1 else []),
    )


def agreement(
    mark: MarkResult, metadata: Metadata, credentials: CredentialsFound, logged: LedgerFound
) -> bool | None:
    """Whether what is there tells one story; None where fewer than two layers name a number."""
    if contradictions(mark, metadata, credentials, logged):
        return False
    return True if len(_named(mark, metadata, credentials, logged)) > 1 else None
