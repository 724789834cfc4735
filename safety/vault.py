"""A registry of real people, encrypted at rest: who may be drawn and who withheld consent.

Every person's name, facts, templates and salt are one file, sealed by AES-256-GCM (NIST SP
800-38D) under a key of that person's own, made anew with each save. Those keys stand in an index
that is sealed under the machine's registry key, so whoever reads the folder learns how many people
it has, when it was changed, and nothing else: not even a name, for a list of those who withheld
consent is sensitive in itself. What is sealed is bound to its registry and person, so nothing can
be swapped between them.

Deleting a person destroys their key and file, and changes the registry key besides: copies that
were made of the folder before can't be opened with what the machine still has (crypto-shredding,
NIST SP 800-88, section 2.6). Copies of folder *and* key, and blocks that a disk has not yet
overwritten, are out of reach.

It protects a lost disk's folder, a synced or leaked backup and a careless copy of the registry
without the keys. It does not protect against whoever can read the keys' folder (the machine's
owner, their administrator, malware of their account) or the memory of a running guard, and not
against putting back an old copy of the registry and its key together.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from safety.checkpoint import canonical
from safety.files import locked, parse_json, read_json, sync_folder, write_whole
from safety.keys import keys as make_keys
from safety.ledger import commit
from safety.registry import BadRegistry, Person, Registry

FORMAT = "pellucid-registry/2"
KEY, NONCE = 32, 12  # bytes
LARGEST = 64_000_000  # bytes of one person's file
Rows = dict[str, tuple[str, bytes]]  # a person's id to the name of their file and its key
NO_TEMPLATES = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Entrusted:
    """A person as the registry keeps them; `person` itself holds no templates.

    `templates` are (k, d) for each embedding model by its hash; `evidence` (JSON values) is what
    was worked out from them, and goes when the person does. `salt` opens the ledger's commitment.
    """

    person: Person
    templates: Mapping[str, np.ndarray] = field(repr=False)
    evidence: Mapping[str, Any] = field(repr=False, default_factory=dict)
    salt: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(32))
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def statement(self) -> str:
        """What the ledger's commitment is made of: the facts as they were when entrusted."""
        kept = ("name", "consents", "scope", "purpose", "expires", "proof")
        return canonical({key: getattr(self.person, key) for key in kept}).decode()

    def commitment(self) -> str:
        return commit(self.statement(), self.salt)


@dataclass(frozen=True)
class Contents:
    """Everyone in a vault. `owed` are commitments of people deleted whose entry is not logged."""

    id: str
    people: tuple[Entrusted, ...] = ()
    owed: tuple[str, ...] = ()

    def named(self, name: str) -> Entrusted:
        """The person of that name. Raises BadRegistry."""
        for one in self.people:
            if _alike(one.person.name, name):
                return one
        raise BadRegistry(f"nobody in the registry is named {name!r}")

    def free(self, name: str, id: str = "") -> None:
        """Raises BadRegistry where somebody else has that name."""
        for one in self.people:
            if one.id != id and _alike(one.person.name, name):
                raise BadRegistry(f"{one.person.name!r} is in the registry already")

    def registry(self, model: str) -> Registry:
        """Those who have templates of one embedding model, with them."""
        people = [
            replace(one.person, templates=one.templates[model])
            for one in self.people
            if model in one.templates
        ]
        return Registry(tuple(people), model)


