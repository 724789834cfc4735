"""`pellucid embed` and `pellucid map`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table, whole


def add(commands) -> None:
    embed = command(
        commands,
        "embed",
        "turn a folder of pictures into a store of vectors",
        "  pellucid embed photos --out stores/photos\n"
        "  pellucid embed photos --out stores/photos --labels photos.csv\n"
        "  pellucid embed photos --out stores/b32 --model ViT-B-32:laion2b_s34b_b79k",
        run_embed,
    )
    embed.add_argument("folder", help="pictures of any size, in it and below")
    embed.add_argument("--out", required=True, metavar="STORE", help="the store's folder")
    embed.add_argument(
        "--model",
        default="portraits",
        help="portraits, a folder in open_clip's layout, ARCHITECTURE:TAG, "
        "ARCHITECTURE:FILE.safetensors or hf-hub:OWNER/NAME (portraits)",
    )
    embed.add_argument("--labels", metavar="CSV", help="labels by id or file name, a column each")
    embed.add_argument(
        "--shard", type=whole, default=2048, help="pictures a shard, where it can go on (2048)"
    )
    embed.add_argument("--json", action="store_true", help="print one object")

    draw = command(
        commands,
        "map",
        "draw a store's vectors on a plane, by PCA and UMAP, and say how far to trust it",
        "  pellucid map stores/photos\n"
        "  pellucid map stores/photos --color species --out runs/species\n"
        "  pellucid map stores/photos --pca",
        run_map,
    )
    draw.add_argument("store", help="what pellucid embed wrote")
    draw.add_argument("--color", metavar="COLUMN", help="the label that colours the points")
    draw.add_argument("--labels", metavar="CSV", help="labels in place of the store's own")
    draw.add_argument("--pca", action="store_true", help="PCA alone, at once")
    draw.add_argument("--rows", type=whole, default=5000, help="points drawn at most (5000)")
    draw.add_argument("--seeds", type=whole, default=3, help="UMAPs that are compared (3)")
    draw.add_argument("--seed", type=whole, default=0, help="the first UMAP, which is drawn (0)")
    draw.add_argument("--out", default="runs/map", help="the run's folder (runs/map)")
    draw.add_argument("--replace", action="store_true", help="replace a run of that name")
    draw.add_argument("--json", action="store_true", help="print the figures as one object")


def run_embed(args: argparse.Namespace) -> int:
    from toolkit.studies.embed import embed_folder

    store = embed_folder(
        args.folder, args.out, model=args.model, labels=args.labels, shard=args.shard, say=say
    )
    facts = {
        "store": args.out,
        "vectors": len(store),
        "dimensions": store.dim,
        "model": store.model,
        "space": str(store.space),
        "labels": list(store.labels.columns),
    }
    if args.json:
        show_json(facts)
    else:
        show_table([facts | {"labels": ", ".join(facts["labels"]) or "none"}])
    say(f"see it with: pellucid map {args.out}")
    return 0


def run_map(args: argparse.Namespace) -> int:
    from toolkit.studies.map_run import map_run

    facts = map_run(
        args.store,
        args.out,
        color=args.color,
        labels=args.labels,
        only_pca=args.pca,
        rows=args.rows,
        seed=args.seed,
        seeds=args.seeds,
        replace=args.replace,
        say=say,
    )
    if args.json:
        show_json(facts)
        return 0
    show_table(facts["stability"])
    show(f"{args.out}/map.png and {args.out}/map.html")
    return 0
