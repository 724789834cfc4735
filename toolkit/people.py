"""This machine's registry of real people: where it is, and what a guard takes from it.

Beside the planted figures of the portraits world, whose registry ships with the guard, everybody
added by `pellucid consent add` is looked for: in prompts by name, in pictures by likeness.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from safety import Likeness, Registry
from safety.likeness import Added, apart
from safety.vault import Contents, Vault
from toolkit.errors import UserError

if TYPE_CHECKING:
    from safety import Ledger

FACES = "faces:"  # begins the name of a space of faces; any other is a CLIP's hash


def home() -> Path:
    from toolkit.studies.checkup import home as found

    return found()


def vault() -> Vault:
    """The encrypted registry of this machine."""
    return Vault(home() / "registry", home() / "keys")


def ledger() -> Ledger:
    """The ledger of consent on this machine, signed by its key (made on first use)."""
    from safety import Ledger as Log
    from safety.keys import keys

    return Log(home() / "ledger", keys(home() / "keys").ledger)


def people() -> Contents:
    """Everyone in this machine's registry, nobody where there is none.

    Raises BadRegistry where it can't be read, and UserError where its ledger does not hold, or
    knows of a revocation or a deletion that it does not: nothing may be drawn then.
    """
    from safety.consent import undone

    held = vault()
    if not held.exists():
        return Contents("")
    contents, log = held.read(), ledger()
    report = log.verify()
    problems = [*report.problems]
    if any(one.person.entry is None or one.person.entry >= report.size for one in contents.people):
        problems.append("it lacks entries of people in the registry")
    if problems:
        raise UserError(
            f"the ledger of consent in {log.folder} does not hold ({problems[0]}), so nothing is "
            "drawn; restore it from a copy"
        )
    back = undone(contents, log)
    if back:
        raise UserError(
            f"the registry in {held.folder} is older than its ledger: {', '.join(back)} revoked or "
            "was deleted since; nothing is drawn until the newest copy is restored, or pellucid "
            "consent revoke or delete is repeated"
        )
    return contents


def everybody(planted: Registry, contents: Contents) -> Registry:
    """The planted figures and everyone added, for the check of names."""
    return Registry((*planted.people, *(one.person for one in contents.people)), planted.model)


def with_people(check: Likeness, contents: Contents, innocent: np.ndarray) -> Likeness:
    """The guard's likeness check with everyone who was added by pictures of the world.

    `innocent` are the portraits that the guard was fitted on, of which the last quarter measures
    and the others tell on what axes people differ. Raises UserError for templates of another CLIP:
    whoever they are of would be let through.
    """
    model, guard = check.registry.model, guard_id(check)
    for one in contents.people:
        clips = {name for name in one.templates if not name.startswith(FACES)}
        if clips - {model} or (clips and one.evidence["guard"] != guard):
            raise UserError(
                f"{one.person.name!r} was added to the registry with another CLIP or guard, so "
                "nothing can be checked against their pictures; delete that entry and add it again"
            )
    added = contents.registry(model)
    gates = [one.evidence["gate"] for one in contents.people if model in one.templates]
    fitted, measured = np.split(innocent.astype(np.float64), [3 * len(innocent) // 4])
    more = Added(apart(check.space, fitted), added.people, np.array(gates, float))
    return check.joined(added, more, measured if added.people else measured[:0])


def guard_id(check: Likeness) -> str:
    """What a gate holds for: the space in which the guard compares faces."""
    space = (
        np.asarray(part, np.float32).tobytes() for part in (check.space.mean, check.space.root)
    )
    return hashlib.sha256(b"".join(space)).hexdigest()
