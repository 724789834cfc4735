"""What a laboratory measured: its JSON as values with intervals, and a plain reading of them.

Each kind of experiment has a function from the JSON to a `Reading`; a kind that is not known here
is shown all the same, every estimate of it as a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dashboards.measured import Facts, Figure, Reading, Value, apart, percent, value, values
from dashboards.proofs import prove


def noising(facts: Facts) -> Reading:
    rows = facts["levels"]
    read = [row["factors_read"]["value"] for row in rows]
    last = max((i for i, share in enumerate(read) if share >= 0.5), default=0)
    after = rows[min(last + 1, len(rows) - 1)]
    compared = [row for row in rows if row["snr"] > 1e-6]
    off = max(abs(row["snr_measured"] / row["snr"] - 1) for row in compared[:-1] or compared)
    return Reading(
        (
            f"At noise level {rows[last]['time']} the judge still reads "
            f"{percent(rows[last]['factors_read'])} of the factors, and "
            f"{percent(after['factors_read'])} at {after['time']}.",
            f"The measured signal-to-noise ratio lies within {100 * off:.0f} % of the schedule's "
            f"up to noise level {compared[-2 if len(compared) > 1 else -1]['time']}.",
        ),
        (
            Figure("How long the picture can be read", "noise level", "factors read right",
                   values(value("judge", r["time"], r["factors_read"]) for r in rows)),
            Figure("Signal to noise", "noise level", "ratio of variances",
                   tuple(Value(name, r["time"], r[key]) for key, name in
                         (("snr", "the schedule"), ("snr_measured", "measured"))
                         for r in rows if r["snr"] > 1e-6 and r[key] > 0),
                   share=False, logarithmic=True),
        ),
    )  # fmt: skip


def denoising(facts: Facts) -> Reading:
    found = facts["settled"]
    order = sorted(found, key=lambda factor: -found[factor]["value"])
    first, last = found[order[0]], found[order[-1]]
    return Reading(
        (
            f"Decided first is {_words(order[0])}, on average at noise level {first['value']:.0f}; "
            f"last is {_words(order[-1])}, at {last['value']:.0f} ({apart(first, last)}).",
        ),
        (
            Figure("When each factor is decided", "factor", "mean noise level, of 999",
                   values(value("settled at", _words(f), found[f]) for f in order), share=False),
            Figure("Reading of the foreseen picture against the last one", "step",
                   "pictures that agree",
                   tuple(Value(_words(f), i + 1, share) for f in order
                         for i, share in enumerate(found[f]["agreement"]))),
        ),
    )  # fmt: skip


def decoder(facts: Facts) -> Reading:
    table = facts["on_test_renders"]
    judges = {"cnn": "CNN judge", "synthesis": "judge by synthesis"}
    linear = [name for name in table if name not in ("the decoder", "the render itself")]
    best = max(linear, key=lambda name: table[name]["psnr_db"]["value"])
    return Reading(
        (
            f"Through the best linear map ({best}) the CNN judge reads "
            f"{percent(table[best]['cnn'])} of the factors, through the decoder "
            f"{percent(table['the decoder']['cnn'])}: the difference is what the decoder knows "
            "beyond the latents' own colours.",
            f"In decibels: {table[best]['psnr_db']['value']:.1f} without the decoder, "
            f"{table['the decoder']['psnr_db']['value']:.1f} with it.",
        ),
        (
            Figure("What can be read", "shown through", "factors read right",
                   values(value(name, row, table[row][key]) for key, name in judges.items()
                          for row in table)),
            Figure("How near it comes to the render", "shown through", "PSNR, decibels",
                   values(value("PSNR", row, table[row]["psnr_db"]) for row in table),
                   share=False),
        ),
    )  # fmt: skip


def guidance(facts: Facts) -> Reading:
    rows = facts["scales"]
    best = max(rows, key=lambda row: row["prompt_accuracy"]["value"])
    names = {"prompt_accuracy": "as asked", "pale_doctors": "pale doctors"}
    diversity = [Value("diversity", row["guidance"], row["diversity"]) for row in rows]
    first, last = rows[0], rows[-1]
    return Reading(
        (
            f"Most is drawn as asked at guidance {best['guidance']:g}: "
            f"{percent(best['prompt_accuracy'])} of the named factors, against "
            f"{percent(first['prompt_accuracy'])} at {first['guidance']:g}.",
            f"From guidance {first['guidance']:g} to {last['guidance']:g} diversity goes from "
            f"{first['diversity']:.2f} to {last['diversity']:.2f}, and the share of pale doctors "
            f"for “{facts['open_prompt']}” from {percent(first['pale_doctors'])} to "
            f"{percent(last['pale_doctors'])}.",
        ),
        (
            Figure("What guidance gives and costs", "guidance scale", "share",
                   values(value(name, row["guidance"], row[key]) for key, name in names.items()
                          for row in rows) + tuple(diversity)),
        ),
    )  # fmt: skip


def schedulers(facts: Facts) -> Reading:
    rows = facts["samplers"]
    fewest, most = min(r["steps"] for r in rows), max(r["steps"] for r in rows)
    few = [row for row in rows if row["steps"] == fewest]
    best = max(few, key=lambda row: row["prompt_accuracy"]["value"])
    worst = min(few, key=lambda row: row["prompt_accuracy"]["value"])
    many = [row["prompt_accuracy"]["value"] for row in rows if row["steps"] == most]
    both = [best["prompt_accuracy"], worst["prompt_accuracy"]]
    return Reading(
        (
            f"With {fewest} steps {best['sampler']} draws {percent(both[0])} of what is named, "
            f"{worst['sampler']} {percent(both[1])} ({apart(*both)}).",
            f"With {most} steps all samplers lie between {100 * min(many):.0f} % and "
            f"{100 * max(many):.0f} %.",
        ),
        (
            Figure("What each sampler draws as asked", "steps", "named factors seen",
                   values(value(r["sampler"], r["steps"], r["prompt_accuracy"]) for r in rows)),
            Figure("What it costs on this machine", "steps", "seconds a picture",
                   tuple(Value(r["sampler"], r["steps"], r["seconds_a_picture"]) for r in rows),
                   share=False),
        ),
    )  # fmt: skip


def layers(facts: Facts) -> Reading:
    found = facts["layers"]
    depth = list(found)
    best = max(depth, key=lambda layer: found[layer]["value"])
    return Reading(
        (
            f"Words and places alone, before any layer, give {percent(found[depth[0]])} of what "
            f"prompts name; all {depth[-1]} layers give {percent(found[depth[-1]])}. "
            f"Most is drawn with {best}: {percent(found[best])}.",
        ),
        (
            Figure("How deep the text has to be read", "layers handed on", "named factors seen",
                   values(value("named factors", int(d), found[d]) for d in depth)),
        ),
    )  # fmt: skip


def attention(facts: Facts) -> Reading:
    table = facts["pointing"]
    elements = [name for name in table if name != "mean"]
    chances = {"chance_place": "a random place", "chance_word": "another word of the prompt"}
    sentences = [
        f"“{name}” points right in {percent(table[name])} of {table[name]['n']} cases; a random "
        f"place would in {100 * table[name]['chance_place']:.0f} %, another word in "
        f"{100 * table[name]['chance_word']:.0f} %."
        for name in elements
    ]
    if "mean" in table:
        sentences.append(
            f"With chance taken out, the mean is {table['mean']['corrected']:.2f} "
            "(0 is chance, 1 is always right)."
        )
    return Reading(
        tuple(sentences),
        (
            Figure("Does the word point at what it names?", "what is named", "peaks that hit",
                   values(value("its own word", e, table[e]) for e in elements)
                   + tuple(Value(name, e, table[e][key]) for key, name in chances.items()
                           for e in elements)),
        ),
    )  # fmt: skip


def edit(facts: Facts) -> Reading:
    rows, names = facts["strengths"], {"got_glasses": "got glasses", "others_stayed": "rest stayed"}
    first, last = rows[0], rows[-1]
    return Reading(
        tuple(
            f"At strength {row['strength']:g} {percent(row['got_glasses'])} of the portraits got "
            f"the glasses asked for, and {percent(row['others_stayed'])} of everything else stayed."
            for row in (first, rows[len(rows) // 2], last)
        ),
        (
            Figure("How much noise, how much change", "strength", "share",
                   values(value(name, r["strength"], r[key]) for key, name in names.items()
                          for r in rows)),
        ),
    )  # fmt: skip


def inpaint(facts: Facts) -> Reading:
    ways = [name for name, one in facts.items() if isinstance(one, dict)]
    names = {"got_glasses": "got glasses", "others_stayed": "rest stayed"}
    found = facts["inpainting"]
    return Reading(
        (
            f"Repainting the region alone gave glasses to {percent(found['got_glasses'])} and kept "
            f"{percent(found['others_stayed'])} of everything else; outside of the region the "
            f"picture stayed within {found['psnr_outside_db']['value']:.1f} dB (the autoencoder "
            f"alone: {facts['autoencoder alone']['psnr_outside_db']['value']:.1f} dB).",
        ),
        (
            Figure("What came and what stayed", "how it was drawn", "share",
                   values(value(name, way, facts[way][key]) for key, name in names.items()
                          for way in ways)),
            Figure("What is left alone outside of the region", "how it was drawn", "PSNR, decibels",
                   values(value("outside", way, facts[way]["psnr_outside_db"]) for way in ways),
                   share=False),
        ),
    )  # fmt: skip


def compression(facts: Facts) -> Reading:
    marks = [
        (f"f = {factor}", int(at), mark)
        for factor, one in facts["factors"].items()
        for at, mark in sorted(one["marks"].items(), key=lambda item: int(item[0]))
    ]
    ends = [mark for mark in marks if mark[1] == facts["steps"]]
    best = min(ends, key=lambda mark: mark[2]["distance"]["value"])
    clear = ", ".join(f"{name} {percent(mark['clear'])}" for name, _, mark in ends)
    return Reading(
        (
            f"After {facts['steps']} steps of the same U-Net {best[0]} is nearest to the test "
            f"portraits (distance {best[2]['distance']['value']:.1f}).",
            f"Factors that the judge can read at all: {clear}.",
        ),
        (
            Figure("At equal steps", "steps", "kernel distance, lower is better",
                   values(value(name, at, m["distance"], "halves95") for name, at, m in marks),
                   share=False, interval="range of random halves"),
            Figure("At equal time", "seconds of training", "kernel distance, lower is better",
                   values(value(name, m["train_seconds"], m["distance"], "halves95")
                          for name, _, m in marks),
                   share=False, interval="range of random halves"),
        ),
    )  # fmt: skip


def badge(facts: Facts) -> Reading:
    said, drawn = facts["clip"]["badge"], facts["decoder"]
    told = {"profession_answered": "profession", "badge_word_answered": "the badge's word"}
    shown = {"profession_drawn": "profession", "badge_drawn": "a badge"}
    without, with_ = "without a badge", "with a badge"
    return Reading(
        (
            f"Without a badge CLIP answers with the profession in "
            f"{percent(said[without]['profession_answered'])}; with one in "
            f"{percent(said[with_]['profession_answered'])}, and with the badge's word in "
            f"{percent(said[with_]['badge_word_answered'])}.",
            f"Drawn again from the embedding of the picture with the badge, the judge reads the "
            f"profession in {percent(drawn[with_]['profession_drawn'])}, and a badge is drawn in "
            f"{percent(drawn[with_]['badge_drawn'])}.",
        ),
        (
            Figure("What CLIP answers", "the portrait", "portraits",
                   values(value(name, at, said[at][key]) for key, name in told.items()
                          for at in said)),
            Figure("What the decoder draws", "the portrait", "portraits",
                   values(value(name, at, drawn[at][key]) for key, name in shown.items()
                          for at in drawn)),
        ),
    )  # fmt: skip


def memorisation(facts: Facts) -> Reading:
    def lines(key: str) -> tuple[Value, ...]:
        return values(value(name, row["repeats"], row[key]) for name, one in
                      facts["systems"].items() for row in one["copies"])  # fmt: skip

    at = "times in the training set"
    return Reading(
        tuple(facts["said"]),
        (
            Figure("The planted texture came back", at, "pictures", lines("came_back")),
            Figure("Called a copy of a training picture", at, "pictures", lines("called_copies")),
        ),
    )  # fmt: skip


READERS: dict[str, Callable[[Facts], Reading]] = {
    "noising": noising, "denoising": denoising, "decoder": decoder, "guidance": guidance,
    "schedulers": schedulers, "layers": layers, "attention": attention, "edit": edit,
    "inpaint": inpaint, "compression": compression, "badge": badge, "prove": prove,
    "memorisation": memorisation,
}  # fmt: skip


def reading(kind: str, facts: Facts) -> Reading:
    """What an experiment found. Facts of a kind or a shape that is not known are listed whole."""
    try:
        return READERS[kind](facts)
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        found = tuple(everything(facts))
        figure = Figure("What was measured", "what", "value", found, share=False)
        return Reading((), (figure,) if found else ())


def everything(facts: Any, within: Sequence[str] = ()) -> Iterable[Value]:
    """Every estimate in a JSON, named by where it stands."""
    if isinstance(facts, dict) and facts.get("value") is not None:
        ends = "ci95" if "ci95" in facts else "halves95"
        yield from value("measured", ", ".join(within), facts, ends)
    elif isinstance(facts, dict):
        for key, one in facts.items():
            yield from everything(one, (*within, _words(key)))
    elif isinstance(facts, list):
        for index, one in enumerate(facts):
            yield from everything(one, (*within, str(index + 1)))


def _words(name: str) -> str:
    return name.replace("_", " ")
