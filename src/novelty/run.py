"""novelty: experiments in image novelty detection.

usage: python -m novelty.run [group=choice ...] [key=value ...] [-m]     (or: novelty ...)

python -m novelty.run method=piad data=cifar10 protocol.normal=automobile          one cell
python -m novelty.run -m method=kde,ocsvm data=mnist 'protocol.normal=range(10)'   a sweep
python -m novelty.run table=piad/table2_mnist dry_run=true                         what a published table would run
python -m novelty.run table=piad/table2_mnist method=kde                           a part of it; globs and 'all' work
python -m novelty.report table=piad/table2_mnist                                   printed against measured
python -m novelty.data info                                                        which data sets are here
python -m novelty.run method=piad --cfg job                                        the whole configuration of a run
python -m novelty.run --hydra-help                                                 Hydra's own options

Tab completion: eval "$(novelty -sc install=bash)"
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from novelty.config import conf_dir, experiments_dir, explain, names_under, open_overrides, register, tables_matching
from novelty.doors import door
from novelty.errors import NoveltyError

if TYPE_CHECKING:
    from omegaconf import DictConfig

SWEEPS = ("table=", "figure=")


class _Escaped(BaseException):
    """The error of a cell that runs alone, on its way past Hydra, which would print its own words first."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def main() -> None:
    """The console script `novelty`."""
    door(_main)


def _main() -> None:
    if {"-h", "--help"} & set(sys.argv[1:]):
        _help()
        return
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to the door, which words them
    sys.argv[1:] = _arguments(sys.argv[1:])
    register()
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(cell)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error
    except _Escaped as escaped:
        raise escaped.error from escaped.error.__cause__


def _help() -> None:
    """Usage and every choice of every group, from the file names alone."""
    print(__doc__)
    print("Groups and their choices:\n")
    folders = [path for path in sorted(conf_dir().iterdir()) if path.is_dir() and path.name != "recipe"]
    for folder in [*folders, experiments_dir() / "table", experiments_dir() / "figure"]:
        if names := names_under(folder):
            print(f"{folder.name:>12}: {', '.join(names)}")


def _arguments(typed: list[str]) -> list[str]:
    """The command line as Hydra wants it: tables expanded and swept over, keys of open nodes admitted."""
    expanded = []
    for argument in typed:
        name, _, value = argument.partition("=")
        if name == "table" and value not in ("", "null"):
            argument = "table=" + ",".join(t for pattern in value.split(",") for t in tables_matching(pattern))
        if value == "null" and (conf_dir() / name).is_dir() and name != "recipe":
            raise NoveltyError(f"{name}=null leaves the run without its {name}: choose one of the names in --help.")
        expanded.append(argument)
    swept = any(a.startswith(SWEEPS) and not a.endswith("=null") for a in expanded)
    if swept and not {"-m", "--multirun", "-c", "--cfg"} & set(expanded):
        expanded.append("--multirun")
    return open_overrides(expanded)


def cell(cfg: DictConfig) -> float:
    """One cell, from configuration to record; what every launcher calls. Returns the AUROC of the primary score."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from novelty.training.session import run_composed

    register()  # a launcher's worker process starts without the resolvers
    hydra = HydraConfig.get()
    alone = hydra.mode == RunMode.RUN
    try:
        return run_composed(
            cfg,
            choices={name: str(value) for name, value in hydra.runtime.choices.items()},
            overrides=list(hydra.overrides.task),
            alone=alone,
        )
    except Exception as error:
        if alone:
            raise _Escaped(error) from error
        raise


if __name__ == "__main__":
    main()
