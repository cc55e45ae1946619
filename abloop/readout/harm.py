"""When what is served hurts: the comparison with the explore share says so, at every look."""

from __future__ import annotations

from abloop.readout.results import PolicyResult

FEWEST_UNITS = 100  # in the explore share of an arm, and with the policy's choice


def beaten_by(policy: PolicyResult | None) -> str:
    """Return the arm that is proven better for all than what is served; empty where none is.

    Args:
        policy: The policy against each arm, on traffic since it is served.
    """
    if policy is None or policy.policy.n < FEWEST_UNITS:
        return ""
    worse = [(gain.high, arm) for arm, gain in policy.gains.items() if policy.arms[arm].n >= FEWEST_UNITS]
    high, arm = min(worse, default=(0.0, ""))
    return arm if high < 0.0 else ""


def why_stop(policy: PolicyResult, arm: str) -> str:
    """Return in words that an arm for all is better than what is served."""
    gain = policy.gains[arm]
    return (
        f"Stopped: what was served is worse than {arm!r} for all by {-gain.mean:.4g} a decision, at least "
        f"{-gain.high:.4g}, by {policy.arms[arm].n:,} units of the explore share. Every unit is randomised again."
    )
