"""Why somebody changes something: asked for with every change, kept with it."""

from __future__ import annotations

from collections.abc import Mapping

from abloop.errors import DataError

MOST = 500


def read_why(form: Mapping[str, str]) -> tuple[str, str]:
    """Return the reason that a form gives, and what is wrong with it; one of them is empty.

    Example:
        >>> read_why({"why": " Spring campaign. "})
        ('Spring campaign.', '')
    """
    why = " ".join(form.get("why", "").split())
    if not why:
        return "", "Say why: whoever looks at this version later wants to know. A few words do."
    if len(why) > MOST:
        return "", f"The reason has {len(why)} characters; allowed: up to {MOST}."
    return why, ""


def require_why(form: Mapping[str, str]) -> str:
    """Return the reason that a form gives.

    Raises:
        DataError: It gives none, or too long a one.
    """
    why, wrong = read_why(form)
    if wrong:
        raise DataError(wrong)
    return why
