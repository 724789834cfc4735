"""The pages are opened on this machine alone, and opening them is light."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from dashboards.launch import APP, command

ROOT = Path(__file__).parents[2]
HEALTH = "http://127.0.0.1:8634/_stcore/health"


def test_the_command_binds_to_this_machine_and_reports_nothing(tmp_path: Path) -> None:
    words = command(tmp_path / "run", 8611, headless=True)
    assert words[:4] == [sys.executable, "-m", "streamlit", "run"]
    assert words[4] == str(APP) and APP.is_file()
    for flag in (
        "--server.address=127.0.0.1",
        "--server.port=8611",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    ):
        assert flag in words
    assert words[-2:] == ["--", str(tmp_path / "run")]
    assert "--server.headless=false" in command(tmp_path, 8611)


def test_the_first_start_asks_for_nothing(tmp_path: Path) -> None:
    """In a home that never saw Streamlit, and with a browser to open: it serves at once."""
    environment = {**os.environ, "HOME": str(tmp_path), "BROWSER": "true", "DISPLAY": ""}
    process = subprocess.Popen(
        command(tmp_path / "run", 8634), cwd=ROOT, env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(HEALTH, timeout=5) as answer:
                assert answer.status == 200
                break
            time.sleep(0.3)
        else:
            raise AssertionError("nothing was served within a minute")
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=20)
    assert "mail" not in said.lower()


def test_a_plain_streamlit_run_is_no_wider_open() -> None:
    import tomllib

    settings = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["browser"]["gatherUsageStats"] is False


def test_starting_the_app_imports_nothing_heavy() -> None:
    code = "import sys, dashboards.app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"torch", "sklearn", "umap", "numba", "diffusers", "transformers", "pandas"}
    assert not heavy & set(done.stdout.split())
