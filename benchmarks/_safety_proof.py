"""Proof: the ledger under kills, power cuts and tampering; what signing costs.

`ledger_faults`, `c2pa_speed` and `c2pa_bytes`.
"""

from __future__ import annotations

import io
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks._ledger_faults import outcomes
from benchmarks._ledger_tampering import CASES, accusations, tampered
from benchmarks._measures import exact_interval
from benchmarks.rows import Row

if TYPE_CHECKING:
    from safety.certificates import Credentials
    from safety.content_credentials import Statement


@dataclass(frozen=True)
class Size:
    """How many trials and items each figure is measured on."""

    kills: int = 200
    writers: int = 8
    ledgers: int = 12  # each tampered with in every way
    signed: int = 60  # portraits that are signed by each side


FULL, QUICK = Size(), Size(kills=6, ledgers=2, signed=4)


def ledger_faults(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Writers killed at random points with unsynced writes dropped; then tampering."""
    logging.getLogger("pellucid.safety").setLevel(logging.ERROR)  # each torn tail is a notice
    with tempfile.TemporaryDirectory(prefix="pellucid-") as folder:
        kills = list(outcomes(Path(folder), seed, size.kills, size.writers))
    told, lost = (sum(kill[name] for kill in kills) for name in ("acknowledged", "lost"))
    broken = sum(bool(kill["problems"]) for kill in kills)
    case = f"{size.writers} writers, kill -9, unsynced writes dropped"
    yield [
        Row("ledger_faults", f"acknowledged entries lost; {case}", "pellucid", lost, "at most 0",
            told, exact_interval(lost, told)),
        Row("ledger_faults", f"ledgers that do not work on afterwards; {case}", "pellucid", broken,
            "at most 0", len(kills), exact_interval(broken, len(kills))),
    ], [{"case": "kill"} | kill for kill in kills]  # fmt: skip
    items = list(_tampering(seed, size.ledgers))
    yield (
        [_found(items, system) for system in ("pellucid", "independent script")]
        + [_accused(items, system) for system in ("pellucid", "independent script")],
        items,
    )


def _tampering(seed: int, ledgers: int) -> Iterator[dict]:
    """One item a ledger and way of tampering, with what either verifier says."""
    for number in range(ledgers):
        for case in CASES:
            rng = np.random.default_rng([seed, 31, number])
            with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
                kept, public = tampered(Path(name), case, rng)
                said = accusations(Path(name), kept, public)
            yield {"case": case, "ledger": number, "changed": CASES[case].lie} | said


def _found(items: list[dict], system: str) -> Row:
    lies = [item[system] for item in items if item["changed"]]
    case = f"tampering found, {sum(one.lie for one in CASES.values())} ways, checkpoint elsewhere"
    n, found = len(lies), sum(map(bool, lies))
    interval = exact_interval(found, n)
    return Row("ledger_faults", case, system, found / n, "at least 1", n, interval)


def _accused(items: list[dict], system: str) -> Row:
    honest = [item[system] for item in items if not item["changed"]]
    n, accused = len(honest), sum(map(bool, honest))
    interval = exact_interval(accused, n)
    return Row("ledger_faults", "honest ledgers accused", system, accused, "at most 0", n, interval)


def c2pa_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Signing with our settings beside c2pa-python's defaults, in turns on the same portraits.

    Both sign the same statement, the one of a release. An edited picture brings its source's
    manifest along, and counts by itself.
    """
    from safety.brightness import brightness_map
    from safety.certificates import development_ca
    from safety.content_credentials import Source, Statement, sign_image
    from safety.metadata import MIMES, Facts, write_image
    from toolkit.world import render_all, sample

    with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
        ours = development_ca(Path(name) / "credentials")
    facts = Facts("an old chef with glasses", seed, "unclip", "portraits", "ab" * 32, "0.1.0")
    items, mimes = [], list(dict.fromkeys(MIMES.values()))
    for index, picture in enumerate(render_all(sample("test", size.signed, seed=seed))):
        mime = mimes[index % len(mimes)]
        plain = write_image(picture, facts, index, bytes(32), "cd" * 32, mime)
        stated = Statement(
            index, "0.1.0", "portraits", "ab" * 32, brightness_map(picture), "cd" * 32
        )
        quick, mine = _timed(
            lambda plain=plain, mime=mime, stated=stated: sign_image(plain, mime, ours, stated).data
        )
        slow, theirs = _timed(
            lambda plain=plain, mime=mime, stated=stated: _by_default(plain, mime, ours, stated)
        )
        edited = replace(stated, sources=(Source(mine, mime, "edited"),))
        again = sign_image(plain, mime, ours, edited).data
        items.append({
            "item": index, "mime": mime, "ours_s": quick, "theirs_s": slow,
            "ours_bytes": len(mine) - len(plain), "theirs_bytes": len(theirs) - len(plain),
            "edited_bytes": len(again) - len(plain),
        })  # fmt: skip
    yield _signing_rows(items[1:]), items  # the first warms both libraries


def _by_default(data: bytes, mime: str, credentials: Credentials, statement: Statement) -> bytes:
    """The same statement signed as c2pa-python does it when nothing is set."""
    import c2pa

    from safety.content_credentials import stated

    information = c2pa.C2paSignerInfo(b"es256", credentials.chain, credentials.key, None)
    out = io.BytesIO()
    made = stated(statement, mime)
    with c2pa.Signer.from_info(information) as signer, c2pa.Builder(made) as builder:
        builder.sign(signer, mime, io.BytesIO(data), out)
    return out.getvalue()


def _timed(work: Callable[[], bytes]) -> tuple[float, bytes]:
    """Seconds, the best of three: another process's turn is not the signing's."""
    made, seconds = b"", []
    for _ in range(3):
        began = time.perf_counter()
        made = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), made


def _signing_rows(items: list[dict]) -> list[Row]:
    """Ratios of each pair's seconds, and the bytes that a signature adds."""
    ratios = np.array([item["theirs_s"] / item["ours_s"] for item in items])
    rng = np.random.default_rng(len(items))
    means = np.median(ratios[rng.integers(len(ratios), size=(1000, len(ratios)))], axis=1)
    low, high = (float(x) for x in np.percentile(means, [2.5, 97.5]))
    n, worst = len(items), max(item["ours_bytes"] for item in items)
    return [
        Row("c2pa_speed", "times faster than the defaults, median; 64 px", "pellucid",
            float(np.median(ratios)), "at least 25", n, (low, high)),
        Row("c2pa_bytes", "added, worst", "pellucid", worst, "at most 6144", n),
        Row("c2pa_bytes", "added to an edited picture, its source's manifest included, worst",
            "pellucid", max(item["edited_bytes"] for item in items), None, n),
        Row("c2pa_bytes", "added, worst", "c2pa-python's defaults",
            max(item["theirs_bytes"] for item in items), None, n),
    ]  # fmt: skip