class Vault:
    """The encrypted registry in `folder`, under the registry key in the folder `keys`.

    Every method raises BadRegistry in one sentence, naming the folder, for what can't be read:
    a wrong or missing key, changed or missing bytes. A guard must then block.
    """

    def __init__(self, folder: Path | str, keys: Path | str) -> None:
        self.folder, self.key_file = Path(folder), Path(keys) / "registry.key"

    def exists(self) -> bool:
        """Whether there is a registry, or was one: its key stays when its folder is lost."""
        return self._index.exists() or self.key_file.exists()

    def version(self) -> str:
        """What changes with every change of the registry: the SHA-256 of its index, "" for none."""
        return sha256(self._index.read_bytes()).hexdigest() if self._index.is_file() else ""

    @property
    def _index(self) -> Path:
        return self.folder / "registry.json"

    @property
    def _next(self) -> Path:
        return self.key_file.with_name("registry.key.next")

    def _file(self, name: str) -> Path:
        return self.folder / "people" / f"{name}.sealed"

    # Reading -------------------------------------------------------------------------------

    def read(self) -> Contents:
        """Everyone in the registry; nobody where there has never been one."""
        if not self.exists():
            return Contents("")
        with self._holding():
            return self._read()[0]

    def _read(self) -> tuple[Contents, Rows]:
        """The contents, and where each person's file and key are."""
        try:
            facts = read_json(self._index)
            if not isinstance(facts, dict) or facts.get("format") != FORMAT:
                raise ValueError(f'its "format" is not "{FORMAT}"')
            name = facts["id"]
            index = parse_json(self._opened(name, base64.b64decode(facts["index"], validate=True)))
            rows = {one: (file, bytes.fromhex(key)) for one, file, key in index["people"]}
            people = tuple(self._person(name, one, *row) for one, row in rows.items())
            return Contents(name, people, tuple(index["owed"])), rows
        except Exception as error:
            raise self._broken(error) from None

    def _opened(self, name: str, sealed: bytes) -> bytes:
        """The index by the registry key, or by its successor where a deletion was cut short."""
        keys = [_secret(path) for path in (self.key_file, self._next) if path.exists()]
        if not keys:
            raise ValueError(f"its key {self.key_file} is gone")
        for number, key in enumerate(keys):
            try:
                found = _unseal(key, sealed, name)
            except InvalidTag:
                continue
            if number:
                self._take_next()
            return found
        raise InvalidTag

    def _person(self, registry: str, person: str, file: str, key: bytes) -> Entrusted:
        from safetensors.numpy import load

        path = self._file(file)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.name} is larger than {LARGEST // 1_000_000} MB")
        data = _unseal(key, path.read_bytes(), registry, person)
        arrays = load(data)
        facts = parse_json(arrays.pop("facts").tobytes())
        salt, evidence = bytes.fromhex(facts.pop("salt")), facts.pop("evidence")
        return Entrusted(Person(templates=NO_TEMPLATES, **facts), arrays, evidence, salt, person)

    def _broken(self, error: Exception) -> BadRegistry:
        why = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, InvalidTag):
            why = "its key does not open it, or its bytes were changed"
        elif isinstance(error, OSError):
            why = f"{Path(str(error.filename or self.folder)).name}: {error.strerror}"
        return BadRegistry(
            f"the registry in {self.folder} can't be read ({why}); restore it together with "
            f"{self.key_file}, or move both away to begin with nobody in it"
        )

    # Writing -------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For what takes several steps, the ledger's among them: one process after the other."""
        with self._holding("turn"):
            yield

    @contextmanager
    def _holding(self, name: str = "lock") -> Iterator[None]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(self.folder / name):
                yield
        except OSError as error:
            raise self._broken(error) from None

    def put(self, one: Entrusted) -> None:
        """Keep a person, in place of the one with the same id; whole on disk before it returns.

        Raises BadRegistry where another person has that name.
        """
        with self._holding():
            contents, rows = self._begin()
            contents.free(one.person.name, one.id)
            file, key = secrets.token_hex(8), secrets.token_bytes(KEY)
            self._file(file).parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(self._file(file), _packed(one, key, contents.id), 0o600)
            self._write(contents.id, rows | {one.id: (file, key)}, contents.owed)

    def forget(self, id: str) -> str:
        """Destroy a person's file and keys; returns the commitment, now owed to the ledger."""
        with self._holding():
            contents, rows = self._begin()
            gone = next((one for one in contents.people if one.id == id), None)
            if gone is None:
                raise BadRegistry("that person is no longer in the registry")
            owed = gone.commitment()
            del rows[id]
            self._write(contents.id, rows, (*contents.owed, owed), rotate=True)
            return owed

    def settled(self, commitment: str) -> None:
        """The ledger has the deletion: it is owed no longer."""
        with self._holding():
            contents, rows = self._begin()
            owed = tuple(one for one in contents.owed if one != commitment)
            self._write(contents.id, rows, owed)

    def _begin(self) -> tuple[Contents, Rows]:
        """What is there; a new registry and its key where there has never been one."""
        if self.exists():
            return self._read()
        make_keys(self.key_file.parent)
        contents = Contents(secrets.token_hex(16))
        self._write(contents.id, {}, (), rotate=True)
        return contents, {}

    def _write(self, name: str, rows: Rows, owed: tuple[str, ...], rotate: bool = False) -> None:
        """The index anew; `rotate` puts it under a new registry key and destroys the old one.

        The new key lies beside the old until the index is on disk, so that one of the two opens it
        whenever the power fails.
        """
        if rotate:
            write_whole(self._next, secrets.token_bytes(KEY), 0o600)
        people = [[one, file, key.hex()] for one, (file, key) in rows.items()]
        index = canonical({"people": people, "owed": list(owed)})
        sealed = _seal(_secret(self._next if rotate else self.key_file), index, name)
        facts = {"format": FORMAT, "id": name, "index": base64.b64encode(sealed).decode()}
        write_whole(self._index, json.dumps(facts, indent=2).encode() + b"\n", 0o600)
        if rotate:
            self._take_next()
        kept = {self._file(file) for file, _ in rows.values()}
        for path in (*self.folder.glob("people/*"), *self.folder.glob(".*.part")):
            if path not in kept:  # files of the deleted, and what killed writers left
                path.unlink(missing_ok=True)

    def _take_next(self) -> None:
        os.replace(self._next, self.key_file)
        sync_folder(self.key_file.parent)


def _alike(a: str, b: str) -> bool:
    return a.casefold().split() == b.casefold().split()


def _bound(registry: str, person: str) -> bytes:
    """The associated data: what is sealed opens in this registry and for this person alone."""
    return canonical({"format": FORMAT, "registry": registry, "person": person})


def _seal(key: bytes, data: bytes, registry: str, person: str = "") -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, data, _bound(registry, person))


def _unseal(key: bytes, sealed: bytes, registry: str, person: str = "") -> bytes:
    """Raises InvalidTag."""
    if len(sealed) < NONCE + 16:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], _bound(registry, person))


def _packed(one: Entrusted, key: bytes, registry: str) -> bytes:
    """A person as sealed safetensors; the facts, as JSON, are one of the arrays."""
    from safetensors.numpy import save

    facts = {k: v for k, v in vars(one.person).items() if k != "templates"}
    text = canonical(facts | {"salt": one.salt.hex(), "evidence": dict(one.evidence)})
    arrays = {name: np.ascontiguousarray(rows) for name, rows in one.templates.items()}
    arrays["facts"] = np.frombuffer(text, np.uint8)
    return _seal(key, save(arrays), registry, one.id)


def _secret(path: Path) -> bytes:
    data = path.read_bytes()
    if len(data) != KEY:
        raise ValueError(f"{path} has {len(data)} bytes, expected {KEY}")
    return data
