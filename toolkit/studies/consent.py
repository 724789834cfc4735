"""`pellucid consent`: who may be drawn on this machine, added, revoked, deleted, with receipts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.people import FACES, guard_id, ledger, people, vault
from toolkit.runs import write_json

if TYPE_CHECKING:
    from safety import Likeness
    from safety.vault import Entrusted

LARGEST_PROOF = 200_000_000  # bytes


def add_person(
    name: str,
    *,
    images: Sequence[str] = (),
    photographs: Sequence[str] = (),
    consents: bool,
    scope: str | None = None,
    purpose: str | None = None,
    expires: str | None = None,
    proof: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Keep a person in this machine's registry; from then on the guard looks for them.

    `images` are portraits of the world that show them, `photographs` pictures with one face each,
    for which models of faces must be known (toolkit.faces). The document of `proof` is read once:
    its SHA-256 is kept, not the document. Raises UserError or BadRegistry, before anything is
    kept, for pictures or a proof that can't be read and for a name that is there.
    """
    from safety import Person
    from safety.consent import entrust
    from safety.registry import ANY
    from safety.vault import NO_TEMPLATES
    from toolkit.studies.enrol import blocked_by_name

    if not consents and (expires or purpose):
        raise UserError(
            "whoever withholds consent gives it for no purpose and no time; leave out --purpose "
            "and --expires, or add the person with --consents"
        )
    person = Person(
        name.strip(), consents, NO_TEMPLATES, scope or "any portrait", purpose or ANY, expires,
        proof=None if proof is None else _proof(proof),
    )  # fmt: skip
    if consents and not person.allows():
        raise UserError(f"consent until {expires} is over; give a day to come")
    people().free(person.name)
    faces = _face_templates(photographs) if photographs else {}
    templates, evidence = _templates(images, seed, say) if images else ({}, {})
    templates |= faces
    if not templates:
        say("without pictures only the name is looked for, in prompts")
    hits, count = blocked_by_name(person.name)
    if hits and not consents:
        say(f"the name alone withholds {hits} of {count} harmless prompts; a fuller one is better")
    kept = entrust(vault(), ledger(), person, templates, evidence)
    return _told(kept) | {"evidence": dict(kept.evidence)}


def _proof(path: str) -> str:
    """SHA-256 (hex) of the document that shows consent, or that it was withheld."""
    try:
        if Path(path).stat().st_size > LARGEST_PROOF:
            raise UserError(f"the proof {path} is larger than {LARGEST_PROOF // 10**6} MB")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"the proof {path} can't be read ({error.strerror})") from None


def _templates(
    images: Sequence[str], seed: int, say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Embeddings of a person's pictures by the guard's CLIP, and the gate with its rates."""
    from toolkit.clip import load_clip
    from toolkit.studies.enrol import gate_for, odd_ones, read_sittings

    pictures = read_sittings(images)
    clip = load_clip()
    check = _check(clip)
    vectors = np.asarray(clip.encode_image(pictures), np.float32)
    say(f"setting a gate on other people who are known by {len(images)} pictures")
    assert check.more is not None
    gate, rates = gate_for(clip, check.more.space, len(images), seed)
    for index in odd_ones(check.more.space, vectors, gate):
        say(
            f"{images[index]} is unlike the others; if it shows somebody else, delete and add again"
        )
    return {clip.hash: vectors}, {"gate": gate, "rates": rates, "guard": guard_id(check)}


def _face_templates(files: Sequence[str]) -> dict[str, np.ndarray]:
    """Embeddings of the one face of each picture. Raises UserError naming a picture without."""
    from toolkit.faces import HOW, known_faces
    from toolkit.studies.embed import read_picture

    faces = known_faces()
    if faces is None:
        raise UserError(f"nothing here can read faces in photographs; {HOW}")
    rows = []
    for file in files:
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise UserError(f"the picture {file} can't be read ({error.strerror})") from None
        found = faces(np.asarray(read_picture(Path(file), data)))
        if len(found) != 1:
            raise UserError(f"{file} shows {len(found)} faces; give pictures of that person alone")
        rows.append(found[0])
    return {faces.id: np.array(rows, np.float32)}


def _check(clip: Any) -> Likeness:
    """The likeness check as the guard has it, with everyone in the registry."""
    from safety import Likeness
    from toolkit.guarding import load_guard

    check = load_guard(clip).checks["likeness"]
    assert isinstance(check, Likeness)
    return check


def _told(one: Entrusted) -> dict[str, Any]:
    """A person as a row."""
    person, spaces = one.person, one.templates
    return {
        "name": person.name,
        "standing": person.standing(),
        "scope": person.scope,
        "purpose": person.purpose,
        "expires": person.expires,
        "revoked": person.revoked,
        "proof": person.proof,
        "pictures": sum(len(t) for n, t in spaces.items() if not n.startswith(FACES)),
        "faces": sum(len(t) for n, t in spaces.items() if n.startswith(FACES)),
        "entry": person.entry,
    }


def list_people(measured: bool = True) -> dict[str, Any]:
    """Everyone in the registry, and how often the guard takes nobody for one of them.

    `measured` loads CLIP for that rate, at the size of the registry as it is now, the planted
    figures of the world included.
    """
    contents = people()
    found: dict[str, Any] = {"people": [_told(one) for one in contents.people]}
    if measured:
        from toolkit.clip import load_clip

        found["rates"] = _check(load_clip()).calibration
    return found


def show_person(name: str) -> dict[str, Any]:
    """One person with what was measured when they were added."""
    one = people().named(name)
    return _told(one) | {"evidence": dict(one.evidence)}


def take_faces(detector: str, recogniser: str) -> dict[str, Any]:
    """Use YuNet's and SFace's weights from these files, from now on."""
    from toolkit.faces import use_faces

    return {"faces": use_faces(detector, recogniser).id}


def revoke_consent(name: str) -> dict[str, Any]:
    """Take a person's consent back, from now on."""
    from safety.consent import revoke

    return _told(revoke(vault(), ledger(), name))


def own_receipt(name: str, out: str | None = None) -> dict[str, Any]:
    """What a person may keep: their entry's proof, and what opens its commitment.

    `out` is a new file. It has the name in it, so it is theirs alone.
    """
    from safety.consent import opening

    one = people().named(name)
    _new_file(out)
    found = opening(one, ledger())
    if out is not None:
        write_json(Path(out), found)
    return found


def delete_person(name: str, out: str) -> dict[str, Any]:
    """Delete a person for good, log it, and write the receipt into the new file `out`."""
    from safety.consent import forget

    held = vault()
    held.read().named(name)
    _new_file(out)
    log = ledger()
    found = forget(held, log, name)
    write_json(Path(out), found.to_json())
    return {"receipt": out, "entry": found.index, "ledger": str(log.folder), "key": log.public}


def _new_file(out: str | None) -> None:
    """Refuse what can't be written before anything is done."""
    if out is None:
        return
    path = Path(out)
    if path.exists():
        raise UserError(f"{out} exists; name a new file for the receipt")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} for the receipt; make it first")


def rates_in_words(rates: dict[str, Any]) -> str:
    """How often somebody who is nobody is taken for one of the registry."""
    low, high = rates["fpir_ci95"]
    many = "; every person added makes it more" if rates["fpir"] >= 0.01 else ""
    return (
        f"at this registry's {rates['people']} people (planted figures included), "
        f"{rates['fpir']:.2%} [{low:.2%}, {high:.2%}] of {rates['impostors']} portraits of nobody "
        f"are taken for one of them{many}"
    )
