"""Who may be drawn: people, their consent, and templates of their likeness."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np


class BadRegistry(ValueError):
    """A registry that can't be read."""


@dataclass(frozen=True)
class Person:
    """One person: consent with its scope and end, and (k, d) templates of the likeness."""

    name: str
    consents: bool
    templates: np.ndarray
    scope: str = "any portrait"
    expires: str | None = None  # ISO date, the last day on which consent holds
    revoked: bool = False

    def allows(self, today: date | None = None) -> bool:
        """Whether consent holds: given, not revoked, not past its last day."""
        if not self.consents or self.revoked:
            return False
        return self.expires is None or (today or date.today()) <= date.fromisoformat(self.expires)

    def standing(self, today: date | None = None) -> str:
        """The state of consent in words."""
        if self.allows(today):
            return f"has consented to {self.scope}"
        if self.revoked:
            return "has revoked consent"
        return "gave consent that has expired" if self.consents else "has not consented"


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
