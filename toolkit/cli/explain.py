"""`pellucid name`, `pellucid erase` and `pellucid associate`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table, whole
from toolkit.errors import UserError


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

    erase = command(
        commands,
        "erase",
        "take a label out of a store's vectors, and see what else broke",
        "  pellucid erase glasses stores/photos\n"
        "  pellucid erase species stores/birds --out stores/birds-blind\n"
        "  pellucid erase species stores/birds --labels birds.csv --json",
        run_erase,
    )
    erase.add_argument("factor", help="the label's column")
    erase.add_argument("store", help="what pellucid embed wrote")
    erase.add_argument("--labels", metavar="CSV", help="labels in place of the store's own")
    erase.add_argument("--out", metavar="STORE", help="write the erased vectors there")
    erase.add_argument("--seed", type=whole, default=0, help="which half is held out (0)")
    erase.add_argument("--json", action="store_true", help="print one object")

    associate = command(
        commands,
        "associate",
        "test whether professions, or your own groups, lean towards a level (WEAT, iEAT)",
        "  pellucid associate                        the two skews that are planted\n"
        "  pellucid associate skin=pale skin=ebony\n"
        "  pellucid associate age=old --n 80 --json\n"
        "  pellucid associate light=dim --store stores/birds --targets species",
        run_associate,
    )
    associate.add_argument("attribute", nargs="*", help="FACTOR=LEVEL (skin=pale, hair_style=long)")
    associate.add_argument("--store", help="test groups in what pellucid embed wrote")
    associate.add_argument("--targets", metavar="COLUMN", help="with --store: whose levels lean")
    associate.add_argument("--labels", metavar="CSV", help="labels in place of the store's own")
    associate.add_argument("--n", type=whole, default=40, help="sitters a profession (40)")
    associate.add_argument("--seed", type=whole, default=0, help="which sitters (0)")
    associate.add_argument("--json", action="store_true", help="print one object")


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


def run_erase(args: argparse.Namespace) -> int:
    from toolkit.studies.erase import erase_store

    found = erase_store(
        args.factor, args.store, labels=args.labels, out=args.out, seed=args.seed, say=say
    )
    if args.json:
        show_json(found)
        return 0
    show_table(found["readings"])
    for line in found["verdict"]:
        show(line)
    return 0


def run_associate(args: argparse.Namespace) -> int:
    from toolkit.studies.associate import associate_run
    from toolkit.studies.associate_store import associate_store

    if not args.store and (args.labels or args.targets):
        raise UserError("--labels and --targets are about a store's rows; name it with --store")
    if args.store:
        found = associate_store(
            args.attribute,
            args.store,
            targets=args.targets,
            labels=args.labels,
            seed=args.seed,
            say=say,
        )
    else:
        found = associate_run(args.attribute, n=args.n, seed=args.seed, say=say)
    if args.json:
        show_json(found)
        return 0
    show_table(found["rows"])
    for line in found["summary"]:
        show(line)
    return 0
