"""`pellucid doctor --model`: what is there, what is lacking, and no network unless it was asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.pipelines.checkpoints import load_checkpoint
from toolkit.pipelines.real import hub
from toolkit.pipelines.real.hub import Remote
from toolkit.pipelines.real.layout import names_in, needed
from toolkit.pipelines.real.tiny import write_tiny
from toolkit.studies.checkup_model import checkup_model

KIND, ID = "StableDiffusionPipeline", "somebody/tiny-sd"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("doctor") / "tiny-sd", KIND)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "tiny-sd"))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache in the hub's own layout; returns where a snapshot of ID goes."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repo = tmp_path / "hub" / "models--somebody--tiny-sd"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    return repo / "snapshots" / ("0" * 40)


def unreachable(name: str) -> Remote:
    raise AssertionError(f"the hub was asked about {name}")


def found(name, ask=unreachable) -> dict[str, tuple[str, str]]:
    return {Path(one.name).name: (one.ok, one.found) for one in checkup_model(str(name), ask)}


def test_a_whole_folder_is_counted_from_its_headers(folder):
    rows = found(folder)
    assert {ok for ok, _ in rows.values()} == {"yes"}
    network = load_checkpoint(str(folder)).parts.unet
    parameters = sum(p.numel() for p in network.parameters())
    assert rows["unet"][1].startswith(f"{parameters:,} parameters, ")
    assert main(["doctor", "--model", str(folder)]) == 0


@pytest.mark.parametrize(
    ("part", "damage", "said"),
    [
        ("unet", lambda f: f.write_bytes(f.read_bytes()[:-100]), "damaged"),
        ("vae", lambda f: f.write_bytes(b"what is this"), "damaged"),
        ("vae", lambda f: f.write_bytes(b""), "damaged"),
        ("vae", lambda f: f.unlink(), "no vae/diffusion_pytorch_model.safetensors"),
        ("unet", lambda f: f.rename(f.with_suffix(".bin")), "only there as a pickle"),
    ],
)
def test_each_damage_is_named_and_fails(folder, part, damage, said, capsys):
    damage(folder / part / "diffusion_pytorch_model.safetensors")
    rows = found(folder)
    assert rows[part][0] == "no"
    assert said in rows[part][1]
    assert all(ok == "yes" for name, (ok, _) in rows.items() if name != part)
    assert main(["doctor", "--model", str(folder), "--json"]) == 1
    assert part in {row["name"] for row in json.loads(capsys.readouterr().out)}
    with pytest.raises(UserError, match=part):
        load_checkpoint(str(folder))


def test_offline_the_hub_is_never_asked(cache, made):
    ok, said = found(ID)["tiny-sd"]
    assert (ok, said) == ("no", "not in the cache; offline, so the hub is not asked")
    with pytest.raises(UserError, match="nothing of it is in the cache"):
        load_checkpoint(ID)
    shutil.copytree(made, cache, ignore=shutil.ignore_patterns("vae"))
    rows = checkup_model(ID, unreachable)
    assert [one.name for one in rows if one.ok == "no"] == ["vae", ID]
    lacking = rows[[one.name for one in rows].index(ID, 1)]
    assert "HF_HUB_OFFLINE=0 pellucid doctor --model somebody/tiny-sd" in lacking.mend
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids"):
        load_checkpoint(ID)


def test_what_the_cache_holds_whole_is_used_offline(cache, made):
    shutil.copytree(made, cache)
    assert {ok for ok, _ in found(ID).values()} == {"yes"}
    assert load_checkpoint(ID).name == "tiny-sd"


def test_online_it_says_how_much_would_be_downloaded(cache, made, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    sizes = {name: 1_000_000 for name in names_in(made)} | {"unet/diffusion_pytorch_model.bin": 1}
    del sizes["vae/diffusion_pytorch_model.safetensors"]
    sizes["vae/diffusion_pytorch_model.bin"] = 1_000_000
    asked = []

    def ask(name: str) -> Remote:
        asked.append(name)
        return Remote(KIND, sizes, needed(KIND, sizes))

    rows = found(ID, ask)
    assert asked == [ID]
    assert rows["unet"] == ("no", "2.00 MB to download")
    assert rows["vae"] == ("no", "the hub has no .safetensors of it")
    shutil.copytree(made, cache, ignore=shutil.ignore_patterns("vae", "text_encoder"))
    rows = found(ID, ask)
    assert rows["unet"] == ("yes", "in the cache")
    assert rows["tiny-sd"][1] == f"{KIND}, 3.00 MB to download"


def test_a_copy_without_safetensors_is_not_downloaded(monkeypatch):
    sizes = {"model_index.json": 1, "unet/config.json": 1, "unet/diffusion_pytorch_model.bin": 9}
    monkeypatch.setattr(hub, "look", lambda repo: Remote(KIND, sizes, needed(KIND, sizes)))
    with pytest.raises(UserError, match=r"in \.safetensors .* nothing was downloaded"):
        hub._fetch(ID, print)


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../somewhere", ""])
def test_a_name_that_is_neither_ends_in_a_sentence(name, capsys):
    assert main(["doctor", "--model", name]) == 2
    assert "--model takes a folder" in capsys.readouterr().err


def test_kandinsky_needs_both_halves(tmp_path):
    write_tiny(tmp_path / "k-prior", "KandinskyV22PriorPipeline")
    rows = found(tmp_path / "k-prior")
    assert rows["k-decoder"] == ("no", "it is not there")
    write_tiny(tmp_path / "k-decoder", "KandinskyV22Pipeline")
    assert {ok for ok, _ in found(tmp_path / "k-prior").values()} == {"yes"}
