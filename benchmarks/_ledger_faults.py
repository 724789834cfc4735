"""Power cuts and kills for the ledger: writers that die, and the disk as it may look afterwards.

`python -m benchmarks._ledger_faults BASE SEED TRIALS WRITERS` forks one process a trial, in which
WRITERS threads append until the process is killed (SIGKILL), at a drawn file operation or a drawn
moment. Every flush is noted while it happens, so that `power_cut` can rebuild what the disk is
sure to hold, and of all else an arbitrary part: whole, torn, filled with zeros, or nothing.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from safety.checkpoint import Checkpoint
from safety.ledger import Ledger

ROOT = Path(__file__).parent.parent
SIGNER = bytes(range(32))
OPERATIONS = 150  # the last at which a trial is killed; one entry takes about four
MOMENTS = 0.25  # seconds within which the others are killed
Listing = dict[str, str]  # a folder's names and what each stands for


class Journal:
    """Notes every flush of files and folders below a folder, and kills at a given operation.

    A file is known by its inode and how often that number was given anew. Notes are written
    after the flush returns, so a kill in between counts as no flush.
    """

    def __init__(self, base: Path, kill_at: int):
        self._handle = os.open(base / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._lock, self._kill_at, self._count = threading.RLock(), kill_at, 0
        self._given: dict[int, int] = {}
        self._real = os.fsync, os.replace, os.unlink

    def install(self) -> None:
        os.fsync, os.replace, os.unlink = self._fsync, self._replace, self._unlink  # type: ignore

    def _step(self) -> None:
        self._count += 1
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _token(self, inode: int) -> str:
        return f"{inode}.{self._given.get(inode, 0)}"

    def _note(self, **what: Any) -> None:
        os.write(self._handle, json.dumps(what).encode() + b"\n")

    def _fsync(self, handle: int) -> None:
        with self._lock:
            self._step()
            self._real[0](handle)
            place = Path(os.readlink(f"/proc/self/fd/{handle}"))
            token = self._token(os.fstat(handle).st_ino)
            if place.is_dir():
                names = {one.name: self._token(one.inode()) for one in os.scandir(place)}
                self._note(kind="folder", token=token, names=names)
            else:
                self._note(kind="file", token=token, data=place.read_bytes().hex())

    def _replace(self, source: Any, target: Any) -> None:
        with self._lock:
            self._step()
            gone = os.stat(target).st_ino if os.path.exists(target) else None
            self._real[1](source, target)
            self._gone(gone)

    def _unlink(self, path: Any, *rest: Any, **named: Any) -> None:
        with self._lock:
            gone = os.stat(path).st_ino
            self._real[2](path, *rest, **named)
            self._gone(gone)

    def _gone(self, inode: int | None) -> None:
        if inode is not None:
            self._given[inode] = self._given.get(inode, 0) + 1
            self._note(kind="gone", inode=inode)


def _write_until_killed(base: Path, seed: int, writers: int, kill_at: int) -> None:
    """One trial: threads append and note what was acknowledged, each with a ledger of its own."""
    Journal(base, kill_at).install()
    told = os.open(base / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(who: int) -> None:
        ledger, rng = Ledger(base / "disk" / "ledger", SIGNER), random.Random(f"{seed} {who}")
        while True:
            index = ledger.append({"kind": "test", "who": who, "text": "x" * rng.randrange(300)})
            line, kept = ledger.line(index), ledger.checkpoint()
            assert line is not None
            what = {"index": index, "sha256": sha256(line).hexdigest(), "kept": kept.to_json()}
            os.write(told, json.dumps(what).encode() + b"\n")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run(base: Path, seed: int, trials: int, writers: int) -> None:
    """Fork and kill one process a trial: by operation in even ones, by the clock in odd ones."""
    for trial in range(trials):
        rng, folder = random.Random(f"{seed} {trial} kill"), base / f"{trial:04d}"
        (folder / "disk").mkdir(parents=True)
        kill_at, moment = rng.randrange(1, OPERATIONS), rng.random() * MOMENTS
        child = os.fork()
        if child == 0:
            try:
                _write_until_killed(folder, seed + trial, writers, kill_at if trial % 2 == 0 else 0)
            finally:
                os._exit(1)  # only an error of a writer gets here
        if trial % 2:
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        (folder / "killed").write_text(str(os.WTERMSIG(status) == signal.SIGKILL))


@dataclass(frozen=True)
class _Disk:
    """What was flushed, by token, and how often each inode was given anew."""

    files: dict[str, bytes]
    folders: dict[str, Listing]
    given: dict[int, int]

    @classmethod
    def read(cls, journal: Path) -> _Disk:
        disk = cls({}, {}, {})
        for line in journal.read_bytes().split(b"\n")[:-1] if journal.exists() else ():
            note = json.loads(line)
            if note["kind"] == "file":
                disk.files[note["token"]] = bytes.fromhex(note["data"])
            elif note["kind"] == "folder":
                disk.folders[note["token"]] = note["names"]
            else:
                disk.given[note["inode"]] = disk.given.get(note["inode"], 0) + 1
        return disk

    def token(self, path: Path) -> str:
        inode = path.stat().st_ino
        return f"{inode}.{self.given.get(inode, 0)}"


def power_cut(trial: Path, rng: random.Random) -> Path:
    """Rebuild a trial's disk after a power cut: what was flushed, and a drawn part of the rest."""
    disk, rebuilt = _Disk.read(trial / "journal"), trial / "rebuilt"
    now = {disk.token(path): path for path in (trial / "disk").rglob("*")}
    now[disk.token(trial / "disk")] = trial / "disk"

    def restore(token: str, target: Path) -> None:
        there = now.get(token)
        if token in disk.folders or (there is not None and there.is_dir()):
            target.mkdir()
            for name, inside in _names(disk, token, there, rng).items():
                restore(inside, target / name)
        else:
            current = there.read_bytes() if there is not None else None
            target.write_bytes(_surviving(disk.files.get(token, b""), current, rng))

    restore(disk.token(trial / "disk"), rebuilt)
    return rebuilt


