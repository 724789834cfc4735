"""`pellucid dashboard`: the pages, on this machine alone."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, whole


def add(commands) -> None:
    dashboard = command(
        commands,
        "dashboard",
        "open a run in the browser: gallery, trace, map, directions, audit, provenance, lesson",
        "  pellucid dashboard runs/demo\n  pellucid dashboard runs/demo --port 8600 --no-browser",
        run_dashboard,
    )
    dashboard.add_argument("folder", nargs="?", default="runs/demo", help="the run (runs/demo)")
    dashboard.add_argument("--port", type=whole, default=8501, help="on localhost (8501)")
    dashboard.add_argument("--no-browser", action="store_true", help="do not open a browser")


def run_dashboard(args: argparse.Namespace) -> int:
    """Check the run first, so that a damaged one is a sentence here and not a page of red."""
    import subprocess

    from dashboards.launch import command as launch
    from toolkit.runs import load_run

    run = load_run(args.folder)
    say(f"http://localhost:{args.port} shows {run.path}, to this machine alone; stop with Ctrl-C")
    process = subprocess.Popen(launch(run.path, args.port, headless=args.no_browser))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait(timeout=10)
        return 0
