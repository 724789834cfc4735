"""Images, prompts and embeddings in; decisions, marks and records out.

Names load on first use, so that checking a prompt does not import an imaging library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safety.calibration import Concept, fit_concept
    from safety.certificates import development_ca
    from safety.checks import NameInPrompt, RestrictedImage, RestrictedPrompt
    from safety.findings import Decision, Finding
    from safety.guard import Guard, GuardedBatch, NoReason, unguarded
    from safety.keys import Keys
    from safety.ledger import Checkpoint, Ledger
    from safety.likeness import Likeness
    from safety.manifest_store import ManifestStore
    from safety.metadata import Facts
    from safety.policy import BadPolicy, Policy
    from safety.receipts import Receipt, receipt, record_deletion
    from safety.registry import BadRegistry, Person, Registry, changed
    from safety.release import Released, finish_releases, release_image
    from safety.vault import Entrusted, Vault
    from safety.verify import Verification, verify_bytes, verify_file
    from safety.watermark import Mark, MarkResult, detect_mark, mark_image

HOME = {
    "calibration": ("Concept", "fit_concept"),
    "certificates": ("development_ca",),
    "checks": ("NameInPrompt", "RestrictedImage", "RestrictedPrompt"),
    "findings": ("Decision", "Finding"),
    "guard": ("Guard", "GuardedBatch", "NoReason", "unguarded"),
    "keys": ("Keys",),
    "ledger": ("Checkpoint", "Ledger"),
    "likeness": ("Likeness",),
    "manifest_store": ("ManifestStore",),
    "metadata": ("Facts",),
    "policy": ("BadPolicy", "Policy"),
    "receipts": ("Receipt", "receipt", "record_deletion"),
    "registry": ("BadRegistry", "Person", "Registry", "changed"),
    "release": ("Released", "finish_releases", "release_image"),
    "vault": ("Entrusted", "Vault"),
    "verify": ("Verification", "verify_bytes", "verify_file"),
    "watermark": ("Mark", "MarkResult", "detect_mark", "mark_image"),
}

__all__ = [
    "BadPolicy", "BadRegistry", "Checkpoint", "Concept", "Decision", "Entrusted", "Facts",
    "Finding", "Guard", "GuardedBatch", "Keys", "Ledger", "Likeness", "ManifestStore", "Mark",
    "MarkResult", "NameInPrompt", "NoReason", "Person", "Policy", "Receipt", "Registry", "Released",
    "RestrictedImage", "RestrictedPrompt", "Vault", "Verification", "changed", "detect_mark",
    "development_ca", "finish_releases", "fit_concept", "mark_image", "receipt", "record_deletion",
    "release_image", "unguarded", "verify_bytes", "verify_file",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    for module, names in HOME.items():
        if name in names:
            return getattr(import_module(f"safety.{module}"), name)
    raise AttributeError(f"safety has no {name!r}")
