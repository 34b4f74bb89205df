"""A page that tells a run whole: one HTML file, pictures included, nothing fetched from anywhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml

from novelty.figures.style import RESOLUTION, WIDTH

Record = Mapping[str, Any]

HEADINGS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "fpr_at_tpr95": "FPR at TPR 95",
    "fpr_at_tpr99": "FPR at TPR 99",
    "f1": "F1",
    "f1_oracle": "best F1 (labels)",
    "pixel_auroc": "pixel AUROC",
    "pixel_average_precision": "pixel AP",
    "aupro": "AUPRO",
    "dice_oracle": "best Dice (labels)",
}
"""Metrics of the table, in this order, where a run has them."""

CAPTIONS = {
    "sheet": "Test images and what the method makes of them",
    "ranking": "Ranking of the test images",
    "histogram": "Scores of the test images",
    "extremes": "Test images at the ends of the ranking, with their scores",
    "overlays": "Anomaly maps against the marked defects",
    "training": "Training",
}
"""Pictures in the order of the page, by file name."""

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --quiet: #666; --line: #d9d9d9; --page: #fff; --code: #f5f5f5 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --quiet: #a0a0a0; --line: #444; --page: #171717; --code: #232323 }
}
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 72rem;
       margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem }
.headline { font-size: 2.2rem; margin: .6rem 0 0 } .quiet { color: var(--quiet) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 } th { font-weight: 600 }
td small { display: block; color: var(--quiet) }
figure { margin: 1rem 0 } figure img { max-width: 100%; background: #fff; border-radius: 4px; display: block }
figcaption { color: var(--quiet); margin-bottom: .4rem }
pre { background: var(--code); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
      border-radius: 4px; font-size: 13px }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0 }
dt { color: var(--quiet) } dd { margin: 0; overflow-wrap: anywhere }
summary { cursor: pointer }
"""


def page(record: Record, pictures: Path) -> str:
    """The page of a record (the content of result.json) with the drawings that lie in the folder ``pictures``."""
    metrics = record["metrics"]
    best = metrics[record["primary"]]
    title = " · ".join([record["choices"]["method"], record["choices"]["data"], "+".join(record["normal"])])
    headline = f"AUROC {best['auroc']:.4f}" + _interval(best, "auroc", ' <small class="quiet">{}</small>')
    config = escape(_yaml(record["config"]))
    parts = [
        f"<h1>{escape(title)} · seed {record['seed']}</h1>",
        f'<p class="headline">{headline}</p>',
        f'<p class="quiet">score {escape(record["primary"])}; interval over resamples of the test set, not over '
        f"seeds</p>",
        "<h2>Metrics</h2>",
        _metrics(metrics, record["primary"]),
        *(_figure(path) for path in _in_order(pictures)),
        "<h2>How to make it again</h2>",
        f"<pre>{escape(record['command'])}</pre>",
        _facts(_about(record)),
        "<h2>Configuration</h2>",
        f"<details><summary>as it ran, defaults filled in</summary><pre>{config}</pre></details>",
    ]
    return document(title, parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A self-contained page in the project's style; ``parts``: of its body, as HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _interval(metrics: Record, name: str, form: str) -> str:
    low, high = metrics.get(f"{name}_interval", (None, None))
    return "" if low is None else form.format(f"{low:.3f}-{high:.3f}")


def _metrics(metrics: Mapping[str, Record], primary: str) -> str:
    columns = [name for name in HEADINGS if any(name in named for named in metrics.values())]
    lines = ["<tr><th>score</th>" + "".join(f"<th>{HEADINGS[name]}</th>" for name in columns) + "</tr>"]
    for score, named in metrics.items():
        cells = "".join(
            f"<td>{named[name]:.4f}{_interval(named, name, '<small>{}</small>')}</td>" if name in named else "<td></td>"
            for name in columns
        )
        mark = "<strong>{}</strong>" if score == primary else "{}"
        lines.append(f"<tr><td>{mark.format(escape(score))}</td>{cells}</tr>")
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _in_order(folder: Path) -> Iterable[Path]:
    found = {path.stem: path for path in sorted(folder.glob("*.svg"))}
    found |= {name: folder / f"{name}.png" for name in found if name in ("sheet", "extremes", "overlays")}  # of pixels
    return [found[name] for name in CAPTIONS if name in found]


def _figure(path: Path) -> str:
    kind = "image/png" if path.suffix == ".png" else "image/svg+xml"
    content = b64encode(path.read_bytes()).decode()
    caption = escape(CAPTIONS[path.stem])
    width = f"width: {min(100.0, 100 * _inches(path) / WIDTH):.4g}%"  # a page of text is the column: letters stay alike
    image = f'<img alt="{caption}" style="{width}" src="data:{kind};base64,{content}">'
    return f"<figure><figcaption>{caption}</figcaption>{image}</figure>"


def _inches(path: Path) -> float:
    """How wide a drawing is, from its file: an SVG says it in points, a PNG was drawn at `RESOLUTION`."""
    if path.suffix == ".png":
        return int.from_bytes(path.read_bytes()[16:20]) / RESOLUTION
    said = re.search(r'<svg[^>]*?\swidth="([\d.]+)pt"', path.read_text(encoding="utf-8")[:4000])
    return float(said[1]) / 72 if said else WIDTH


def _about(record: Record) -> dict[str, str]:
    split, timings, environment = record["split"], record["timings"], record["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())
    return {
        "images": f"{split['train']:,} normal to train on, {split['validation']:,} to validate; tested "
        f"{split['test_normal']:,} normal and {split['test_novel']:,} novel",
        "data copy": f"{record['data']['copy']} ({record['data']['digest'][:12]})",
        "budget": f"{record['config']['budget']['name']}; "
        f"{timings['steps']:,} steps in {timings['train_seconds']:,.0f} s, scored in {timings['score_seconds']:,.0f} s",
        "hardware": f"{environment.get('hardware', '')}; precision {record['config']['hardware']['precision']}; "
        f"{record['processes']} process{'es' if record['processes'] > 1 else ''}",
        "commit": str(environment.get("commit", "unknown")),
        "software": packages,
        **{name: str(value) for name, value in record["provenance"].items()},
        **{name: f"{value:.4g}" for name, value in record.get("measured", {}).items()},
        "evaluated": str(record["evaluated"]),
        "keys": ", ".join(f"{name} {value}" for name, value in record["keys"].items()),
    }


def _facts(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items()) + "</dl>"


def _yaml(config: Record) -> str:
    shown = {name: value for name, value in config.items() if name != "paths"}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=False)
