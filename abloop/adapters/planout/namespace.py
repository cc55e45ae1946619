"""PlanOut's namespaces: segments of units that experiments share out, so that no unit is in two of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from abloop.adapters.planout.assignment import Assignment
from abloop.adapters.planout.experiment import DefaultExperiment, Experiment
from abloop.adapters.planout.faults import Faults
from abloop.adapters.planout.operators import FastSample, RandomInteger, Sample
from abloop.errors import DataError

if TYPE_CHECKING:
    from abloop.loop import Loop

log = logging.getLogger("abloop")


class SimpleNamespace(Faults):
    """One unit's place among experiments that exclude each other; made anew for each unit.

    Override `setup` to set `name`, `primary_unit` and `num_segments`, and `setup_experiments` to add experiments.

    Args:
        loop: What `abloop.connect` gave, for every experiment that has none of its own; the class attribute of this
            name where None.
        inputs: What the experiments are given, by name.

    Raises:
        DataError: `setup` left out what is needed.

    Attributes:
        name: Salt of the segments, and beginning of the names of the experiments.
        num_segments: Number of segments.
        default_experiment_class: What a unit gets whose segment no experiment has, or that its experiment turned away.
        available_segments: Segments that no experiment has.
        segment_allocations: Segment to name of its experiment.
        current_experiments: Name of an experiment to its class.
        errors: Namespaces of this class that gave defaults because something raised.

    Example:
        >>> from abloop.adapters.planout import SimpleExperiment, UniformChoice
        >>> class Button(SimpleExperiment):
        ...     def assign(self, params, userid):
        ...         params.color = UniformChoice(choices=["blue", "green"], unit=userid)
        >>> class Page(SimpleNamespace):
        ...     def setup(self):
        ...         self.name, self.primary_unit, self.num_segments = "page", "userid", 100
        ...     def setup_experiments(self):
        ...         self.add_experiment("button", Button, 50)
        >>> Page(userid=17).get("color", "red") in ("blue", "green", "red")
        True
    """

    loop: Loop | str | None = None

    def __init__(self, *, loop: Loop | str | None = None, **inputs: Any) -> None:
        """Share out the segments; the unit's is looked up when it is needed."""
        if loop is not None:
            self.loop = loop
        self.name = str(type(self))  # as in PlanOut, where it is part of every hash
        self.inputs = inputs
        self.num_segments = 0
        self.default_experiment_class: type[Experiment] = DefaultExperiment
        self.segment_allocations: dict[int, str] = {}
        self.current_experiments: dict[str, type[Experiment]] = {}
        self._primary_unit: list[str] = []
        self._default: Experiment | None = None
        self.setup()
        if type(self.num_segments) is not int or self.num_segments < 1:
            came = f"num_segments of {type(self).__name__} is {self.num_segments!r:.80}"
            raise DataError(f"{came}; allowed: a whole number of at least 1. Set it in setup()")
        if not self._primary_unit:
            raise DataError(f"{type(self).__name__} has no primary_unit; set it to the name of an input in setup()")
        self.available_segments = set(range(self.num_segments))
        self.setup_experiments()

    def setup(self) -> None:
        """Set name, primary unit and number of segments; override it."""

    def setup_experiments(self) -> None:
        """Add the experiments, always in the same order; override it."""

    @property
    def primary_unit(self) -> list[str]:
        """Names of the inputs that are randomised; may be set to one name."""
        return self._primary_unit

    @primary_unit.setter
    def primary_unit(self, value: str | list[str]) -> None:
        self._primary_unit = list(value) if isinstance(value, list) else [value]

    def add_experiment(self, name: str, exp_object: type[Experiment], segments: int) -> bool:
        """Give an experiment so many of the segments that are left, at random by its name.

        Returns:
            Whether it has them: False where too few are left, or the name is taken, which is logged.
        """
        left = len(self.available_segments)
        if left < segments:
            log.error("namespace %s: %s segments for %r, but %d are left", self.name, segments, name, left)
            return False
        if name in self.current_experiments:
            log.error("namespace %s: there is an experiment %r already; give this one another name", self.name, name)
            return False
        operator = FastSample if "use_fast_sample" in self.inputs else Sample
        for segment in _sampled(self.name, operator, tuple(sorted(self.available_segments)), segments, name):
            self.segment_allocations[segment] = name
            self.available_segments.remove(segment)
        self.current_experiments[name] = exp_object
        return True

    def remove_experiment(self, name: str) -> bool:
        """Take an experiment's segments back.

        Returns:
            Whether there was one of this name; if not, that is logged.
        """
        if name not in self.current_experiments:
            log.error("namespace %s: there is no experiment %r", self.name, name)
            return False
        freed = [segment for segment, owner in self.segment_allocations.items() if owner == name]
        for segment in freed:
            del self.segment_allocations[segment]
            self.available_segments.add(segment)
        del self.current_experiments[name]
        return True

    def get_segment(self) -> int:
        """Return the unit's segment.

        Raises:
            DataError: The inputs lack the primary unit.
        """
        missing = [name for name in self._primary_unit if name not in self.inputs]
        if missing:
            raise DataError(f"namespace {self.name}: input {missing[0]!r} is missing; pass {missing[0]}=...")
        place = Assignment(self.name)
        unit = itemgetter(*self._primary_unit)(self.inputs)
        place["segment"] = RandomInteger(min=0, max=self.num_segments - 1, unit=unit)
        segment: int = place["segment"]
        return segment

    @property
    def in_experiment(self) -> bool:
        """Whether the unit is in one of the experiments."""
        return self._experiment is not None and self._experiment.in_experiment

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter and record the exposure; that of the default experiment, or `default`, where not assigned.

        It never raises.
        """
        try:
            usual = self._default_experiment().get(name, default)
        except Exception as error:  # law 1: product code never sees an exception
            self._complain("gave a default", error)
            usual = default
        return usual if self._experiment is None else self._experiment.get(name, usual)

    def set_auto_exposure_logging(self, value: bool) -> None:
        """Say whether the first `get` records the exposure, or only `log_exposure` does."""
        if self._experiment is not None:
            self._experiment.set_auto_exposure_logging(value)

    def log_exposure(self, extras: Mapping[str, Any] | None = None) -> None:
        """Record that the unit saw its parameters; nothing where it is in no experiment. It never raises."""
        if self._experiment is not None:
            self._experiment.log_exposure(extras)

    def log_event(self, event_type: str, extras: Mapping[str, Any] | None = None) -> None:
        """Record what happened to the unit; nothing where it is in no experiment. It never raises."""
        if self._experiment is not None:
            self._experiment.log_event(event_type, extras)

    @functools.cached_property
    def _experiment(self) -> Experiment | None:
        """The experiment that has the unit's segment; None for none."""
        try:
            name = self.segment_allocations.get(self.get_segment())
            if name is None:
                return None
            experiment = self.current_experiments[name](**self.inputs)
            experiment.name = f"{self.name}-{name}"
            experiment.salt = f"{self.name}.{name}"
            experiment.primary_unit = experiment.primary_unit or self._primary_unit
            experiment.loop = self.loop if experiment.loop is None else experiment.loop
            return experiment
        except Exception as error:  # law 1
            self._complain("gave defaults", error)
            return None

    def _default_experiment(self) -> Experiment:
        if self._default is None:
            self._default = self.default_experiment_class(**self.inputs)
        return self._default


@functools.lru_cache(maxsize=128)
def _sampled(
    namespace: str, operator: type[Sample], segments: tuple[int, ...], draws: int, name: str
) -> tuple[int, ...]:
    """Return the segments that an experiment gets; kept, since a namespace is made anew for each request."""
    place = Assignment(namespace)
    place["sampled_segments"] = operator(choices=segments, draws=draws, unit=name)
    return tuple(place["sampled_segments"])
