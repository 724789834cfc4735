"""Judges that share nothing with CLIP, with the generators, or with each other."""

from __future__ import annotations

from functools import cache

from toolkit.errors import UserError
from toolkit.judges.judgement import UNCLEAR, Judgement, agreement, balanced_accuracy

JUDGES = ("cnn", "synthesis")

__all__ = ["JUDGES", "UNCLEAR", "Judgement", "agreement", "balanced_accuracy", "load_judge"]


@cache
def load_judge(name: str = "cnn"):
    """A judge by name, made once a process. Raises UserError naming those that exist."""
    if name == "cnn":
        from toolkit.judges.cnn import CnnJudge

        return CnnJudge.load()
    if name == "synthesis":
        from toolkit.judges.synthesis import SynthesisJudge

        return SynthesisJudge()
    raise UserError(f"no judge is named {name!r}; choose one of {', '.join(JUDGES)}")
