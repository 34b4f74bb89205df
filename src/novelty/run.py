"""novelty: experiments in image novelty detection.

usage: python -m novelty.run [group=choice ...] [key=value ...] [-m]     (or: novelty ...)

python -m novelty.run method=piad data=cifar10 protocol.normal=automobile          one cell
python -m novelty.run -m method=kde,ocsvm data=mnist 'protocol.normal=range(10)'   a sweep
python -m novelty.run table=piad/table2_mnist dry_run=true                         what a published table would run
python -m novelty.run table=piad/table2_mnist method=kde                           a part of it; globs and 'all' work
python -m novelty.run figure=piad/fig1_contrast data=cifar10                       a published figure: numbers, picture
python -m novelty.run figure=crbnd/fig3 budget=short                               one that trains its cells first
python -m novelty.report table=piad/table2_mnist                                   printed against measured
python -m novelty.data list                                                        which data sets are here
python -m novelty.run method=piad --cfg job                                        the whole configuration of a run
python -m novelty.run --hydra-help                                                 Hydra's own options

Tab completion: eval "$(novelty -sc install=bash)"
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import TYPE_CHECKING

from novelty.config import (
    conf_dir,
    experiments_dir,
    explain,
    group_of,
    matching,
    names_under,
    open_overrides,
    register,
)
from novelty.doors import door, keep_memory
from novelty.errors import NoveltyError
from novelty.flags import in_order
from novelty.tables import load_figure

if TYPE_CHECKING:
    from omegaconf import DictConfig


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

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to the door, which words them
    register()
    try:
        runs = _runs(_arguments(in_order(sys.argv[1:])))
    except Exception as error:
        raise _worded(error) from error
    failures = []
    for arguments in runs:
        sys.argv[1:] = arguments
        try:
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(cell)()
        except (Exception, _Escaped) as error:
            failure = _worded(error)
            if len(runs) == 1:
                raise failure from failure.__cause__ or error
            if not isinstance(failure, NoveltyError):
                traceback.print_exception(failure)
            failures.append(arguments[0].removeprefix("figure="))
            print(f"novelty: {failures[-1]}: {_first_line(failure)}", file=sys.stderr, flush=True)
    if failures:
        raise NoveltyError(
            f"{len(failures)} of {len(runs)} figures failed, for the reasons above, the others are drawn: "
            f"{', '.join(failures)}."
        )


def _worded(error: BaseException) -> Exception:
    """What went wrong, in our words where Hydra found it."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    found = error.error if isinstance(error, _Escaped) else error
    assert isinstance(found, Exception)
    return explain(found) if isinstance(found, (HydraException, OmegaConfBaseException)) else found


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines and isinstance(error, NoveltyError) else ": ".join([type(error).__name__, *lines[:1]])


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
        if name in ("table", "figure") and value not in ("", "null"):
            argument = f"{name}=" + ",".join(found for pattern in value.split(",") for found in matching(name, pattern))
        if value.startswith(("[", "{")) and group_of(name).isalpha() and (conf_dir() / group_of(name)).is_dir():
            raise NoveltyError(f"{argument} is no choice: name one of the group, or several in a sweep, -m {name}=A,B.")
        if value == "null" and (conf_dir() / name).is_dir() and name != "recipe":
            raise NoveltyError(f"{name}=null leaves the run without its {name}: choose one of the names in --help.")
        expanded.append(argument)
    if _names(expanded, "table") and not {"-m", "--multirun", "-c", "--cfg"} & set(expanded):
        expanded.append("--multirun")
    return open_overrides(expanded)


def _names(arguments: list[str], group: str) -> list[str]:
    """The tables or figures that are asked for."""
    typed = next((a for a in reversed(arguments) if a.startswith(f"{group}=")), f"{group}=null").split("=", 1)[1]
    return [] if typed == "null" else typed.split(",")


def _runs(arguments: list[str]) -> list[list[str]]:
    """Hydra's command lines: one for each figure, which is a sweep where it has cells, otherwise a single one."""
    figures = _names(arguments, "figure")
    if not figures:
        return [arguments]
    if {"-m", "--multirun"} & set(arguments):
        raise NoveltyError(
            "A figure is drawn by itself: leave out -m and table=, and name several as 'figure=piad/*' or figure=all."
        )
    others = [a for a in arguments if not a.startswith("figure=")]
    showing = bool({"-c", "--cfg"} & set(arguments))
    return [
        [f"figure={figure}", *others, *(["--multirun"] if load_figure(figure) and not showing else [])]
        for figure in figures
    ]


def cell(cfg: DictConfig) -> float:
    """One cell, from configuration to record; what every launcher calls. Returns the AUROC of the primary score.

    Or one figure that needs no cells, which has no score (0).
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    register()  # a launcher's worker process starts without the resolvers
    keep_memory()
    hydra = HydraConfig.get()
    choices = {str(group): str(name) for group, name in hydra.runtime.choices.items()}
    overrides = [str(o) for o in OmegaConf.to_container(hydra.overrides.task) or ()]  # as typed, ${...} included
    alone = hydra.mode == RunMode.RUN
    try:
        if cfg.figure is not None:
            from novelty.figures.session import draw_composed

            draw_composed(cfg, choices, overrides)
            return 0.0
        from novelty.training.orphans import in_hand
        from novelty.training.session import run_composed

        with in_hand():
            return run_composed(cfg, choices, overrides, alone)
    except Exception as error:
        if alone:
            raise _Escaped(error) from error
        _let_go(error)
        raise
    finally:
        if not alone:
            _let_go_of_cells()


def _let_go_of_cells() -> None:
    """Trainer and method refer to each other, and Python looks for such rings rarely: gigabytes would wait for it.

    What the first cell imported stays anyway and is looked at once; to go through it took longer than a small cell.
    """
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()


def _let_go(error: BaseException | None) -> None:
    """A sweep keeps its errors until it ends: let them not keep models and images with them."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    main()
