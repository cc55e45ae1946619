"""The commands that move records and say where they are: `worker` and `store`."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from abloop.cli.terminal import Add, add_url, open_loop, show
from abloop.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from abloop.store.dead import Dead
    from abloop.store.status import Custody, Status
    from abloop.worker import Turn

EXCERPT = 200
LAST_PORT = 65_535


def add_storing(add: Add) -> None:
    """Add the commands."""
    worker = add("worker", run_worker, "Ship, join, learn and ask the gate for all strategies, until it is stopped.")
    worker.add_argument("--once", action="store_true", help="turn once; exit code 1 if anything failed")
    worker.add_argument("--every", type=float, default=5.0, help="seconds from turn to turn (default: 5)")
    worker.add_argument("--strategy", action="append", default=[], help="only this one; once or more")
    worker.add_argument("--metrics-port", type=int, default=0, help="serve Prometheus metrics on this port")
    add_url(worker)
    stored = add("store", show_status, "Say where all records are, list and replay dead letters, bring up the schema.")
    actions = stored.add_subparsers(required=True, metavar="ACTION")
    for name, command, text in (
        ("status", show_status, "Say where all records are, and whether each is accounted for."),
        ("dead", show_dead, "List the records that could not be kept, with the reason, or try them again."),
        ("migrate", migrate, "Bring the database to this abloop's schema."),
    ):
        sub = actions.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        if command is not migrate:
            sub.add_argument("--strategy", default="", help="only this one")
        if command is show_dead:
            sub.add_argument("ids", type=int, nargs="*", help="only these letters")
            sub.add_argument("--replay", action="store_true", help="try them again")
            sub.add_argument("--shift", type=float, default=0.0, help="seconds to add to their times, when replayed")
            sub.add_argument("--most", type=int, default=20, help="most letters to list (default: 20)")
        add_url(sub)


def run_worker(options: argparse.Namespace) -> int:
    """Turn the cold path once, or until stopped."""
    from abloop.worker import Worker

    if not options.every > 0:
        raise DataError(f"--every is {options.every:g}; allowed: seconds above 0, e.g. 5")
    if not 0 <= options.metrics_port <= LAST_PORT:
        raise DataError(f"--metrics-port is {options.metrics_port}; allowed: 1 to {LAST_PORT}, or 0 for none")
    with closing(open_loop(options)) as loop:
        for name in options.strategy:
            loop.catalogue.serving(name)
        worker, stop = Worker(loop, options.strategy), threading.Event()
        if options.metrics_port:
            _serve_metrics(loop, worker, options.metrics_port)
        if options.once:
            turn = worker.turn()
            _tell(options, turn)
            return 1 if turn.failed else 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        worker.run(options.every, stop, lambda turn: _tell(options, turn))
    return 0


def _serve_metrics(loop: Any, worker: Any, port: int) -> None:
    try:
        from abloop.adapters.prometheus import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError("metrics need the package prometheus-client: pip install 'abloop[metrics]'") from error
    serve(loop, worker, port)


def _tell(options: argparse.Namespace, turn: Turn) -> None:
    """Print a turn: as one line of JSON, or in words where something happened."""
    if options.json:
        print(json.dumps(msgspec.to_builtins(turn)), flush=True)
        return
    at = datetime.fromtimestamp(turn.at, UTC).strftime("%H:%M:%S")
    if turn.error:
        print(f"{at} nothing done: {turn.error}", flush=True)
    parts = []
    for part in turn.strategies:
        said = [f"{part.rows:,} rows"] if part.rows else []
        said += [f"{part.late:,} rows changed by what came late"] if part.late else []
        said += [f"the gate says {part.verdict}, served: {part.phase}"] if part.verdict else []
        said += [f"failed: {part.error}"] if part.error else []
        if said:
            parts.append(f"{part.strategy}: {', '.join(said)}")
    shipped = turn.shipped
    if parts or options.once or (shipped is not None and (shipped.records or shipped.refused)):
        moved = f"{shipped.records:,} records shipped" if shipped is not None else "nothing shipped"
        dead = (
            f", {shipped.refused:,} dead letters (abloop store dead)" if shipped is not None and shipped.refused else ""
        )
        print(f"{at} {moved}{dead}. {'; '.join(parts) or 'No row was due'}.", flush=True)


def show_status(options: argparse.Namespace) -> int:
    """Print where all records are."""
    from abloop.store.status import read_status

    with closing(open_loop(options)) as loop:
        status = read_status(loop, options.strategy)
    data = msgspec.to_builtins(status)
    for custody, raw in zip(status.strategies, data["strategies"], strict=True):
        raw |= {"balanced": custody.balanced, "joined_share": custody.joined_share}
    show(options, data, lambda: _status_text(status))
    return 0


def _status_text(status: Status) -> str:
    """Return the status in words."""
    opened = f", the oldest since {_ago(status.at - status.spool_oldest)}" if status.spool_oldest is not None else ""
    lines = [f"spool: {status.segments} segments, {status.spool_bytes:,} bytes{opened}"]
    lines.append(f"lost by full disks: {status.lost:,} records; torn: {status.torn:,} bytes")
    if status.dead:
        lines.append("dead letters: " + ", ".join(f"{number:,} x {reason}" for reason, number in status.dead.items()))
    for custody in status.strategies:
        lines += ["", *_custody_lines(custody, status.at)]
    return "\n".join(lines)


def _custody_lines(custody: Custody, now: float) -> list[str]:
    sums = " + ".join(f"{number:,} {fate}" for fate, number in custody.fates.items() if number) or "0"
    proof = "every one is accounted for" if custody.balanced else "THE SUM DOES NOT HOLD; please report this"
    waits = f", the oldest for {_ago(now - custody.oldest)}" if custody.oldest is not None else ""
    lines = [
        custody.strategy,
        f"  decisions: {custody.decisions:,} received, {custody.waiting:,} waiting{waits}, {custody.rows:,} joined",
        f"  observations: {custody.observations:,} = {sums}: {proof}",
        f"  in a row: {custody.joined_share:.1%} of the observations that do not wait",
    ]
    if custody.observed:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in custody.observed.items())
        lines.append(f"  rows on which it was observed: {shares}")
    table = f"{custody.table_rows:,} rows in {custody.files} files, version {custody.table_version}"
    lines.append(f"  training table: {table}; {'up to date' if not custody.lag else 'behind by ' + _ago(custody.lag)}")
    if custody.dead:
        lines.append(f"  dead letters: {custody.dead:,}; see: abloop store dead --strategy {custody.strategy}")
    return lines


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0.0):.0f} seconds"


def show_dead(options: argparse.Namespace) -> int:
    """List dead letters, or try them again."""
    from abloop.store.dead import read_dead
    from abloop.store.replay import replay

    if options.shift and not options.replay:
        raise DataError("--shift changes nothing without --replay")
    with closing(open_loop(options)) as loop:
        if options.replay:
            done = replay(loop, options.ids, options.strategy, options.shift)
            data: dict[str, Any] = {"kept": done.kept, "left": [_plain(letter) for letter in done.left]}
            text = f"{done.kept:,} are kept now, {len(done.left):,} are still dead letters"
            show(options, data, lambda: "\n".join([f"{text}.", *map(_line, done.left[: options.most])]))
            return 1 if done.left else 0
        found = read_dead(loop.database, options.strategy, options.ids, options.most)
    advice = "After the fix: abloop store dead --replay [ID ...]"
    lines = [*map(_line, found), advice] if found else ["No dead letters."]
    show(options, {"dead": [_plain(letter) for letter in found]}, lambda: "\n".join(lines))
    return 0


def _plain(letter: Dead) -> dict[str, Any]:
    """Return a letter as plain data, its record readable."""
    from abloop.records import decode

    try:
        record: Any = msgspec.to_builtins(msgspec.structs.asdict(decode(letter.payload)))
    except msgspec.DecodeError:
        record = repr(letter.payload[:EXCERPT])
    names = ("id", "at", "strategy", "reason", "segment", "offset")
    return {**{name: getattr(letter, name) for name in names}, "record": record}


def _line(letter: Dead) -> str:
    at = datetime.fromtimestamp(letter.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    plain = _plain(letter)["record"]
    said = ", ".join(f"{name} {value!r:.40}" for name, value in plain.items()) if isinstance(plain, dict) else plain
    return f"{letter.id}  {at}  {letter.strategy or '(none)'}: {letter.reason}\n    {said:.{EXCERPT}}"


def migrate(options: argparse.Namespace) -> int:
    """Bring the database to this abloop's schema."""
    from abloop.store.migrations import migrate as move

    old, new = move(options.url)
    text = (
        f"schema {new}: nothing to do."
        if old == new
        else f"schema {old} became {new}."
        if old
        else f"made schema {new}."
    )
    show(options, {"old": old, "new": new}, lambda: text)
    return 0
