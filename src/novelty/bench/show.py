"""The figures on a terminal: one column a configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from novelty.bench.measure import Raw

Figures = dict[str, Any]


def show(console: Console, raws: Sequence[Raw], found: Sequence[Figures], ratios: dict[str, Any] | None) -> None:
    """What was measured; ``ratios``: of the second configuration to the first."""
    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=len(raws) > 1)
    grid.add_column("", no_wrap=True)
    for raw in raws:
        grid.add_column(escape(raw["name"]))
    for label, cells in [*_rows(raws, found), *_parts(found)]:
        grid.add_row(label, *cells)
    titles = dict.fromkeys(f"[bold]{escape(raw['title'])}[/] · {raw['environment']['hardware']}" for raw in raws)
    for title in titles:
        console.print(title)
    console.print(grid)
    for what, ratio in (ratios or {}).items():
        if ratio:
            verb = "trains on" if what == "train" else "scores"
            one, other = (escape(raw["name"]) for raw in raws)
            console.print(
                f"{other} {verb} [bold]{ratio['ratio']:.3g}[/] times as many images a second as "
                f"{one} ({ratio['low']:.3g} to {ratio['high']:.3g} in {len(ratio['rounds'])} rounds)."
            )


def _rows(raws: Sequence[Raw], found: Sequence[Figures]) -> list[tuple[str, list[str]]]:
    """Label and one cell a configuration; rows about training only where something is trained."""

    def row(label: str, cell: Callable[[Raw, Figures], str]) -> tuple[str, list[str]]:
        return label, [cell(raw, figures) for raw, figures in zip(raws, found, strict=True)]

    def train(label: str, cell: Callable[[Raw, Figures], str]) -> tuple[str, list[str]]:
        return row(label, lambda raw, figures: cell(raw, figures["train"]) if figures["train"] else "-")

    rows = [row("hardware", lambda r, f: r["hardware"]), row("  precision", lambda r, f: _precision(r))]
    if all(raw["device"] == "cpu" for raw in raws):
        rows.append(row("  threads", lambda r, f: str(r["environment"]["threads"])))
    if not all(figures["train"] for figures in found):
        rows.append(row("training", lambda r, f: "" if f["train"] else "nothing to train"))
    if any(figures["train"] for figures in found):
        rows += [
            train("an iteration", lambda r, t: f"[bold]{time(t['seconds'])}[/] (median of {t['steps']:,})"),
            train("  80 % within", lambda r, t: f"{time(t['p10_seconds'])} to {time(t['p90_seconds'])}"),
            train("  mean", lambda r, t: time(t["mean_seconds"])),
            train("  the first", lambda r, t: time(t["first_seconds"])),
            train("  iterations/s", lambda r, t: f"{t['iterations_per_second']:,.3g}"),
            train("trained on", lambda r, t: f"{number(t['images_per_second'])} images/s"),
            train("  an iteration", lambda r, t: _images(r)),
            train("arithmetic", lambda r, t: f"{si(t['flop'], 'FLOP')} an iteration"),
            train("  reached", lambda r, t: si(t["flop_per_second"], "FLOP/s")),
            train("  of the ceiling", lambda r, t: percent(t["share_of_ceiling"])),
            train("  ceiling", lambda r, t: f"{si(t['ceiling']['flops'], 'FLOP/s')} ({t['ceiling']['shape']})"),
        ]
    return [
        *rows,
        row("data alone", lambda r, f: f"{number(f['feed_images_per_second'])} images/s"),
        row("scored", lambda r, f: f"[bold]{number(f['score']['images_per_second'])}[/] images/s"),
        row("  in batches of", lambda r, f: str(r["score_batch"])),
        row("  arithmetic", lambda r, f: f"{si(f['score']['flop_per_image'], 'FLOP')} an image"),
        row("calibration", lambda r, f: time(f["calibration_seconds"])),
        row("peak memory", lambda r, f: _memory(f["peak_memory"])),
    ]


def _parts(found: Sequence[Figures]) -> list[tuple[str, list[str]]]:
    """Where the time of an iteration goes, the largest part of the first configuration first."""
    trained = [figures["train"] for figures in found]
    names = dict.fromkeys(name for train in trained if train for name in _by_time(train["parts"]))
    if not names:
        return []
    heads = [f"mean of {train['parts_steps']:,}, clocked" if train else "-" for train in trained]
    rows = [(f"  {name}", [_part(train, name) if train else "-" for train in trained]) for name in names]
    return [("parts of an iteration", heads), *rows]


def _by_time(parts: dict[str, Figures]) -> list[str]:
    return sorted(parts, key=lambda name: -parts[name]["seconds"])


def _part(train: Figures, name: str) -> str:
    found = train["parts"].get(name)
    return "-" if found is None else f"{found['share']:6.1%}  {time(found['seconds'])}"


def _precision(raw: Raw) -> str:
    hardware = raw["config"]["hardware"]
    compiled = hardware.get("compile")
    layout = ["channels last"] if hardware["channels_last"] else []
    return ", ".join([hardware["precision"], *layout, *([f"compiled ({compiled})"] if compiled else [])])


def _images(raw: Raw) -> str:
    joined = raw["images_per_iteration"] // raw["batch"]
    return f"{raw['batch']} images" + (f" x {joined}" if joined > 1 else "")


def _memory(peak: dict[str, int | None]) -> str:
    gpu = f", {si(peak['gpu'], 'B')} on the GPU" if peak["gpu"] is not None else ""
    return f"{si(peak['process'] or 0, 'B')}{gpu}"


def number(value: float) -> str:
    """Whole, or with three digits where it is small.

    >>> number(1354.8), number(2.4567)
    ('1,355', '2.46')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def time(seconds: float) -> str:
    """Three digits and a unit.

    >>> time(0.00123)
    '1.23 ms'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            value = seconds / size
            break
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def percent(share: float) -> str:
    """Two digits at least: small methods reach small shares.

    >>> percent(0.0041), percent(0.618)
    ('0.41 %', '62 %')
    """
    return f"{share * 100:.0f} %" if share >= 0.095 else f"{share * 100:.2g} %"


def si(value: float, unit: str) -> str:
    """Three digits and a decimal prefix.

    >>> si(3.73e11, "FLOP")
    '373 GFLOP'
    """
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"
