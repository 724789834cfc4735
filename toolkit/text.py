"""Text as every tower sees it: one cleaning for open_clip and transformers alike."""

from __future__ import annotations

import re

# A user who types a control token would end the prompt there; a space makes it plain text.
CONTROL = re.compile(r"<(\|?)(start_?of_?text|end_?of_?text)(\|?)>", re.IGNORECASE)
DEEPEST = 20  # an entity of an entity of an entity is nobody's prompt


def clean(text: str) -> str:
    """Mend encodings, unescape entities, lower the case, break control tokens.

    open_clip does the first three before it tokenises and transformers does not, so that the
    two disagree on curly quotes, ligatures and full-width letters unless both get this text.
    """
    from open_clip.tokenizer import _clean_lower

    for _ in range(DEEPEST):  # unescaping can uncover what was hidden in entities
        before, text = text, CONTROL.sub(r"< \1\2\3>", _clean_lower(text))
        if text == before:
            return text
    return text.replace("&", " ")  # the tokenizer would go on unescaping
