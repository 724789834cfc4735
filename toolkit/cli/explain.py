"""`pellucid name`, `pellucid erase` and `pellucid associate`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table, whole


def add(commands) -> None:
    name = command(
        commands,
        "name",
        "say in words what a direction or a picture is, or that no word fits",
        "  pellucid name glasses pca1 --directions runs/demo\n"
        "  pellucid name glasses --opposite\n"
        "  pellucid name face.png\n"
        "  pellucid name bird.safetensors --store stores/photos --vocabulary words.txt",
        run_name,
    )
    name.add_argument("what", nargs="+", help="directions of a run, their files, or pictures")
    name.add_argument(
        "--directions", default="runs/demo", metavar="RUN", help="where directions are (runs/demo)"
    )
    name.add_argument(
        "--site", default="image_embedding", help="image_embedding or text_states (the first)"
    )
    name.add_argument("--store", help="test names on these vectors (portraits of the world)")
    name.add_argument("--vocabulary", metavar="FILE", help="words, one a line (the captions')")
    name.add_argument("--opposite", action="store_true", help="name where the direction comes from")
    name.add_argument("--words", type=whole, default=8, help="words shown (8)")
    name.add_argument("--images", type=whole, default=1500, help="portraits without --store (1500)")
    name.add_argument("--seed", type=whole, default=0, help="of portraits and resamples (0)")
    name.add_argument("--json", action="store_true", help="print one object each")


def run_name(args: argparse.Namespace) -> int:
    from toolkit.studies.name import name_all

    found = name_all(
        args.what,
        directions=args.directions,
        site=args.site,
        store=args.store,
        vocabulary=args.vocabulary,
        opposite=args.opposite,
        words=args.words,
        images=args.images,
        seed=args.seed,
        say=say,
    )
    if args.json:
        show_json(found)
        return 0
    for one in found:
        if "picture" in one:
            show(f"{one['picture']}: {one['told']:.0%} told (cosine)")
        else:
            show(f"{one['direction']}: {one['name'] or 'no name'} ({one['why']})")
        show_table(one["words"])
    return 0
