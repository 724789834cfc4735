"""`pellucid dashboard`: the pages, on this machine alone."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, whole


def add(commands) -> None:
    dashboard = command(
        commands,
        "dashboard",
        "open a run in the browser: gallery, trace, map, directions, audit, lesson",
        "  pellucid dashboard runs/demo\n  pellucid dashboard runs/demo --port 8600 --no-browser",
        run_dashboard,
    )
    dashboard.add_argument("folder", nargs="?", default="runs/demo", help="the run (runs/demo)")
    dashboard.add_argument("--port", type=whole, default=8501, help="on localhost (8501)")
    dashboard.add_argument("--no-browser", action="store_true", help="do not open a browser")


def run_dashboard(args: argparse.Namespace) -> int:
    """Check the run first, so that a damaged one is a sentence here and not a page of red."""
    import os
    import subprocess
    import sys
    from importlib.util import find_spec
    from pathlib import Path

    from toolkit.runs import load_run

    run = load_run(args.folder)
    package = find_spec("dashboards")
    places = (package.submodule_search_locations if package else None) or ["."]
    app = Path(places[0]) / "app.py"
    say(f"http://localhost:{args.port} shows {run.path}, to this machine alone; stop with Ctrl-C")
    settings = {
        "server.address": "localhost",
        "server.port": str(args.port),
        "server.headless": str(args.no_browser).lower(),
        "browser.gatherUsageStats": "false",
        "server.fileWatcherType": "none",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    order = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(app),
        *flags,
        "--",
        str(run.path.resolve()),
    ]
    environment = os.environ | {"PELLUCID_RUN": str(run.path.resolve())}
    process = subprocess.Popen(order, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait(timeout=10)
        return 0
