"""Every part at its published size, on the meta device: counts, tensors, names and shapes."""

from __future__ import annotations

import pytest
import torch

from tests.pipelines.published import OPEN_CLIP, PUBLISHED, Published
from toolkit.pipelines.real.layout import KINDS
from toolkit.pipelines.real.parts import model_class


def on_meta(one: Published) -> torch.nn.Module:
    made = model_class(one.class_name)
    with torch.device("meta"):
        if not one.class_name.startswith("CLIP"):
            return made(**one.config)
        import transformers

        kind = "CLIPVisionConfig" if "Vision" in one.class_name else "CLIPTextConfig"
        return made(getattr(transformers, kind)(**one.config))


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.name)
def test_names_shapes_and_counts_are_as_published(one):
    model = on_meta(one)
    assert sum(p.numel() for p in model.parameters()) == one.parameters
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    if one.tensors is not None:
        assert len(found) == one.tensors
    assert {name: found.get(name) for name in one.shapes} == one.shapes


def test_every_class_that_a_kind_needs_is_among_them():
    needed = {name for parts in KINDS.values() for name in parts.values()}
    assert needed - {"Scheduler", "CLIPTokenizer"} == {one.class_name for one in PUBLISHED}


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_open_clip_towers_have_the_published_sizes(name):
    import open_clip

    with torch.device("meta"):
        model = open_clip.create_model(name, load_weights=False, device="meta")
    image = sum(p.numel() for p in model.visual.parameters())
    total = sum(p.numel() for p in model.parameters())
    assert (image, total - image - 1, total) == OPEN_CLIP[name]
