"""The layout of TensorBoard's page "custom scalars"; pictures and histograms have pages of their own there."""

from __future__ import annotations

from pathlib import Path

from novelty.dashboard.spec import Dashboard, pattern

Layout = dict[str, dict[str, list[str | list[str]]]]


def layout_of(dashboard: Dashboard) -> Layout:
    """Heading -> chart -> how it is drawn, and regular expressions of the tags in it, as a SummaryWriter takes it."""
    drawn: Layout = {}
    for section in dashboard.sections:
        charts = [panel for panel in section.panels if panel.kind in ("bars", "curves")]
        if charts:
            drawn[f"{dashboard.table}: {section.title}"] = {
                panel.title: ["Multiline", [f"{pattern(key)}$" for key in panel.keys]] for panel in charts
            }
    return drawn


def write_layout(dashboard: Dashboard, folder: Path) -> None:
    """The layout as an event file, alone in ``folder``: TensorBoard finds it wherever below its logdir that is."""
    from torch.utils.tensorboard import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):  # layouts of several files would be merged
        old.unlink()
    writer = SummaryWriter(str(folder))
    writer.add_custom_scalars(layout_of(dashboard))
    writer.close()
