"""`pellucid name`: what a direction may be called, or a picture be told in; "no name" is an answer.

The words come from the caption grammar (`toolkit.studies.vocabulary`) or from a user's own list;
the images on which a name is tested are portraits of the world that no direction was found on, or
a user's own store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.embeddings import SITE
from toolkit.errors import UserError

if TYPE_CHECKING:
    from probes import Direction, Lexicon
    from toolkit.clip import Clip
    from toolkit.studies.vocabulary import Phrase

SITES = (SITE, "text_states")
IMAGES = 1500
LEAST, MOST = 40, 5000  # images that a name is tested on; more say no more, and cost time


def _store_images(path: str, seed: int) -> tuple[np.ndarray, Clip]:
    """Vectors of a store, at most MOST of them, and the model that made them."""
    from toolkit.embeddings import open_store
    from toolkit.studies.embed import load_model

    store = open_store(path)
    if len(store) < LEAST:
        raise UserError(f"{path} holds {len(store)} vectors; give at least {LEAST} to test names")
    clip = load_model(store.model)
    if (clip.hash, SITE) != (store.space.model, store.space.site):
        raise UserError(
            f"{path} was made at the {store.space}, and {store.model} is now {clip.hash[:12]}; "
            "embed the pictures again"
        )
    if len(store) <= MOST:
        return store.vectors(), clip
    chosen = np.random.default_rng([seed, 31]).permutation(len(store))[:MOST]
    return store.rows(np.sort(chosen)), clip


def _world_images(clip: Clip, site: str, n: int, seed: int) -> np.ndarray:
    """(n, d) vectors of test portraits, or of what captions say of them."""
    from toolkit.studies.discover import word_states
    from toolkit.world import describe_freely, render_all, sample

    people = sample("test", n, seed)
    if site == SITE:
        return clip.encode_image(render_all(people))
    texts = [
        describe_freely(person, np.random.default_rng([seed, i])).text
        for i, person in enumerate(people)
    ]
    parts = [word_states(clip, texts[i : i + 512]) for i in range(0, n, 512)]
    return np.concatenate(parts)


def words_for(
    site: str, store: str | None, vocabulary: str | None, images: int, seed: int
) -> tuple[Lexicon, Clip, list[Phrase]]:
    """The words made ready for one site, their model, and the phrases behind them."""
    from probes import lexicon
    from toolkit.clip import load_clip
    from toolkit.studies import vocabulary as words

    if store and site != SITE:
        raise UserError(f"a store holds image embeddings; leave out --store for the site {site}")
    given = words.read_vocabulary(vocabulary) if vocabulary else words.vocabulary()
    if store:
        vectors, clip = _store_images(store, seed)
        if clip.name != "portraits" and not vocabulary:
            raise UserError(
                f"the store's model is {clip.name}, and the vocabulary of the portraits world is "
                "not its own; name a file of words with --vocabulary"
            )
    else:
        clip = load_clip()
        vectors = _world_images(clip, site, images, seed)
    embedded = (words.embed if site == SITE else words.embed_states)(clip, given)
    return lexicon([one.text for one in given], embedded, vectors, seed), clip, given


def _is_picture(text: str) -> bool:
    from toolkit.studies.embed import ENDINGS

    return text.lower().endswith(ENDINGS)


def _direction(text: str, directions: str, site: str) -> Direction:
    """A direction's file, or a direction of a run by its name."""
    from probes import DamagedDirection, Direction
    from toolkit.studies.steer import find_direction

    if not text.endswith(".safetensors"):
        return find_direction(directions, text, site)
    try:
        return Direction.load(text)
    except DamagedDirection as error:
        raise UserError(str(error)) from error


def name_direction(direction: Direction, ready: Lexicon, opposite: bool, shown: int) -> dict:
    """The facts about one direction, or about its opposite."""
    from probes import name

    found = name(-direction.vector if opposite else direction.vector, ready, shown=shown)
    return {
        "direction": f"-{direction.name}" if opposite else direction.name,
        "method": direction.method,
        "name": found.name,
        "candidate": found.candidate,
        "why": found.reason,
        "p": found.p,
        "stability": found.stability,
        "foretells": found.foretells,
        "words": [
            {"word": word, "score": round(score, 4)}
            for word, score in zip(found.words, found.scores, strict=True)
        ],
    }


def tell_picture(path: str, clip: Clip, ready: Lexicon, most: int) -> dict:
    """A picture's embedding as a sum of few words."""
    from probes import decompose
    from toolkit.studies.embed import framing, read_picture

    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no picture {path}")
    picture = framing(clip)(read_picture(file, file.read_bytes()))
    told = decompose(clip.encode_image(picture[None])[0], ready, most=most)
    return {
        "picture": path,
        "told": told.cosine,
        "words": [
            {"word": word, "weight": round(weight, 4)}
            for word, weight in zip(told.words, told.weights, strict=True)
        ],
    }


def name_all(
    what: Sequence[str],
    *,
    directions: str,
    site: str = SITE,
    store: str | None = None,
    vocabulary: str | None = None,
    opposite: bool = False,
    words: int = 8,
    images: int = IMAGES,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """`pellucid name`: facts about each direction or picture, in the order given.

    Raises UserError for a direction that is not there or of another space, a picture that can't be
    read, a store or a vocabulary that don't fit.
    """
    if site not in SITES:
        raise UserError(f"no site is named {site!r}; choose from {', '.join(SITES)}")
    if words < 1 or images < LEAST:
        raise UserError(f"give at least 1 word and {LEAST} images, not {words} and {images}")
    pictures = [one for one in what if _is_picture(one)]
    if pictures and (site != SITE or opposite):
        raise UserError(f"{pictures[0]} is a picture: it has an image embedding and no opposite")
    for one in pictures:
        if not Path(one).is_file():
            raise UserError(f"there is no picture {one}")
    found = {one: _direction(one, directions, site) for one in what if one not in pictures}
    ready, clip, phrases = words_for(site, store, vocabulary, images, seed)
    from probes import Space, WrongSpace

    for direction in found.values():
        try:
            direction.require(Space(clip.hash, site))
        except WrongSpace as error:
            raise UserError(str(error)) from error
    say(
        f"{len(phrases)} words, {len(ready.images)} images to choose by and {len(ready.held)} to "
        "test on"
    )
    return [
        name_direction(found[one], ready, opposite, words)
        if one in found
        else tell_picture(one, clip, ready, words)
        for one in what
    ]
