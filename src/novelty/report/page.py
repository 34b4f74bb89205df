"""Tables as one HTML page: plots included, nothing fetched from anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from novelty.figures.style import styled
from novelty.pictures.page import document
from novelty.report.render import numbered
from novelty.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from novelty.report.sections import Shown


@dataclass(frozen=True)
class Section:
    """A table with its rows as text (`render.rows_of`), what is to be said below it, its bars if there are any, and the
    further sections of its dashboard (`sections.sections_of`)."""

    table: Table
    rows: list[list[str]]
    notes: Sequence[str]
    bars: Drawing | None
    shown: Sequence[Shown] = ()


def to_html(sections: Sequence[Section]) -> str:
    """Every table under its heading, one page."""
    title = sections[0].table.name if len(sections) == 1 else "Printed against measured"
    parts = [f"<h1>{escape(title)}</h1>"]
    if len(sections) > 1:
        links = "".join(f'<li><a href="#{_anchor(s)}">{escape(s.table.name)}</a></li>' for s in sections)
        parts.append(f"<ul>{links}</ul>")
    for section in sections:
        name, what = escape(section.table.name), escape(section.table.printed["title"])
        parts.append(f'<h2 id="{_anchor(section)}">{name}</h2><p>{what}</p>')
        if section.bars is not None:
            parts.append(f'<figure><img alt="bars of {name}" src="{_source(section.bars)}"></figure>')
        lines, footnotes = numbered(section.rows)
        parts.append(_grid(section.rows[0][:-1], lines))
        parts.append('<p class="quiet">' + "<br>".join(map(escape, [*footnotes, *section.notes])) + "</p>")
        parts += [_part(shown, name) for shown in section.shown]
    return document(title, parts)


def _part(shown: Shown, name: str) -> str:
    """A section below the table, ``name``'s (escaped)."""
    title = escape(shown.title)
    image = "" if shown.drawing is None else f'<img alt="{title} of {name}" src="{_source(shown.drawing)}">'
    return f"<h3>{title}</h3><figure><figcaption>{escape(shown.said)}</figcaption>{image}</figure>"


def _anchor(section: Section) -> str:
    return escape(section.table.name.replace("/", "-"))


def _source(drawing: Drawing) -> str:
    buffer = BytesIO()
    with styled():
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode()}"


def _grid(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Printed lines as they are, ours strong, differences quiet."""
    rows = ["<tr>" + "".join(f"<th>{escape(heading)}</th>" for heading in headings) + "</tr>"]
    for label, *values in lines:
        ours, below = label.startswith("  ours"), label.startswith("  ")
        form = "<strong>{}</strong>" if ours else '<span class="quiet">{}</span>' if below else "{}"
        texts = [
            ("&emsp;" if below else "") + form.format(escape(label.strip())),
            *map(form.format, map(escape, values)),
        ]
        rows.append("<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>")
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'
