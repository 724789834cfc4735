"""Consent given, withheld, revoked and forgotten: each on record, none of it naming anybody.

The ledger's entries hold one salted commitment a person. Whoever is given the statement and its
salt (`opening`) can show that an entry is theirs; once both are deleted here, nobody else can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from safety.ledger import Ledger
from safety.receipts import Receipt, receipt, record_deletion
from safety.registry import BadRegistry, Person
from safety.vault import NO_TEMPLATES, Contents, Entrusted, Vault


def entrust(
    vault: Vault,
    ledger: Ledger,
    person: Person,
    templates: Mapping[str, np.ndarray],
    evidence: Mapping[str, Any] | None = None,
) -> Entrusted:
    """Log a person's commitment, then keep them encrypted.

    `templates` are (k, d) for each embedding model by its hash. Raises BadRegistry for a name that
    is there already, and for templates that are no numbers, before anything is logged.
    """
    for model, rows in templates.items():
        if not np.isfinite(rows).all() or rows.size == 0:
            raise BadRegistry(f"the templates of {person.name!r} in {model} are no numbers")
    one = Entrusted(replace(person, templates=NO_TEMPLATES), templates, evidence or {})
    with vault.turn():
        vault.read().free(person.name)
        _settle(vault, ledger)
        entry = ledger.append({"kind": "consent", "commitment": one.commitment()})
        one = replace(one, person=replace(one.person, entry=entry))
        vault.put(one)
    return one


def revoke(vault: Vault, ledger: Ledger, name: str) -> Entrusted:
    """Take consent back. It counts from this call on; then it is logged."""
    with vault.turn():
        one = vault.read().named(name)
        if not one.person.consents:
            raise BadRegistry(f"{one.person.name!r} has not consented, so nothing can be revoked")
        if one.person.revoked:
            raise BadRegistry(f"consent of {one.person.name!r} is revoked already")
        one = replace(one, person=replace(one.person, revoked=True))
        vault.put(one)
        ledger.append({"kind": "revocation", "commitment": one.commitment()})
    return one


def forget(vault: Vault, ledger: Ledger, name: str) -> Receipt:
    """Delete a person's name, facts, templates, salt and key, log that, and give the receipt."""
    with vault.turn():
        commitment = vault.forget(vault.read().named(name).id)
        return _settle(vault, ledger)[commitment]


def settle(vault: Vault, ledger: Ledger) -> None:
    """Log deletions that were cut short between deleting and logging."""
    with vault.turn():
        _settle(vault, ledger)


def _settle(vault: Vault, ledger: Ledger) -> dict[str, Receipt]:
    """The receipts of all deletions that are owed to the ledger, by commitment."""
    found = {}
    for commitment in vault.read().owed:
        found[commitment] = record_deletion(ledger, commitment, "person")
        vault.settled(commitment)
    return found


def opening(one: Entrusted, ledger: Ledger) -> dict[str, object]:
    """A person's own receipt: their entry with its proof, and what opens its commitment.

    For the person alone: it has the name. Raises BadRegistry where the ledger has another entry.
    """
    found = receipt(ledger, one.person.entry) if one.person.entry is not None else None
    if found is None or found.entry.get("commitment") != one.commitment():
        raise BadRegistry(f"the ledger has no entry of {one.person.name!r}; restore its copy")
    opens = {"statement": one.statement(), "salt": one.salt.hex()}
    return found.to_json() | {"opening": opens}


def undone(contents: Contents, ledger: Ledger) -> list[str]:
    """People whose revocation or deletion is logged, and who stand here as if it were not.

    So it is when an old copy of the registry and its key were put back.
    """
    logged: dict[str, set[object]] = {"revocation": set(), "deletion": set()}
    for entry in ledger.entries():
        logged.get(str(entry.get("kind")), set()).add(entry.get("commitment"))
    return [
        one.person.name
        for one in contents.people
        if one.commitment() in logged["deletion"]
        or (one.commitment() in logged["revocation"] and not one.person.revoked)
    ]
