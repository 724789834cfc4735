"""The encrypted registry: what is at rest, what a change of any byte does, what deletion leaves."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safety import BadRegistry, Ledger, NameInPrompt, Person, Registry
from safety.consent import entrust, forget, opening, revoke, settle, undone
from safety.ledger import commit
from safety.vault import NO_TEMPLATES, Contents, Entrusted, Vault

MODEL, SIGNER = "ab" * 32, bytes(range(32))
NAMES = ("Nora Lind", "Emil Okafor", "Sana Reyes")
FUZZ = settings(
    max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def somebody(name: str, consents: bool = False, **facts) -> Person:
    return Person(name, consents, NO_TEMPLATES, **facts)


def likeness(seed: int) -> dict[str, np.ndarray]:
    return {MODEL: np.random.default_rng(seed).normal(size=(5, 16)).astype(np.float32)}


class House:
    """A vault, its keys and a ledger."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.vault = Vault(folder / "registry", folder / "keys")
        self.ledger = Ledger(folder / "ledger", SIGNER)

    def everything(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def holds(self, what: bytes) -> list[Path]:
        return [path for path, data in self.everything().items() if what in data]


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "home")
    for seed, name in enumerate(NAMES):
        entrust(made.vault, made.ledger, somebody(name, seed == 1), likeness(seed))
    return made


def test_what_went_in_comes_out(house: House) -> None:
    again = Vault(house.folder / "registry", house.folder / "keys").read()
    assert [one.person.name for one in again.people] == list(NAMES)
    assert [one.person.entry for one in again.people] == [0, 1, 2]
    registry = again.registry(MODEL)
    assert registry.model == MODEL and len(again.registry("another").people) == 0
    for seed, person in enumerate(registry.people):
        assert np.array_equal(person.templates, likeness(seed)[MODEL])
    with pytest.raises(BadRegistry, match="'Nora Lind' is in the registry"):
        entrust(house.vault, house.ledger, somebody("nora  LIND"), likeness(9))
    assert house.ledger.size == 3, "nothing is logged of what is refused"


