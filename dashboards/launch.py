"""The command line that opens the pages; their look is in `.streamlit/config.toml`."""

from __future__ import annotations

import sys
from pathlib import Path

APP = Path(__file__).with_name("app.py")


def command(run_path: str | Path, port: int, headless: bool = False) -> list[str]:
    """The command that serves a run's pages to this machine alone.

    `headless` opens no browser. Usage statistics are off and nothing outside is reached.
    """
    settings = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": str(headless).lower(),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "server.showEmailPrompt": "false",  # or the first start waits for an address to be typed
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    run = str(Path(run_path).resolve())
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, "--", run]
