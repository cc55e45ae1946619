"""Tests at a few planned looks that spend their false-alarm rate look by look. Knows no table.

Where the length of a test is known and looks are few (daily or weekly), these bounds find more than the
always-valid ones of `sequential.py`; beyond the planned information there is nothing left to spend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import msgspec

from abloop.errors import DataError
from abloop.validate import in_range, one_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

Spending = Literal["obrien_fleming", "pocock", "power"]
SPENDINGS: tuple[Spending, ...] = ("obrien_fleming", "pocock", "power")
HIGHEST = 8.0  # a bound that nothing reaches: its chance is 1e-15


class Look(msgspec.Struct, frozen=True):
    """What one look may spend, and the bound that follows.

    Attributes:
        fraction: Information at the look as a share of the planned one, at most 1.
        spent: False-alarm rate spent up to and with this look.
        z: The estimate over its standard error must reach this (on either side, if two-sided).
        p: The same bound as a fixed-horizon p-value.
    """

    fraction: float
    spent: float
    z: float
    p: float


def spend(
    kind: Spending, fraction: float, alpha: float = 0.05, *, two_sided: bool = True, exponent: float = 3.0
) -> float:
    """Return the false-alarm rate that may be spent up to a share of the planned information.

    With a = alpha / 2 for each side of a two-sided test: O'Brien-Fleming's 2 - 2 Phi(z(1 - a/2) / sqrt(t)) and
    Pocock's a log(1 + (e - 1) t), source: Lan, DeMets, Biometrika 70 (1983); a t**exponent, source: Kim,
    DeMets, Biometrika 74 (1987).

    Args:
        kind: Shape of spending: late (`obrien_fleming`), even (`pocock`), or `power`.
        fraction: Share of the planned information, in [0, 1].
        alpha: False-alarm rate of the whole test, in (0, 1).
        two_sided: Whether both signs are tested.
        exponent: Exponent of `power`, above 0; 1 spends evenly, 3 is close to O'Brien-Fleming.

    Raises:
        DataError: A value outside its range.

    Example:
        >>> round(spend("obrien_fleming", 0.5, 0.05), 5)
        0.00305
    """
    one_of("spending", kind, SPENDINGS, error=DataError)
    in_range("fraction", fraction, 0, 1, error=DataError)
    in_range("alpha", alpha, 0, 1, open_low=True, open_high=True, error=DataError)
    in_range("exponent", exponent, 0, open_low=True, error=DataError)
    sides = 2 if two_sided else 1
    side = alpha / sides
    if fraction in (0.0, 1.0):
        return alpha * fraction
    if kind == "obrien_fleming":
        normal = NormalDist()
        return sides * 2.0 * normal.cdf(normal.inv_cdf(side / 2.0) / math.sqrt(fraction))
    return alpha * (math.log1p((math.e - 1.0) * fraction) if kind == "pocock" else fraction**exponent)


def looks(
    information: Sequence[float],
    planned: float | Sequence[float],
    alpha: float = 0.05,
    *,
    kind: Spending = "obrien_fleming",
    two_sided: bool = True,
    exponent: float = 3.0,
) -> tuple[Look, ...]:
    """Return the bound of every look so far.

    Information is 1 / (standard error of the effect)**2, or units where their variance is constant. It may
    grow other than planned: a look spends what its share allows, and bounds follow from what was really there.
    A plan may be changed between looks, for reasons that are not the effect seen: past looks keep theirs.

    Args:
        information: At each look so far, rising, above 0, shape (k,).
        planned: Information at the end of the test, above 0; one number, or the plan at each look, shape (k,).
        alpha: False-alarm rate of the whole test, in (0, 1).
        kind: Shape of spending.
        two_sided: Whether both signs are tested.
        exponent: Exponent of the spending `power`.

    Returns:
        One record a look; `z` is 8 where nothing worth a bound may be spent: too early, or all is spent.

    Raises:
        DataError: Information that does not rise, a plan that is none.

    Example:
        >>> [round(look.z, 3) for look in looks([1, 2, 3, 4, 5], 5)]
        [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    plans = _plans(information, planned)
    found: list[Look] = []
    state = _START
    before = spent = 0.0
    for now, plan in zip(information, plans, strict=True):
        fraction = min(1.0, now / plan)
        allowed = max(spent, spend(kind, fraction, alpha, two_sided=two_sided, exponent=exponent))
        z = _bound(state, before, now, allowed - spent, two_sided)
        state = _survive(state, before, now, z, 0.0, two_sided)
        tail = NormalDist().cdf(-z) * (2 if two_sided else 1)
        found.append(Look(fraction, allowed, z, tail))
        before, spent = now, allowed
    return tuple(found)


def crossing(
    information: Sequence[float], bounds: Sequence[float], drift: float = 0.0, *, two_sided: bool = True
) -> tuple[float, ...]:
    """Return the chance to have crossed a bound, up to and with each look.

    The score S = z sqrt(I) has independent normal increments with mean drift * dI and variance dI; its density
    among tests that go on is carried from look to look by Gauss-Legendre quadrature. Source: Armitage,
    McPherson, Rowe, JRSS A 132 (1969); Jennison, Turnbull, "Group Sequential Methods", 2000, chapter 19.

    Args:
        information: At each look, rising, above 0, shape (k,).
        bounds: z at each look, above 0, shape (k,).
        drift: True effect, in the units whose information this is; 0 gives the false-alarm rate.
        two_sided: Whether -z is a bound too.

    Raises:
        DataError: Information that does not rise, a bound that is none.

    Example:
        >>> round(crossing([1, 2, 3, 4, 5], [2.413] * 5)[-1], 3)  # Pocock's constant for five looks
        0.05
    """
    _plans(information, 1.0)
    in_range("drift", drift, error=DataError)
    if len(bounds) != len(information):
        raise DataError(f"{len(bounds)} bounds for {len(information)} looks; allowed: one each")
    state, before, crossed, found = _START, 0.0, 0.0, []
    for index, (now, z) in enumerate(zip(information, bounds, strict=True)):
        in_range(f"bounds[{index}]", z, 0, open_low=True, error=DataError)
        crossed += _leave(state, before, now, z, drift, two_sided)
        state = _survive(state, before, now, z, drift, two_sided)
        before = now
        found.append(min(1.0, crossed))
    return tuple(found)


State = tuple["Sequence[float] | Array", "Sequence[float] | Array"]  # scores of tests that go on, and their mass
_START: State = ((0.0,), (1.0,))


def _plans(information: Sequence[float], planned: float | Sequence[float]) -> Sequence[float]:
    """Return the plan at each look; refuse information and plans that are none."""
    if not len(information):
        raise DataError("no looks; allowed: one or more")
    for index, (before, now) in enumerate(pairwise([0.0, *information])):
        in_range(f"information[{index}]", float(now), float(before), open_low=True, error=DataError)
    plans = [planned] * len(information) if isinstance(planned, int | float) else list(planned)
    if len(plans) != len(information):
        raise DataError(f"{len(plans)} plans for {len(information)} looks; allowed: one number, or one each")
    for index, plan in enumerate(plans):
        in_range(f"planned[{index}]", float(plan), 0, open_low=True, error=DataError)
    return plans


def _leave(state: State, before: float, now: float, z: float, drift: float, two_sided: bool) -> float:
    """Return the probability of crossing at this look and not before."""
    import numpy as np  # here, so that `import abloop` stays light
    from scipy.special import ndtr

    scores, mass = (np.asarray(part, dtype=float) for part in state)
    step = math.sqrt(now - before)
    ahead = scores + drift * (now - before)
    edge = z * math.sqrt(now)
    out = ndtr((ahead - edge) / step)
    if two_sided:
        out = out + ndtr((-edge - ahead) / step)
    return float(mass @ out)


def _bound(state: State, before: float, now: float, chance: float, two_sided: bool) -> float:
    """Return the z that is crossed at this look, and not before, with a given chance."""
    from scipy.optimize import brentq

    def excess(z: float) -> float:
        return _leave(state, before, now, z, 0.0, two_sided) - chance

    if chance <= 0.0 or excess(HIGHEST) >= 0.0:
        return HIGHEST
    low = 0.0 if two_sided else -HIGHEST
    return low if excess(low) <= 0.0 else float(brentq(excess, low, HIGHEST, xtol=1e-12))


def _survive(state: State, before: float, now: float, z: float, drift: float, two_sided: bool) -> State:
    """Return the scores of the tests that go on after this look."""
    import numpy as np

    scores, mass = (np.asarray(part, dtype=float) for part in state)
    variance, root = now - before, math.sqrt(now)
    low = max(-z * root if two_sided else -math.inf, drift * now - (HIGHEST + 1.0) * root)
    high = min(z * root, drift * now + (HIGHEST + 1.0) * root)
    if high <= low:
        return [0.0], [0.0]  # nobody goes on
    points, weights = _rule(64 * math.ceil((high - low) / math.sqrt(variance) / 10.0))
    there = low + (high - low) * (points + 1.0) / 2.0
    gaps = there[:, None] - scores[None, :] - drift * variance
    density = np.exp(-0.5 * gaps * gaps / variance) @ mass / math.sqrt(2.0 * math.pi * variance)
    return there, density * weights * (high - low) / 2.0


@lru_cache(maxsize=32)
def _rule(points: int) -> tuple[Array, Array]:
    """Return nodes and weights of Gauss-Legendre quadrature on [-1, 1]."""
    import numpy as np

    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights
