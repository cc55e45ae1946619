"""PlanOut's experiments: a class whose `assign` draws parameters, in abloop's loop once it is told of one."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abloop.adapters.planout.assignment import Assignment
from abloop.adapters.planout.base import Operator
from abloop.adapters.planout.named import Named
from abloop.adapters.planout.placement import Placement, exposures_of
from abloop.errors import DataError

if TYPE_CHECKING:
    from abloop.loop import Loop

EXPOSURE = "exposure"


class Experiment(Named):
    """One unit's parameters in one experiment; made anew for each unit.

    Each parameter that `UniformChoice`, `WeightedChoice` or `BernoulliTrial` draws on the primary unit is an abloop
    strategy of the name `EXPERIMENT.PARAMETER`: its exposure is recorded with the inputs as context, and once abloop
    personalises it, the parameter is what abloop chooses. All other parameters are what PlanOut gives.

    Args:
        loop: What `abloop.connect` gave; the class attribute of this name where None. Without a loop, values and
            PlanOut's own log are all there is.
        inputs: What `assign` is given, by name.

    Attributes:
        loop: As given.
        primary_unit: Name of the input that is randomised, or names; the unit of the first choice where empty.
        inputs: As given.
        errors: Experiments of this class that gave defaults because something raised.

    Example:
        >>> from abloop.adapters.planout import BernoulliTrial
        >>> class Banner(Experiment):
        ...     def assign(self, params, userid):
        ...         params.shown = BernoulliTrial(p=1, unit=userid)
        >>> banner = Banner(userid=17)
        >>> banner.get("shown"), banner.get("wide", False), banner.in_experiment, banner.get_params()
        (1, False, True, {'shown': 1})
        >>> banner.log_event("click", {"value": 2})
    """

    loop: Loop | str | None = None
    primary_unit: str | list[str] = ""

    def __init__(self, *, loop: Loop | str | None = None, **inputs: Any) -> None:
        """Set the experiment up; nothing is drawn yet."""
        super().__init__()
        if loop is not None:
            self.loop = loop
        self.inputs = inputs
        self._overrides: dict[str, Any] = {}
        self._auto_exposure_log = True
        self._exposure_logged = False
        self._given = False
        self._in_experiment = True
        self._assignment: Assignment | None = None
        self._placement: Placement | None = None
        self.setup()

    def assign(self, params: Assignment, **inputs: Any) -> Any:
        """Draw the parameters; override it.

        Args:
            params: Where they go: `params.color = UniformChoice(choices=["blue", "green"], unit=userid)`.
            inputs: The inputs of the experiment.

        Returns:
            False where the unit is not in the experiment and nothing is to be logged; None or True otherwise.
        """
        raise DataError(f"{type(self).__name__} has no method assign(self, params, **inputs); write it")

    @property
    def in_experiment(self) -> bool:
        """Whether the unit is in the experiment, as `assign` says."""
        self._assigned()
        return self._in_experiment

    def set_auto_exposure_logging(self, value: bool) -> None:
        """Say whether the first `get` records the exposure, or only `log_exposure` does.

        In the latter case abloop personalises only what is read after `log_exposure`.
        """
        self._auto_exposure_log = bool(value)

    def set_overrides(self, value: Mapping[str, Any]) -> None:
        """Fix parameters, and the inputs of the same names; what is fixed is not part of abloop's loop."""
        try:
            self._overrides = dict(value)
            self.inputs = {name: self._overrides.get(name, given) for name, given in self.inputs.items()}
            if self._assignment is not None:
                self._assignment.set_overrides(self._overrides)
        except Exception as error:  # law 1: product code never sees an exception
            self._complain("left its overrides alone", error)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter, and record the exposure; `default` where it was not assigned. It never raises."""
        try:
            self._read(name)
            return self._assigned().get(name, default)
        except Exception as error:  # law 1
            self._complain("gave a default", error)
            return default

    def get_params(self) -> dict[str, Any]:
        """Return all parameters, and record the exposure; none if they cannot be assigned. It never raises."""
        try:
            self._read()
            return dict(self._assigned())
        except Exception as error:  # law 1
            self._complain("gave no parameters", error)
            return {}

    def log_exposure(self, extras: Mapping[str, Any] | None = None) -> None:
        """Record that the unit saw its parameters. It never raises."""
        try:
            self._assigned()
            if not self._in_experiment:
                return
            self._expose()
            self.log_event(EXPOSURE, extras)
        except Exception as error:  # law 1
            self._complain("logged no exposure", error)

    def log_event(self, event_type: str, extras: Mapping[str, Any] | None = None) -> None:
        """Record what happened to the unit: for abloop, the metric `event_type` of `extras["value"]`, or 1.

        It exposes nobody and never raises.
        """
        try:
            self._assigned()
            if not self._in_experiment:
                return
            if self._placement is not None and event_type != EXPOSURE:
                self._placement.observe(event_type, 1 if extras is None else extras.get("value", 1))
            self.log(self._record(event_type, extras))
        except Exception as error:  # law 1
            self._complain("logged no event", error)

    def log(self, data: dict[str, Any]) -> None:
        """Log an exposure or event in PlanOut's own shape; override it."""

    def configure_logger(self) -> None:
        """Prepare what `log` needs, before parameters are drawn; override it."""

    def _read(self, *names: str) -> None:
        """Record the exposure if reading these parameters, or all, is one."""
        self._assigned()
        wanted: Callable[[], Any] | None = getattr(self, "get_param_names", None)
        if self._exposure_logged or (names and wanted is not None and not set(names) & set(wanted())):
            return
        if self._auto_exposure_log:
            self.log_exposure()
        else:
            self._given = True

    def _assigned(self) -> Assignment:
        """Return the parameters, drawn when they are first needed."""
        if self._assignment is None:
            try:
                self.configure_logger()
                if self.loop is not None:
                    primary = self.primary_unit
                    names = [primary] if isinstance(primary, str) and primary else list(primary)
                    self._placement = Placement(exposures_of(self.loop), self.name, self.inputs, names)
            except Exception as error:  # law 1
                self._complain("goes on without its log", error)
            self._assignment = self._run()
        return self._assignment

    def _expose(self) -> None:
        logged, self._exposure_logged = self._exposure_logged, True
        if self._placement is not None and not logged and self._placement.expose(given=self._given):
            self._assignment = self._run()

    def _run(self) -> Assignment:
        """Return the parameters as the experiment's code draws them; those that are fixed alone where it raises."""
        params = Assignment(self.salt, self._overrides, watch=self._watch)
        try:
            said = self.assign(params, **self.inputs)
            self._in_experiment = said is None or bool(said)
            return params
        except Exception as error:  # law 1
            self._complain("gave defaults", error)
            self._in_experiment = False
            return Assignment(self.salt, self._overrides)

    def _watch(self, name: str, operator: Operator, value: Any) -> Any:
        """Return what abloop gives for a parameter, or what PlanOut gave."""
        try:
            return value if self._placement is None else self._placement.watch(name, operator, value)
        except Exception as error:  # law 1
            self._complain("kept a parameter out of the loop", error)
            return value

    def _record(self, event_type: str, extras: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what PlanOut logs."""
        params = dict(self._assigned())
        data = {"name": self.name, "time": int(time.time()), "salt": self.salt, "inputs": self.inputs, "params": params}
        data["event"] = event_type
        if extras:
            data["extra_data"] = dict(extras)
        checksum = _checksum(type(self).assign)
        return data | ({"checksum": checksum} if checksum else {})


@functools.lru_cache(maxsize=256)
def _checksum(assign: Callable[..., Any]) -> str:
    """Return eight digits that change with the code of `assign`; empty where its source is not at hand."""
    try:
        lines = inspect.getsourcelines(assign)[0][1:]
    except (OSError, TypeError):
        return ""
    return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()[:8]


class SimpleExperiment(Experiment):
    """An experiment that, without a loop, logs JSON lines to the Python logger `planout.NAME`.

    Example:
        >>> from abloop.adapters.planout import SimpleExperiment, UniformChoice
        >>> class Button(SimpleExperiment):
        ...     def assign(self, params, userid):
        ...         params.color = UniformChoice(choices=["blue", "green"], unit=userid)
        >>> Button(userid=17).get("color") in ("blue", "green")
        True
    """

    def log(self, data: dict[str, Any]) -> None:
        """Log a JSON line, unless there is a loop, whose journal holds all of it; override it for another log."""
        logger = logging.getLogger(f"planout.{self.name}")
        if self.loop is None and logger.isEnabledFor(logging.INFO):
            logger.info(json.dumps(data, default=str))

    def set_log_file(self, path: str | Path) -> None:
        """Write the JSON lines to a file too.

        Example:
            >>> import tempfile
            >>> class Footer(SimpleExperiment):
            ...     def setup(self):
            ...         self.set_log_file(f"{tempfile.mkdtemp()}/footer.log")
            >>> Footer().name
            'Footer'
        """
        logger = logging.getLogger(f"planout.{self.name}")
        known = [handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
        if str(Path(path).absolute()) not in known:
            logger.addHandler(logging.FileHandler(path, delay=True))
            logger.setLevel(logging.INFO)


class DefaultExperiment(Experiment):
    """What a unit gets that is in no experiment of a namespace: fixed parameters, never logged.

    Example:
        >>> class Usual(DefaultExperiment):
        ...     def get_default_params(self):
        ...         return {"color": "blue"}
        >>> Usual(userid=17).get("color")
        'blue'
    """

    def assign(self, params: Assignment, **inputs: Any) -> Any:
        """Take the fixed parameters."""
        params.update(self.get_default_params())

    def get_default_params(self) -> dict[str, Any]:
        """Return the fixed parameters; override it."""
        return {}
