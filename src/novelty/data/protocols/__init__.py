"""Who is normal, who trains, who is tested: pure functions of annotations to index arrays. One protocol a module."""

from __future__ import annotations

from novelty.data.protocols.base import Protocol
from novelty.data.protocols.split import Split, cap

__all__ = ["Protocol", "Split", "cap"]
