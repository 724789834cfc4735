"""One guard around generation: nothing is drawn or released past it.

Threat model: careless and casual users, who type what they should not, upload someone's face, or
push a slider too far. Not the machine's owner, who can edit this file. Everything fails closed: a
check that raises, gives no number, or is required and absent, blocks.
"""

from __future__ import annotations

import html
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from safety.checks import Check
from safety.findings import EDITED, PICTURED, Decision, Finding
from safety.policy import Policy


class NoReason(ValueError):
    """The guard was to be opened without saying why."""


@dataclass(frozen=True)
class GuardedBatch:
    """What got through. `decisions` has one entry an item asked for; `kept` are the rows released.

    `batch` holds the released items only, in the order of `kept`, or is None when none was. A
    blocked item leaves no pixels, latents, embeddings, trace or thumbnail anywhere; of a blurred
    one there are blurred pixels, and zeros in place of all that it could be drawn from again.
    """

    batch: Any
    kept: tuple[int, ...]
    decisions: tuple[Decision, ...]


def _blocked(check: str, stage: str, why: str) -> Finding:
    return Finding(check, stage, float("nan"), float("nan"), "error", why)


class Guard:
    """Checks prompts, references, edited embeddings and released pixels as the policy requires."""

    def __init__(
        self,
        policy: Policy,
        checks: Sequence[Check],
        encode_text: Callable[[list[str]], np.ndarray],
        encode_image: Callable[[np.ndarray], np.ndarray],
        read: Callable[[str], str] = html.unescape,
    ):
        """`read` is what the model makes of a prompt before it reads it, which is checked too."""
        self.policy, self.encode_text, self.encode_image = policy, encode_text, encode_image
        self.read, self.checks = read, {check.name: check for check in checks}

    def look(
        self,
        model: str,
        stage: str,
        count: int,
        texts: Sequence[str] | None,
        vectors: Callable[[], np.ndarray],
    ) -> list[list[Finding]]:
        """Findings of every required check that looks at this stage, one list an item."""
        found: list[list[Finding]] = [[] for _ in range(count)]
        try:
            x = np.asarray(vectors())
        except Exception as error:
            why = f"the {stage} could not be embedded ({error}), so this is blocked"
            return [[_blocked("embedding", stage, why)] for _ in range(count)]
        for name in self.policy.checks_for(model):
            check = self.checks.get(name)
            if check is None:
                why = f"the check {name} is required for {model} and can't run, so this is blocked"
                rows = [[_blocked(name, stage, why)]] * count
            elif stage not in check.stages:
                continue
            else:
                try:
                    rows = self._findings(check, stage, texts, x)
                    if len(rows) != count or not all(rows):
                        raise RuntimeError(f"{len(rows)} answers for {count} items")
                except Exception as error:
                    why = f"the check {name} failed on the {stage} ({error}), so this is blocked"
                    rows = [[_blocked(name, stage, why)]] * count
            for into, row in zip(found, rows, strict=True):
                into += [self.policy.judged(one) for one in row]
        return found

    def _findings(
        self, check: Check, stage: str, texts: Sequence[str] | None, x: np.ndarray
    ) -> list[list[Finding]]:
        """What a check finds in the texts as they were typed, and what more as they are read."""
        rows = check(stage, texts, x)
        read = [self.read(text) for text in texts or ()]
        if texts is None or [one.lower() for one in read] == [text.lower() for text in texts]:
            return rows
        for row, more in zip(rows, check(stage, read, x), strict=True):
            known = {one.concept for one in row if one.verdict == "flag"}
            row += [one for one in more if one.verdict != "pass" and one.concept not in known]
        return rows

    def __call__(self, generate: Callable[..., Any], model: str) -> Callable[..., GuardedBatch]:
        """Wrap `generate(prompts, seeds, edits=(), start=None, trace=None, **more)` of a model.

        The wrapped call also takes `references`, uint8 pictures (m, h, w, 3) that the request
        starts from; any flagged one blocks the whole request. Raises BadPolicy when the policy
        has no rules for the model.
        """
        self.policy.checks_for(model)

        def guarded(
            prompts: Sequence[str],
            seeds: Sequence[int],
            edits: Sequence[Any] = (),
            start: Any = None,
            trace: Any = None,
            *,
            references: np.ndarray | None = None,
            **more: Any,
        ) -> GuardedBatch:
            texts = list(prompts)
            findings = self.look(
                model, "prompt", len(texts), texts, lambda: self.encode_text(texts)
            )
            if references is not None and len(references):
                pictures = references
                seen = self.look(
                    model, "reference", len(pictures), None, lambda: self.encode_image(pictures)
                )
                for row in findings:
                    row += [one for other in seen for one in other]
            open_rows = [i for i in range(len(texts)) if self.policy.decide(findings[i]).released]
            if not open_rows:
                return GuardedBatch(None, (), tuple(self.policy.decide(row) for row in findings))
            batch = generate(
                [texts[i] for i in open_rows],
                [seeds[i] for i in open_rows],
                edits,
                None if start is None else start[open_rows],
                trace,
                **more,
            )
            n = len(open_rows)
            seen = cache(lambda: np.asarray(self.encode_image(batch.images)))
            looks = [self.look(model, "image", n, None, seen)]
            given = getattr(batch, "image_embeddings", None)
            if given is not None:
                looks.append(self.look(model, "embedding", n, None, lambda: given))
            words = getattr(batch, "edited_words", None)
            if words is not None:
                looks.append(self.look(model, EDITED, n, None, lambda: words))
                looks.append(
                    self.look(model, PICTURED, n, None, lambda: np.concatenate([seen(), words], 1))
                )
            for rows in looks:
                for i, row in zip(open_rows, rows, strict=True):
                    findings[i] += row
            decisions = tuple(self.policy.decide(row) for row in findings)
            kept = [k for k, i in enumerate(open_rows) if decisions[i].released]
            hidden = [k for k in kept if decisions[open_rows[k]].action == "blur"]
            _hide(trace, batch, n, hidden)
            _keep_trace(trace, n, kept)
            through = _keep_batch(batch, n, kept) if kept else None
            return GuardedBatch(through, tuple(open_rows[k] for k in kept), decisions)

        return guarded


