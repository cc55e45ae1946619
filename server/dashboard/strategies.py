"""The list of strategies."""

from __future__ import annotations

import shlex
import time

from flask import render_template, request

from abloop.store.overview import read_overview
from server.access import allow
from server.dashboard.listing import Wanted, listing
from server.dashboard.present import PHASES
from server.dashboard.routes import command, routes, source
from server.numbers import moment

LONGEST = 200


@routes.get("/")
@allow("read")
def strategies() -> str:
    """List the strategies, or say how to make the first one."""
    here, now = source(), time.time()
    wanted = Wanted(
        request.args.get("q", "").strip()[:LONGEST],
        request.args.get("state", "")[:LONGEST],
        request.args.get("phase", "")[:LONGEST],
        request.args.get("page", 1, type=int),
    )
    seen = read_overview(here.workspace())
    return render_template(
        "strategies.html",
        all=len(seen),
        found=listing(seen, wanted, now),
        wanted=wanted,
        phases=PHASES,
        url=here.url,
        demo=f"abloop demo --url {shlex.quote(here.url)}",
        connect=here.connect,
        cycle=command("cycle", "banner"),
        directory=here.directory,
        computed=moment(now, now),
    )