def _names(disk: _Disk, token: str, there: Path | None, rng: random.Random) -> Listing:
    """A folder's names: those flushed; each later change of one reached the disk or did not."""
    flushed = disk.folders.get(token, {})
    current = {} if there is None else {p.name: disk.token(p) for p in sorted(there.iterdir())}
    chosen = {name: rng.choice((flushed, current)) for name in sorted({*flushed, *current})}
    return {name: source[name] for name, source in chosen.items() if name in source}


def _surviving(flushed: bytes, current: bytes | None, rng: random.Random) -> bytes:
    """A file's bytes: those flushed, and a part of what was written since."""
    if current is None or current == flushed:
        return flushed
    if not current.startswith(flushed):  # cut shorter, or written anew, since
        return rng.choice((flushed, current))
    rest = current[len(flushed) :]
    kept = rng.randrange(len(rest) + 1)
    blank = bytes(kept) + rest[kept:]  # its length was flushed, some of its blocks were not
    return flushed + rng.choice((b"", rest[:kept], rest[:kept] + bytes(len(rest) - kept), blank))


def run_trials(base: Path, seed: int, trials: int, writers: int) -> list[Path]:
    """Run and kill the writers of all trials. Returns a folder a trial."""
    command = [sys.executable, "-m", "benchmarks._ledger_faults"]
    arguments = [str(base), str(seed), str(trials), str(writers)]
    subprocess.run(command + arguments, cwd=ROOT, check=True)
    return sorted(path for path in base.iterdir() if path.is_dir())


def told(trial: Path) -> list[dict[str, Any]]:
    """What the writers of a trial had been acknowledged."""
    file = trial / "told"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def lost(ledger: Ledger, acknowledged: list[dict[str, Any]]) -> int:
    """How many acknowledged entries the ledger does not hold as they were."""
    lines = [(one, ledger.line(one["index"])) for one in acknowledged]
    return sum(line is None or sha256(line).hexdigest() != one["sha256"] for one, line in lines)


def outcomes(base: Path, seed: int, trials: int, writers: int) -> Iterator[dict[str, Any]]:
    """For each trial, after kill and power cut: acknowledged, lost, and whether all still works."""
    for number, trial in enumerate(run_trials(base, seed, trials, writers)):
        acknowledged = told(trial)
        after = power_cut(trial, random.Random(f"{seed} {number} disk")) / "ledger"
        row = {"trial": number, "killed": (trial / "killed").read_text() == "True"}
        row |= {"acknowledged": len(acknowledged)}
        try:
            ledger = Ledger(after, SIGNER)
            row["lost"] = lost(ledger, acknowledged)
            newest = max(
                (one["kept"] for one in acknowledged), key=lambda c: c["size"], default=None
            )
            ledger.append({"kind": "after"})
            kept = Checkpoint.from_json(newest) if newest else None
            row["problems"] = list(ledger.verify(kept).problems)
            row["lost"] = max(row["lost"], lost(ledger, acknowledged))
        except (OSError, ValueError) as error:
            row |= {"lost": len(acknowledged), "problems": [str(error)]}
        yield row
        shutil.rmtree(trial)


if __name__ == "__main__":
    _run(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
