"""`download`: fetch a data set whose owner lets everybody do so."""

from __future__ import annotations

from collections.abc import Sequence

from novelty.data.verbs.asked import asked
from novelty.data.verbs.standing import stand
from novelty.errors import NoveltyError


def main(typed: Sequence[str]) -> None:
    """Fetch what is missing, unless the data set is here or may not be fetched; say which."""
    one = asked("download", typed)
    standing = stand(one)
    if not standing.why:
        rest = "" if standing.state == "complete" else f", though not whole ({standing.count:,} images)"
        print(f"{one.name} is under {one.root} already{rest}: nothing was downloaded.")
        return
    if not one.may_download:
        raise NoveltyError(standing.why)
    source = one.source(download=True)
    source.fingerprint()
    print(f"{one.name} was downloaded into {one.root}: {source.copy}, checksums compared.")
