"""`python -m novelty.run`: one cell, or with a table, a figure or `-m` a sweep of cells.

Nothing heavy is imported here: `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from novelty.config import conf_dir, explain, open_overrides, register, tables_matching
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
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to the door, which words them
    sys.argv[1:] = arguments = _arguments(sys.argv[1:])
    register()
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(cell)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, arguments) from error
    except _Escaped as escaped:
        raise escaped.error from escaped.error.__cause__


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
