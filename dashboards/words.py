"""What things are called on every page."""

from __future__ import annotations

from dashboards.source import MARKS, Picture, Provenance
from toolkit.report import COLORS, NAMES

GROUPS = {
    "prompts": "Prompts",
    "guard": "Guard",
    "steer": "Steering",
    "audit": "Audit",
}
SITES = {"stable-diffusion": "text_states", "unclip": "image_embedding"}
MARK_NAMES = {
    "watermark": "marked",
    "metadata": "metadata",
    "c2pa": "signed",
    "ledger": "in ledger",
}
# What `verify` says of a mark that is there and right, before any detail.
GOOD = {"watermark": "present", "metadata": "ours", "c2pa": "trusted", "ledger": "sealed"}


def pipeline_name(pipeline: str) -> str:
    """Stable Diffusion, unCLIP, or the name itself for one that is not ours."""
    return NAMES.get(pipeline, (pipeline, ""))[0]


def pipeline_color(pipeline: str) -> str:
    """One colour a pipeline, the same on every page and in the report."""
    return COLORS.get(pipeline, "#6f685e")


def pipeline_badge(pipeline: str) -> str:
    """The pipeline's name as a badge in Streamlit's Markdown."""
    tint = {"stable-diffusion": "blue", "unclip": "orange"}.get(pipeline, "gray")
    return f":{tint}-badge[{pipeline_name(pipeline)}]"


def factor_name(factor: str) -> str:
    """hair_color is written hair color."""
    return factor.replace("_", " ")


def group_name(group: str) -> str:
    """The heading of a group of samples."""
    return GROUPS.get(group, group.capitalize())


def plain(text: str) -> str:
    """Text of a user or a model, with nothing that Markdown would act on."""
    for sign in "\\`*_{}[]<>()#+-.!|~$:^":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())


def mark_is_good(mark: str, words: str) -> bool:
    """Whether verify's words for a mark ("present, 17") say that it is there and right."""
    return words.partition(",")[0] == GOOD[mark]


def provenance_badges(provenance: Provenance | None) -> str:
    """One badge a mark: green for what verify found, grey and struck out for what it did not."""
    if provenance is None:
        return ":gray-badge[not verified]"
    badges = []
    for mark in MARKS:
        good = mark_is_good(mark, provenance.marks[mark])
        name = MARK_NAMES[mark]
        badges.append(f":green-badge[{name}]" if good else f":gray-badge[~~{name}~~]")
    return " ".join(badges)


def named(text: str) -> str:
    """Plain text in which pipelines have the names that people know."""
    for pipeline in SITES:
        text = text.replace(pipeline, pipeline_name(pipeline))
    return plain(text)


def signed(strength: float) -> str:
    """A strength as +2, 0 or -1.5."""
    return f"{strength:+g}" if strength else "0"


def seen_sentence(picture: Picture) -> str:
    """How many of the named factors the judge reads from the pixels, and which not."""
    if not picture.judged:
        return "Not read: the judge knows the portraits world alone."
    if not picture.asked:
        return "The prompt names no factor."
    right = len(picture.asked) - len(picture.missed)
    text = f"{right} of {len(picture.asked)} named factors seen"
    wrong = [f"{factor_name(f)}: {picture.judged.get(f, 'unread')}" for f in picture.missed]
    return f"{text}; {', '.join(wrong)}" if wrong else text


def title_of(picture: Picture) -> str:
    """A sample in one line, for menus."""
    short = picture.prompt if len(picture.prompt) <= 70 else picture.prompt[:67].rstrip() + "..."
    edit = f" ({picture.edit})" if picture.edit else ""
    return f"{pipeline_name(picture.pipeline)}, seed {picture.seed}: {short}{edit}"
