"""`pellucid demo` and `pellucid generate`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, level_strength, say, show, show_json, show_table, whole


def add(commands) -> None:
    demo = command(
        commands,
        "demo",
        "run the whole mission once, for real, and write a run with its report",
        "  pellucid demo                  writes runs/demo, in about three minutes\n"
        "  pellucid demo --seed 7 --out runs/seven",
        run_demo,
    )
    demo.add_argument("--out", default="runs/demo", help="the run's folder (runs/demo; replaced)")
    demo.add_argument("--seed", type=whole, default=0, help="every picture follows from it (0)")
    demo.add_argument("--picture", metavar="PNG", help="also draw the README's picture here")
    demo.add_argument("--json", action="store_true", help="print the summary as JSON")

    draw = command(
        commands,
        "generate",
        "draw prompts with both pipelines, guarded, marked, signed and logged",
        '  pellucid generate "a smiling doctor with glasses"\n'
        '  pellucid generate "an old chef" --pipeline unclip --seed 3 --count 4 --out runs/chefs\n'
        '  pellucid generate "an old chef" --pipeline unclip --prior linear\n'
        '  pellucid generate "a farmer" --edit glasses=2 --directions runs/demo --json\n'
        '  pellucid generate "a red house" --model models/sd-1.5 --steps 25 --out runs/house',
        run_generate,
    )
    draw.add_argument("prompt", nargs="+", help="what to draw")
    draw.add_argument("--pipeline", default="both", help="stable-diffusion, unclip or both (both)")
    draw.add_argument(
        "--prior", default="diffusion",
        help="unCLIP's: diffusion, autoregressive, flow, linear, linear-500, none (diffusion)",
    )  # fmt: skip
    draw.add_argument(
        "--model", metavar="FOLDER_OR_ID",
        help="a real checkpoint in diffusers' layout, or a hub id, in place of the shipped "
        "pipelines: Stable Diffusion 1.x, 2.x, XL, Stable unCLIP, Karlo, Kandinsky 2.2",
    )  # fmt: skip
    draw.add_argument(
        "--picture", metavar="FILE", help="what an image-to-image checkpoint of --model varies"
    )
    draw.add_argument("--steps", type=whole, help="of the sampler (each pipeline's own)")
    draw.add_argument("--guidance", type=float, help="guidance scale (each pipeline's own)")
    draw.add_argument("--seed", type=whole, default=0, help="the first picture's seed (0)")
    draw.add_argument(
        "--count", type=whole, default=1, help="pictures a prompt, seeds going up (1)"
    )
    draw.add_argument(
        "--edit", action="append", default=[], metavar="FACTOR=STRENGTH",
        help="move along a direction, in standard deviations; may be repeated",
    )  # fmt: skip
    draw.add_argument(
        "--directions", default="runs/demo", metavar="RUN", help="where directions are (runs/demo)"
    )
    draw.add_argument(
        "--generation-mark", nargs="?", const="guidance", metavar="SCHEME",
        help="also mark while drawing: guidance (if none is named), gaussian-shading, tree-ring",
    )  # fmt: skip
    draw.add_argument(
        "--purpose",
        help="what the pictures are for: only consent for it or for any purpose counts (without "
        "one, for any)",
    )
    draw.add_argument("--out", default="runs/generate", help="the run's folder (runs/generate)")
    draw.add_argument("--replace", action="store_true", help="replace a run of that name")
    draw.add_argument("--json", action="store_true", help="print one object a picture")


def run_demo(args: argparse.Namespace) -> int:
    from toolkit.studies.demo import demo

    summary = demo(args.out, seed=args.seed, picture=args.picture, say=say)
    if args.json:
        show_json(summary)
        return 0
    for line in summary["lines"]:
        show(line)
    return 0


def run_generate(args: argparse.Namespace) -> int:
    from toolkit.studies.generate import generate_run

    rows = generate_run(
        args.out,
        prompts=args.prompt,
        pipeline=args.pipeline,
        prior=args.prior,
        seed=args.seed,
        count=args.count,
        edits=[level_strength(text) for text in args.edit],
        directions=args.directions,
        replace=args.replace,
        say=say,
        model=args.model,
        steps=args.steps,
        guidance=args.guidance,
        picture=args.picture,
        generation_mark=args.generation_mark,
        purpose=args.purpose,
    )
    if args.json:
        show_json(rows)
        return 0
    shown = ("decision", "pipeline", "seed", "image", "prompt")
    show_table([{name: row[name] for name in shown} for row in rows])
    for row in rows:
        if row["decision"] != "allow":
            say(f"{row['id']}: {row['reason']}")
    say(f"look at them with: pellucid dashboard {args.out}")
    return 0
