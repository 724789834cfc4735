"""What the law asks of a generated picture, field by field, and whether a run's files have it.

EU AI Act (Regulation (EU) 2024/1689), Article 50, with the measures of its code of practice, and
California's AI Transparency Act (SB 942 as amended by AB 853, Business and Professions Code,
section 22757 and following). Each field is answered from what was read in the files: *pass* when
all of them have it, *fail* when one does not, *open* where no file can tell. This is no legal
advice: whether a law applies, and to whom, is for people to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from safety.verify import Verification

AI_SOURCES = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
Result = Literal["pass", "fail", "open"]


@dataclass(frozen=True)
class Seen:
    """One released file: what verifying it found, its entry's time, and what else was tried.

    `survived` is whether the mark was still found after each change, None where none was tried;
    `private` are words of this machine (user, host, folder) that stand in the file.
    """

    found: Verification
    logged_at: str | None
    survived: dict[str, bool] | None = None
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """One thing that a law asks for: where it stands, where it is looked for, what was found."""

    law: str
    section: str
    asks: str
    place: str
    result: Result
    hits: int
    n: int
    note: str

    @property
    def met(self) -> str:
        """`12 of 12`, or nothing where nothing was counted."""
        return f"{self.hits} of {self.n}" if self.n else ""


EU = "EU AI Act, Article 50"
CODE = "EU code of practice on marking (voluntary)"
CALIFORNIA = "California SB 942"


def _signed(seen: Seen) -> bool:
    return seen.found.credentials.state == "trusted"


def _ai_made(seen: Seen) -> bool:
    source = (seen.found.credentials.source or "").rpartition("/")[2]
    return _signed(seen) and source in AI_SOURCES


def _marked(seen: Seen) -> bool:
    return seen.found.mark.verdict == "present" and seen.found.mark.payload is not None


def _unique(seen: Seen) -> bool:
    return _signed(seen) and seen.found.credentials.payload is not None


def _versioned(seen: Seen) -> bool:
    agent = seen.found.credentials.agent or ""
    return _signed(seen) and len(agent.split()) > 1


def _dated(seen: Seen) -> bool:
    return _signed(seen) and bool(seen.found.credentials.when)


def _provider(seen: Seen) -> bool:
    return _signed(seen) and bool(seen.found.credentials.signer)


def _survives(seen: Seen) -> bool | None:
    return None if seen.survived is None else _marked(seen) and all(seen.survived.values())


# (law, section, what it asks, where it is looked for, the check, what else is to be said)
Rule = tuple[str, str, str, str, Callable[[Seen], bool | None], str]
COUNTED: tuple[Rule, ...] = (
    (EU, "50(2)", "marked in a machine-readable format as artificially generated",
     "C2PA: c2pa.created with its digitalSourceType", _ai_made, ""),
    (EU, "50(2)", "detectable as artificially generated", "the invisible mark in the pixels",
     _marked, "found with the key alone; a missing mark proves nothing"),
    (EU, "50(2)", "interoperable", "C2PA, under a pinned certificate", _signed,
     "the certificate is this machine's: others must pin it first"),
    (EU, "50(2)", "robust as far as technically feasible", "the mark, after common changes",
     _survives, "regeneration by another model removes most marks, this one too"),
    (CODE, "measure 1", "two layers of machine-readable marking: signed metadata and watermark",
     "C2PA and the mark, naming one number", lambda s: _signed(s) and _marked(s)
     and s.found.credentials.payload == s.found.mark.payload, ""),
    (CODE, "measure 1", "logging, where used", "the ledger's entry with the file's hash",
     lambda s: s.found.ledger.state == "sealed", ""),
    (CODE, "measure 2", "detection free of charge", "`pellucid verify`, offline",
     lambda s: s.found.agrees is True, "this very tool read the files for this paper"),
    (CALIFORNIA, "22757.2(a)(1)", "a tool tells whether the provider's system made the picture",
     "`pellucid verify`", lambda s: _signed(s) or _marked(s), ""),
    (CALIFORNIA, "22757.2(a)(2)", "it gives out the system provenance data that it finds",
     "C2PA: signing program, model", lambda s: _versioned(s)
     and bool(s.found.credentials.model), ""),
    (CALIFORNIA, "22757.2(a)(3)", "it gives out no personal provenance data",
     "the file's bytes, searched for user, host and folder", lambda s: not s.private,
     "a prompt in the metadata may name somebody: that is not searched"),
    (CALIFORNIA, "22757.3(b)(1)(A)", "latent disclosure: name of the provider",
     "C2PA: the signing certificate's name", _provider, ""),
    (CALIFORNIA, "22757.3(b)(1)(B)", "latent disclosure: name and version of the system",
     "C2PA: claim generator", _versioned, ""),
    (CALIFORNIA, "22757.3(b)(1)(C)", "latent disclosure: time and date of creation",
     "C2PA: when, of the first action", _dated, "the ledger's entry has it too"),
    (CALIFORNIA, "22757.3(b)(1)(D)", "latent disclosure: a unique identifier",
     "C2PA: soft binding; the mark", _unique, "unique within the ledger that it names"),
    (CALIFORNIA, "22757.3(b)(2)", "the latent disclosure can be detected by the provider's tool",
     "`pellucid verify`", lambda s: _signed(s) and _marked(s), ""),
    (CALIFORNIA, "22757.3(b)(3)", "consistent with widely accepted industry standards",
     "C2PA: no doubt of the linter", lambda s: _signed(s)
     and not s.found.credentials.doubts, ""),
    (CALIFORNIA, "22757.3(b)(4)", "permanent or extraordinarily difficult to remove, as far as "
     "technically feasible", "the mark, after common changes", _survives,
     "metadata and signature are lost by any re-encoding: the mark alone stays"),
)  # fmt: skip

# (law, section, what it asks, its result, why)
UNCOUNTED: tuple[tuple[str, str, str, Result, str], ...] = (
    (EU, "50(1)", "people are told that they deal with an AI system", "open",
     "a duty of whoever offers a service; no file can show it"),
    (EU, "50(4)", "deep fakes are disclosed by whoever shows them", "open",
     "every person here is drawn and fictional; no visible label is put into pictures"),
    (EU, "50(5)", "told clearly, at first exposure at the latest", "open",
     "depends on the page that shows the picture"),
    (CALIFORNIA, "22757.2(a)(4)-(6)", "the tool is public, takes a file or an address, has an "
     "interface for programs", "open",
     "command and Python function take files; addresses are refused: nothing goes to the network"),
    (CALIFORNIA, "22757.3(a)", "users may choose a visible (manifest) disclosure", "fail",
     "no command puts a visible label into a picture"),
    (CALIFORNIA, "22757.3(c)", "licensees keep the disclosure, or lose the licence in 96 hours",
     "open", "a matter of contracts"),
)  # fmt: skip


def fields(files: Sequence[Seen]) -> tuple[Field, ...]:
    """Every field of both laws, in the laws' order."""
    made = []
    for law, section, asks, place, check, note in COUNTED:
        answers = [answer for answer in map(check, files) if answer is not None]
        hits, n = sum(answers), len(answers)
        result: Result = "open" if not n else "pass" if hits == n else "fail"
        note = note if n else "no picture was released, so nothing can be read"
        made.append(Field(law, section, asks, place, result, hits, n, note))
    for law, section, asks, result, why in UNCOUNTED:
        made.append(Field(law, section, asks, "", result, 0, 0, why))
    order = [EU, CODE, CALIFORNIA]
    return tuple(sorted(made, key=lambda one: (order.index(one.law), one.section)))