CELLS = 6  # of a blurred picture's side


def blurred(image: np.ndarray) -> np.ndarray:
    """A picture (h, w, 3) uint8 in which only the main colours are left: 6 by 6 cells, smoothed."""
    from PIL import Image

    small = Image.fromarray(image).resize((CELLS, CELLS), Image.Resampling.BOX)
    return np.asarray(small.resize((image.shape[1], image.shape[0]), Image.Resampling.BICUBIC))


def _hide(trace: Any, batch: Any, n: int, rows: list[int]) -> None:
    """Blur pictures in place, and empty what they were drawn from: embeddings and trace."""
    for row in rows:
        batch.images[row] = blurred(batch.images[row])
    for name in ("image_embeddings", "edited_words"):
        given = getattr(batch, name, None)
        if given is not None:
            given[rows] = 0
    for value in vars(trace).values() if trace is not None else ():
        if isinstance(value, np.ndarray) and value.ndim > 1 and value.shape[1] == n:
            value[:, rows] = 0


def _keep_batch(batch: Any, n: int, kept: list[int]) -> Any:
    """The batch with only the kept rows of every field that has a row an item."""
    assert is_dataclass(batch) and not isinstance(batch, type)
    changes: dict[str, Any] = {}
    for one in fields(batch):
        value = getattr(batch, one.name)
        if isinstance(value, np.ndarray) and len(value) == n:
            changes[one.name] = value[kept]
        elif isinstance(value, tuple | list) and len(value) == n:
            changes[one.name] = type(value)(value[k] for k in kept)
    return replace(batch, **changes)


def _keep_trace(trace: Any, n: int, kept: list[int]) -> None:
    """Drop the rows of blocked items from every (steps, n, ...) array of a trace, in place."""
    if trace is None:
        return
    for name, value in vars(trace).items():
        if isinstance(value, np.ndarray) and value.ndim > 1 and value.shape[1] == n:
            setattr(trace, name, value[:, kept] if kept else None)


@contextmanager
def unguarded(reason: str, log: str | Path) -> Iterator[None]:
    """Open the guard for a study: the reason is logged first, and nothing drawn may be exported.

    Raises NoReason for an empty reason. The log is JSON lines, appended and flushed to disk.
    """
    if not reason.strip():
        raise NoReason("the guard opens only with a reason; say what the study needs it for")
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "unguarded": reason.strip(),
    }
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
    yield
