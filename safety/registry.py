"""Who may be drawn: people, their consent, and templates of their likeness.

`Registry.save` writes in the clear, for people who are invented. Real people's registry is
encrypted: safety.vault.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

ANY = "any purpose"
UNSTATED = "a purpose that was not stated"  # the guard's, where nobody says what a picture is for
LONGEST = 200  # signs of a name, a scope or a purpose


class BadRegistry(ValueError):
    """A registry that can't be read, or what can't stand in one."""


@dataclass(frozen=True)
class Person:
    """One person: consent with scope, purpose and end, and (k, d) templates of the likeness.

    `purpose` is what consent is for, several set apart by commas; `proof` the SHA-256 (hex) of the
    document that shows it; `entry` the index of the entry that the machine's ledger has of it.
    Raises BadRegistry for a fact of another type, so that no text is taken for consent.
    """

    name: str
    consents: bool
    templates: np.ndarray = field(repr=False)
    scope: str = "any portrait"
    purpose: str = ANY
    expires: str | None = None  # ISO date, the last day on which consent holds
    revoked: bool = False
    proof: str | None = None
    entry: int | None = None

    def __post_init__(self) -> None:
        for key in ("name", "scope", "purpose"):
            value = getattr(self, key)
            if not isinstance(value, str) or not value.strip() or len(value) > LONGEST:
                raise BadRegistry(f"the {key} of a person must be a text of 1 to {LONGEST} signs")
        if not any(sign.isalnum() for sign in self.name):
            raise BadRegistry(f"the name {self.name!r} has no letter, so no prompt could have it")
        if type(self.consents) is not bool or type(self.revoked) is not bool:
            raise BadRegistry(f"consent and revocation of {self.name!r} must be true or false")
        if self.expires is not None and not _is_day(self.expires):
            raise BadRegistry(f"{self.expires!r} is no day; write the last one as 2027-12-31")
        if self.proof is not None and not _is_sha256(self.proof):
            raise BadRegistry(f"the proof of {self.name!r} must be a SHA-256 of 64 hex digits")
        if self.entry is not None and (type(self.entry) is not int or self.entry < 0):
            raise BadRegistry(f"the ledger's entry of {self.name!r} must be a whole number")

    def allows(self, today: date | None = None, purpose: str | None = None) -> bool:
        """Whether consent holds: given, not revoked, not past its last day, and for `purpose`.

        Without `purpose` none is compared (the guard compares UNSTATED); scope is for people to
        read.
        """
        if not self.consents or self.revoked:
            return False
        if purpose is not None and not self.is_for(purpose):
            return False
        return self.expires is None or (today or date.today()) <= date.fromisoformat(self.expires)

    def is_for(self, purpose: str) -> bool:
        """Whether a purpose is among those that consent names."""
        named = [_plain(one) for one in self.purpose.split(",")]
        return ANY in named or _plain(purpose) in named

    def standing(self, today: date | None = None, purpose: str | None = None) -> str:
        """The state of consent in words."""
        if self.allows(today, purpose):
            use = "" if self.purpose == ANY else f" for {self.purpose}"
            return f"has consented to {self.scope}{use}"
        if self.revoked:
            return "has revoked consent"
        if not self.consents:
            return "has not consented"
        if self.allows(today):
            return f"has consented for {self.purpose} only"
        return "gave consent that has expired"


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_day(text: object) -> bool:
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None


@dataclass(frozen=True)
class Registry:
    """The people whose likeness is protected, in the space of one embedding model."""

    people: tuple[Person, ...]
    model: str  # hash of the CLIP whose embeddings the templates are

    def save(self, folder: str | Path) -> None:
        """Write `registry.json` and `templates.safetensors`, each whole or not at all."""
        from safetensors.numpy import save as pack

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        people = [
            {k: v for k, v in vars(person).items() if k != "templates"} for person in self.people
        ]
        arrays = {f"{i}": np.asarray(p.templates, np.float32) for i, p in enumerate(self.people)}
        files = {
            "templates.safetensors": pack(arrays),
            "registry.json": json.dumps({"model": self.model, "people": people}, indent=2).encode(),
        }
        for name, data in files.items():
            temporary = folder / f".{name}.{os.getpid()}.tmp"
            temporary.write_bytes(data)
            os.replace(temporary, folder / name)

    @classmethod
    def load(cls, folder: str | Path) -> Registry:
        """Read what `save` wrote. Raises BadRegistry naming the folder."""
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            facts = json.loads((folder / "registry.json").read_text())
            arrays = load_file(folder / "templates.safetensors")
            people = tuple(
                Person(templates=arrays[str(i)], **row) for i, row in enumerate(facts["people"])
            )
            return cls(people, facts["model"])
        except Exception as error:
            raise BadRegistry(
                f"the registry in {folder} can't be read ({error}); restore it"
            ) from error


def changed(registry: Registry, name: str, **facts: object) -> Registry:
    """The registry with facts of one person changed, for instance `revoked=True`."""
    from dataclasses import replace

    if name not in [person.name for person in registry.people]:
        raise BadRegistry(f"nobody in the registry is named {name!r}")
    people: Sequence[Person] = [
        replace(p, **facts) if p.name == name else p  # type: ignore[arg-type]
        for p in registry.people
    ]
    return Registry(tuple(people), registry.model)
