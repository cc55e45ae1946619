"""Figures as a page carries them: data for the script that draws them, and what they show in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.errors import DataError

if TYPE_CHECKING:
    import plotly.graph_objects as go


TITLE = 70  # pixels that a figure's own title takes; on a page it is text


class Chart(msgspec.Struct, frozen=True):
    """One figure.

    Attributes:
        title: What it shows.
        data: The figure for plotly, without the colours of its surroundings, which the page gives.
        height: Pixels.
    """

    title: str
    data: dict[str, Any]
    height: int


def chart(draw: Callable[[], go.Figure], title: str = "") -> Chart | None:
    """Return a figure for a page; None where there is nothing to draw.

    Args:
        draw: Makes the figure.
        title: Its title; its own where empty.
    """
    try:
        figure = draw()
    except DataError:
        return None
    own, height = figure.layout.title.text or "", figure.layout.height
    figure.layout.template = None
    figure.layout.title = None
    figure.layout.height = None
    data = json.loads(figure.to_json())  # in which a number that was not estimated is null
    return Chart(title or own, {"data": data["data"], "layout": data["layout"]}, int(height - TITLE if height else 340))