def test_nothing_stands_in_the_clear_and_only_the_owner_may_read(house: House) -> None:
    for name in NAMES:
        assert not house.holds(name.encode()) and not house.holds(name.split()[0].encode())
    for seed in range(3):
        assert not house.holds(likeness(seed)[MODEL].tobytes()[:16])
    secret = [house.folder / "keys" / "registry.key", *(house.folder / "registry").rglob("*.*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert stat.S_IMODE((house.folder / "registry").stat().st_mode) == 0o700


def test_no_two_seals_are_alike(house: House) -> None:
    """Saving the same person again takes another key and nonce: nothing can be compared."""
    one = house.vault.read().people[0]
    before = set(house.everything().values())
    house.vault.put(one)
    changed = [d for p, d in house.everything().items() if d not in before]
    assert len(changed) == 2, "the index and that person's file, both unlike what was there"
    assert len(list((house.folder / "registry" / "people").iterdir())) == 3


@pytest.mark.parametrize("which", ["registry.json", "people", "registry.key"])
def test_any_changed_byte_or_cut_fails_closed(house: House, which: str) -> None:
    path = next(p for p in house.everything() if which in (p.name, p.parent.name))
    whole = path.read_bytes()
    for at in [*range(0, len(whole), max(1, len(whole) // 40)), len(whole) - 2]:
        spoiled = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        for data in (spoiled, whole[:at]):
            path.write_bytes(data)
            try:
                found = house.vault.read()
            except BadRegistry as error:
                assert "can't be read" in str(error) and "restore it" in str(error)
                assert "\n" not in str(error)
            else:
                blank = which == "registry.json" and whole[at : at + 1].isspace()
                assert blank and len(found.people) == 3
    path.unlink()
    with pytest.raises(BadRegistry, match="can't be read"):
        house.vault.read()
    with pytest.raises(BadRegistry, match="can't be read"):
        house.vault.put(Entrusted(somebody("New One"), likeness(7)))
    path.write_bytes(whole)
    assert len(house.vault.read().people) == 3


def test_people_and_registries_cannot_be_swapped(house: House, tmp_path: Path) -> None:
    first, second, *_ = sorted((house.folder / "registry" / "people").iterdir())
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b), second.write_bytes(a)
    with pytest.raises(BadRegistry, match="does not open it"):
        house.vault.read()
    first.write_bytes(a), second.write_bytes(b)
    other = House(tmp_path / "other")
    entrust(other.vault, other.ledger, somebody("Ola Berg", True), likeness(5))
    mine = house.folder / "registry" / "registry.json"
    facts = json.loads(mine.read_text())
    for wrong in (
        other.folder.joinpath("registry", "registry.json").read_text(),
        json.dumps(facts | {"id": json.loads(
            other.folder.joinpath("registry", "registry.json").read_text())["id"]}),
    ):  # fmt: skip
        mine.write_text(wrong)
        with pytest.raises(BadRegistry, match="does not open it"):
            house.vault.read()


def test_an_older_file_of_a_person_does_not_come_back(house: House) -> None:
    """Somebody who revoked can't be made to consent by putting the file from before back."""
    people = house.folder / "registry" / "people"
    before = {path.name: path.read_bytes() for path in people.iterdir()}
    revoke(house.vault, house.ledger, "Emil Okafor")
    after = {path.name for path in people.iterdir()}
    (new,), (old,) = after - set(before), set(before) - after
    (people / new).write_bytes(before[old])
    with pytest.raises(BadRegistry, match="does not open it"):
        house.vault.read()


def test_deletion_leaves_nothing_and_a_receipt(house: House, tmp_path: Path) -> None:
    gone = house.vault.read().named("Nora Lind")
    kept = tmp_path / "backup"
    shutil.copytree(house.folder / "registry", kept)
    old_key = (house.folder / "keys" / "registry.key").read_bytes()
    found = forget(house.vault, house.ledger, "Nora Lind")
    assert found.holds(str(house.ledger.public)) and found.entry["kind"] == "deletion"
    assert found.entry["commitment"] == gone.commitment() and "Nora" not in found.line
    for secret in (b"Nora", gone.salt, gone.salt.hex().encode(), old_key, gone.id.encode()):
        assert not house.holds(secret), secret
    assert not house.holds(likeness(0)[MODEL].tobytes()[:16])
    assert [one.person.name for one in house.vault.read().people] == list(NAMES[1:])
    assert house.ledger.verify().ok
    # A copy made before, with what the machine still has: nothing of anybody.
    with pytest.raises(BadRegistry, match="does not open it"):
        Vault(kept, house.folder / "keys").read()
    # Whoever kept statement and salt can still show that the entry is theirs.
    assert commit(gone.statement(), gone.salt) == found.entry["commitment"]
    with pytest.raises(BadRegistry, match="nobody in the registry is named"):
        forget(house.vault, house.ledger, "Nora Lind")


def test_a_deletion_cut_short_anywhere_is_finished(house: House, monkeypatch) -> None:
    """Before the new key counts, and before the ledger has it: the next command goes on."""
    import safety.consent
    import safety.vault

    def cut(*_args) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(safety.vault.Vault, "_take_next", cut)
        with pytest.raises(KeyboardInterrupt):
            forget(house.vault, house.ledger, "Nora Lind")
    assert [one.person.name for one in house.vault.read().people] == list(NAMES[1:])
    with monkeypatch.context() as patch:
        patch.setattr(safety.consent, "record_deletion", cut)
        with pytest.raises(KeyboardInterrupt):
            forget(house.vault, house.ledger, "Sana Reyes")
    assert len(house.vault.read().owed) == 2
    settle(house.vault, house.ledger)
    assert not house.vault.read().owed
    assert [entry["kind"] for entry in house.ledger.entries()][3:] == ["deletion"] * 2
    assert len(list((house.folder / "registry" / "people").iterdir())) == 1


def test_what_killed_writers_left_is_swept(house: House) -> None:
    left = [house.folder / "registry" / ".registry.json.x.part",
            house.folder / "registry" / "people" / ".ab.sealed.x.part",
            house.folder / "registry" / "people" / "ab.sealed"]  # fmt: skip
    for path in left:
        path.write_bytes(b"x")
    assert len(house.vault.read().people) == 3
    house.vault.put(house.vault.read().people[0])
    assert not [path for path in left if path.exists()] and len(house.vault.read().people) == 3


def test_a_cut_before_the_index_changes_nothing(house: House, monkeypatch) -> None:
    import safety.vault

    whole, real = house.everything(), safety.vault.write_whole

    def cut(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.name == "registry.json":
            raise KeyboardInterrupt
        real(path, data, mode)

    monkeypatch.setattr(safety.vault, "write_whole", cut)
    for act in (
        lambda: house.vault.put(Entrusted(somebody("New One"), likeness(7))),
        lambda: house.vault.forget(house.vault.read().people[0].id),
    ):
        with pytest.raises(KeyboardInterrupt):
            act()
        assert [one.person.name for one in house.vault.read().people] == list(NAMES)
        assert whole.items() <= house.everything().items()


def test_a_key_without_its_registry_is_no_empty_registry(house: House) -> None:
    shutil.rmtree(house.folder / "registry")
    with pytest.raises(BadRegistry, match=r"registry\.json: No such file"):
        house.vault.read()


def test_where_there_was_never_one_nothing_is_made(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "registry", tmp_path / "keys")
    assert vault.read() == Contents("") and not vault.exists()
    assert list(tmp_path.iterdir()) == []


def test_revocation_counts_and_can_be_seen_to_be_undone(house: House) -> None:
    with pytest.raises(BadRegistry, match="has not consented"):
        revoke(house.vault, house.ledger, "Nora Lind")
    backup = house.folder.with_name("backup")
    shutil.copytree(house.folder / "registry", backup)
    revoke(house.vault, house.ledger, "emil okafor")
    one = house.vault.read().named("Emil Okafor")
    assert one.person.revoked and not one.person.allows()
    assert one.person.standing() == "has revoked consent"
    assert undone(house.vault.read(), house.ledger) == []
    with pytest.raises(BadRegistry, match="revoked already"):
        revoke(house.vault, house.ledger, "Emil Okafor")
    shutil.rmtree(house.folder / "registry")
    shutil.copytree(backup, house.folder / "registry")
    assert undone(house.vault.read(), house.ledger) == ["Emil Okafor"]


def test_a_persons_own_receipt_opens_the_commitment(house: House) -> None:
    one = house.vault.read().named("Emil Okafor")
    found = opening(one, house.ledger)
    entry, opens = json.loads(str(found["line"])), found["opening"]
    assert isinstance(opens, dict) and json.loads(opens["statement"])["name"] == "Emil Okafor"
    assert commit(opens["statement"], bytes.fromhex(opens["salt"])) == entry["commitment"]
    strange = Ledger(house.folder / "strange", SIGNER)
    for value in range(3):
        strange.append({"kind": "test", "value": value})
    with pytest.raises(BadRegistry, match="no entry of 'Emil Okafor'"):
        opening(one, strange)


WRITER = """
import sys
from pathlib import Path
import numpy as np
from safety import Ledger, Person
from safety.consent import entrust, forget
from safety.vault import NO_TEMPLATES, Vault
folder, mark = Path(sys.argv[1]), sys.argv[2]
vault, rows = Vault(folder / "registry", folder / "keys"), {"m": np.ones((3, 4), np.float32)}
ledger = Ledger(folder / "ledger", bytes(range(32)))
for number in range(int(sys.argv[3])):
    name = f"person {mark}{number}"
    entrust(vault, ledger, Person(name, False, NO_TEMPLATES), rows)
    print(name, flush=True)
    if number % 2:
        forget(vault, ledger, name)
        print("-" + name, flush=True)
"""


def writing(folder: Path, mark: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(folder), mark, str(count)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )


def done(lines: list[str]) -> set[str]:
    """Names that were said to be kept, less those said to be deleted."""
    return {one for one in lines if one[0] != "-"} - {one[1:] for one in lines if one[0] == "-"}


def test_several_processes_write_at_once(house: House) -> None:
    at_work = [writing(house.folder, mark, 6) for mark in "abc"]
    told = [line for one in at_work for line in one.communicate()[0].splitlines()]
    assert [one.returncode for one in at_work] == [0] * 3
    names = [one.person.name for one in house.vault.read().people]
    assert sorted(names) == sorted({*NAMES, *done(told)}) and len(names) == 3 + 9
    assert house.ledger.verify().ok and len(house.ledger.entries()) == 3 + 18 + 9


def test_a_kill_at_any_moment_loses_nothing_that_was_said(house: House) -> None:
    rng, told = np.random.default_rng(2), []
    for number in range(5):
        one = writing(house.folder, f"{number}-", 10_000)
        assert one.stdout is not None
        for _ in range(int(rng.integers(1, 12))):
            told.append(one.stdout.readline().strip())
        one.kill()
        told += one.communicate()[0].splitlines()
        found = house.vault.read()
        names = {one.person.name for one in found.people}
        assert done(told) <= names, "what was kept is there"
        gone = {line[1:] for line in told if line[0] == "-"}
        assert not gone & names, "what was deleted stays so"
        assert len(names - done(told) - set(NAMES)) <= number + 1, "one at most was cut short"
        settle(house.vault, Ledger(house.folder / "ledger", SIGNER))
        assert not house.vault.read().owed and house.ledger.verify().ok


# People ------------------------------------------------------------------------------------


def test_consent_has_a_purpose_an_end_and_words() -> None:
    one = somebody("A B", True, purpose="satire, School  books", expires="2030-05-01")
    day = date(2030, 5, 1)
    assert one.allows(day) and one.allows(day, "school books") and one.allows(day, "SATIRE")
    assert not one.allows(day, "advertising") and not one.allows(date(2030, 5, 2))
    assert one.standing(day, "advertising") == "has consented for satire, School  books only"
    assert one.standing(day) == "has consented to any portrait for satire, School  books"
    assert one.standing(date(2031, 1, 1)) == "gave consent that has expired"
    for people, said, passes in (
        ((one,), None, False), ((one,), "satire", True), ((one,), "advertising", False),
        ((somebody("A B", True),), None, True),
    ):  # fmt: skip
        check = NameInPrompt(Registry(people, "m"), day, said)
        found = check("prompt", ["a b as a chef"], np.zeros((1, 2)))[0][0]
        assert (found.verdict == "pass") == passes, found.reason
    assert somebody("A B", True).allows(day, "advertising")
    assert not somebody("A B", False).allows(day, "satire")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"name": ""}, "name"), ({"name": "?!"}, "no letter"), ({"name": "x" * 201}, "200 signs"),
        ({"name": 3}, "name"), ({"consents": "false"}, "true or false"), ({"consents": 1}, "true"),
        ({"revoked": None}, "true or false"), ({"expires": "2027-02-30"}, "is no day"),
        ({"expires": "20270201"}, "is no day"), ({"expires": 5}, "is no day"),
        ({"proof": "abc"}, "SHA-256"), ({"entry": True}, "whole number"), ({"scope": ""}, "scope"),
        ({"purpose": []}, "purpose"),
    ],
)  # fmt: skip
def test_no_person_of_another_kind(facts: dict, said: str) -> None:
    with pytest.raises(BadRegistry, match=said):
        Person(**({"name": "A B", "consents": True, "templates": NO_TEMPLATES} | facts))


def test_a_plain_registry_with_a_text_for_consent_is_refused(tmp_path: Path) -> None:
    Registry((Person("Ada", False, np.eye(4)),), "m").save(tmp_path)
    facts = json.loads((tmp_path / "registry.json").read_text())
    facts["people"][0]["consents"] = "no"
    (tmp_path / "registry.json").write_text(json.dumps(facts))
    with pytest.raises(BadRegistry, match="must be true or false"):
        Registry.load(tmp_path)


# Strangers' bytes ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = House(tmp_path_factory.mktemp("whole") / "home")
    for seed, name in enumerate(NAMES):
        entrust(made.vault, made.ledger, somebody(name), likeness(seed))
    return made.folder


@FUZZ
@given(data=st.data())
def test_a_damaged_registry_is_whole_or_a_sentence(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    bad = tmp_path / "bad"
    shutil.rmtree(bad, ignore_errors=True)
    shutil.copytree(whole, bad)
    files = sorted((bad / "registry").rglob("*.*")) + [bad / "keys" / "registry.key"]
    path = data.draw(st.sampled_from(files))
    bytes_ = path.read_bytes()
    at = data.draw(st.integers(0, len(bytes_) - 1))
    size = data.draw(st.sampled_from((1, 2, 16, 5000)))
    new = data.draw(st.binary(max_size=20))
    path.write_bytes(bytes_[:at] + new + bytes_[at + size :])
    try:
        found = Vault(bad / "registry", bad / "keys").read()
    except BadRegistry as error:
        assert "bad" in str(error) and "can't be read" in str(error)
    else:
        assert [one.person.name for one in found.people] == list(NAMES)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    | st.sampled_from([10**400, "../../etc/passwd", "a\0b", "A" * 3000]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=4), inside),
    max_leaves=5,
)  # fmt: skip


@FUZZ
@given(data=st.data())
def test_an_index_of_any_form_is_a_sentence(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    bad = tmp_path / "bad"
    shutil.rmtree(bad, ignore_errors=True)
    shutil.copytree(whole, bad)
    path = bad / "registry" / "registry.json"
    facts = json.loads(path.read_text())
    if data.draw(st.booleans()):
        facts[data.draw(st.sampled_from(["format", "id", "index"]))] = data.draw(TREES)
    else:
        facts = data.draw(TREES)
    path.write_bytes(json.dumps(facts).encode("utf-8", "surrogatepass"))
    with pytest.raises(BadRegistry, match="can't be read"):
        Vault(bad / "registry", bad / "keys").read()


def test_bytes_that_are_no_key_or_nest_deeply(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "bad")
    index = tmp_path / "bad" / "registry" / "registry.json"
    for text in ("[" * 200_000, '{"a":' * 200_000, ""):
        index.write_text(text)
        with pytest.raises(BadRegistry, match="can't be read"):
            Vault(tmp_path / "bad" / "registry", tmp_path / "bad" / "keys").read()
