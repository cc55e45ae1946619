"""How one server is run. The environment is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from abloop.errors import DataError
from abloop.store.people import ABSOLUTE_SECONDS, IDLE_SECONDS

LEAST_SECRET = 32
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus-client adds up the numbers of several processes
_PREFIX = "ABLOOP_"
_YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
Log = Literal["text", "json"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one server.

    Attributes:
        secret: Signs cookies, from 32 characters; drawn once and kept in the database where empty.
        https: Whether browsers reach it by https only: cookies are then marked `Secure` and HSTS is sent.
        proxies: How many reverse proxies stand before it: that many values of X-Forwarded-For and -Proto are believed.
        prefix: Path under which a proxy shows it, e.g. `/abloop`; empty for the root.
        body_bytes: Most that a request may send.
        depth: Most levels of a JSON body.
        rate: Requests allowed for each token and each address, as Flask-Limiter reads it; empty for no limit.
        calls: Decisions and observations a minute for each token and process before `rate` holds; 0 for no limit.
        login_rate: Log-ins allowed for each address.
        limits_url: Where requests are counted: `memory://`, or e.g. `redis://host` for several processes.
        idle: Seconds without a visit after which a session ends.
        absolute: Seconds after log-in after which a session ends.
        log: `text`, or `json` for one object a line, with request ids.
    """

    secret: str = ""
    https: bool = False
    proxies: int = 0
    prefix: str = ""
    body_bytes: int = 1 << 20
    depth: int = 32
    rate: str = "6000 per minute"
    calls: int = 600_000
    login_rate: str = "60 per minute"
    limits_url: str = "memory://"
    idle: float = IDLE_SECONDS
    absolute: float = ABSOLUTE_SECONDS
    log: Log = "text"

    def __post_init__(self) -> None:
        """Refuse what cannot work or is not safe.

        Raises:
            DataError: A value is none that is allowed.
        """
        if self.secret and len(self.secret) < LEAST_SECRET:
            raise DataError(
                f"{_PREFIX}SECRET has {len(self.secret)} characters; allowed: {LEAST_SECRET} or more, or none at all: "
                "the installation then draws its own"
            )
        if not 0 <= self.proxies <= 10:
            raise DataError(f"{_PREFIX}PROXIES is {self.proxies}; allowed: 0 to 10")
        if self.prefix and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", self.prefix):
            raise DataError(f"{_PREFIX}PREFIX is {self.prefix!r}; allowed: a path without a slash at its end: /abloop")
        if self.body_bytes < 1_024 or self.depth < 2:
            raise DataError(f"{_PREFIX}BODY_BYTES needs 1024 or more, {_PREFIX}DEPTH 2 or more")
        if self.idle <= 0 or self.absolute <= 0:
            raise DataError(f"{_PREFIX}IDLE and {_PREFIX}ABSOLUTE are seconds above 0")
        if self.log not in get_args(Log):
            raise DataError(f"{_PREFIX}LOG is {self.log!r}; allowed: 'text', 'json'")


def read_config(environment: Mapping[str, str]) -> Config:
    """Return the settings that an environment gives, e.g. `ABLOOP_HTTPS=1` and `ABLOOP_PROXIES=1`.

    Args:
        environment: `os.environ`.

    Raises:
        DataError: A value is none that is allowed.

    Example:
        >>> read_config({"ABLOOP_PROXIES": "1"}).proxies
        1
    """
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Config):
        name = f"{_PREFIX}{field.encode_name.upper()}"
        if name in environment:
            values[field.name] = _value(name, environment[name], type(field.default))
    return Config(**values)  # type: ignore[arg-type]


def _value(name: str, text: str, kind: type) -> object:
    """Return a value of the environment as its field's type."""
    try:
        return _YES[text.strip().lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise DataError(f"{name} is {text!r}; allowed: {'1 or 0' if kind is bool else 'a number'}") from error


def current_config() -> Config:
    """Return the settings that this process's environment gives.

    Raises:
        DataError: A value is none that is allowed.
    """
    return read_config(os.environ)


def shares_metrics() -> bool:
    """Return whether several processes of one server add up their numbers."""
    return METRICS_DIRECTORY in os.environ
