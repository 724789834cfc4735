"""What was found out of a direction: the effect, its doses, leaks and nulls, and the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from probes.paired import Estimate

FORM = "pellucid-evidence/1"


@dataclass(frozen=True)
class Dose:
    """What is read at one strength: the level's share, and how far from real vectors that is.

    `gain` is the share less that of the unmoved pictures; `unclear` the mean share of factors that
    can't be read; `norm` the median whitened norm and `beyond` the share over the alarm's limit
    (None without a Manifold); `leakage[factor]` the largest net shift of one of its levels.
    """

    strength: float
    share: Estimate
    gain: Estimate
    unclear: float
    norm: float | None
    beyond: float | None
    leakage: dict[str, float]


@dataclass(frozen=True)
class Leak:
    """Another factor between the two ends: the level that moved most, signed, and its nulls.

    `changed` is the share of pictures whose reading changed, `null_changed` the same along null
    directions; `p` tests "does not move" by sign flips, `holm` corrects it for all factors.
    """

    factor: str
    level: str
    shift: Estimate
    changed: float
    null_changed: float
    p: float
    holm: float
    surely: bool


@dataclass(frozen=True)
class Evidence:
    """All that was measured of a direction; `effect` is corrected for the judge's own errors.

    The effect is the level's share at +at less its share at -at sigmas, the same starts and seeds.
    `p_nulls` has one p-value a kind of null; the verdict takes the worst. `p_starts` tests "does
    not move at all" by sign flips. `saturation`: the strength from which more does not help;
    `safe`: the strengths around 0 where pictures stay readable and vectors among real ones.
    """

    direction: str
    method: str
    target: str
    level: str
    at: float
    n: int
    observed: float
    effect: Estimate
    p_starts: float
    p_nulls: dict[str, float]
    nulls: dict[str, tuple[float, ...]]
    doses: tuple[Dose, ...]
    leaks: tuple[Leak, ...]
    saturation: float | None
    safe: tuple[float, float]
    limit: float | None
    verdict: str
    reasons: tuple[str, ...]

    @property
    def leaking(self) -> tuple[str, ...]:
        """Factors that move beyond doubt, most first."""
        sure = [leak for leak in self.leaks if leak.surely]
        return tuple(leak.factor for leak in sorted(sure, key=lambda one: -abs(one.shift.value)))

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format": FORM} | asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Evidence:
        """What `to_json` gave, read again. Raises ValueError for another form."""
        if facts.get("format") != FORM:
            raise ValueError(f"this is {facts.get('format')!r}, not {FORM!r}; prove it again")
        known = {name: value for name, value in facts.items() if name != "format"}
        known["effect"] = Estimate(**known["effect"])
        known["nulls"] = {kind: tuple(values) for kind, values in known["nulls"].items()}
        known["doses"] = tuple(
            Dose(**d | {name: Estimate(**d[name]) for name in ("share", "gain")})
            for d in known["doses"]
        )
        known["leaks"] = tuple(
            Leak(**k | {"shift": Estimate(**k["shift"])}) for k in known["leaks"]
        )
        return cls(**known | {"safe": tuple(known["safe"]), "reasons": tuple(known["reasons"])})
