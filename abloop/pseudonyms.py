"""Pseudonyms: what is written in the place of a unit or a category, the same for the same text and key.

A keyed hash, BLAKE2b with 16 bytes of output (RFC 7693, https://www.rfc-editor.org/rfc/rfc7693): without the key
nobody can compute the pseudonym of a text, not even by trying all there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b

from abloop.errors import DataError

Pseudonym = Callable[[str], str]
VARIABLE = "ABLOOP_PSEUDONYM_KEY"
LEAST_BYTES, MOST_BYTES, HASH_BYTES = 16, 64, 16


def compile_pseudonym(key: bytes | str = b"") -> Pseudonym | None:
    """Return the function of a text that gives its pseudonym: 32 characters; None where there is no key.

    Args:
        key: Secret of 16 to 64 bytes; text is taken as UTF-8. Where it is empty, the environment variable
            ABLOOP_PSEUDONYM_KEY is read.

    Raises:
        DataError: The key is too short or too long.

    Example:
        >>> first, second = compile_pseudonym("0123456789abcdef"), compile_pseudonym("fedcba9876543210")
        >>> len(first("u1")), first("u1") == first("u1"), first("u1") == second("u1")
        (32, True, False)
    """
    name = "pseudonym_key" if key else VARIABLE
    key = key or os.environ.get(VARIABLE, "")
    if not isinstance(key, bytes | str):
        raise DataError(f"pseudonym_key is a {type(key).__name__}; allowed: bytes or text")
    secret = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    if not secret:
        return None
    if not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise DataError(
            f"{name} is of {len(secret)} bytes; allowed: {LEAST_BYTES} to {MOST_BYTES}. "
            'Make one: python -c "import secrets; print(secrets.token_hex(16))", and keep it: with another key, all '
            "units are others"
        )

    def pseudonym(text: str) -> str:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES, key=secret).hexdigest()

    return pseudonym


def require_pseudonym(pseudonym: Pseudonym | None, strategy: str) -> Pseudonym:
    """Return the function that gives pseudonyms, for a strategy that needs one.

    Raises:
        DataError: There is no key.
    """
    if pseudonym is None:
        raise DataError(
            f"strategy {strategy!r} writes pseudonyms, but their key is not here. Give it: "
            f"abloop.connect(..., pseudonym_key=...), or the environment variable {VARIABLE}"
        )
    return pseudonym
