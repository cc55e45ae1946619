"""Arrays as safetensors bytes: a length, a JSON header, plain numbers. Nothing in them can run.

Format: https://github.com/huggingface/safetensors (8 bytes length, header with dtype, shape and offsets, data).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from abloop.errors import ArtefactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.float64]]

LENGTH = 8
BYTES = 4  # of a number: all are F32


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """Where a tensor lies."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_header = msgspec.json.Decoder(dict[str, _Entry])


def write_tensors(arrays: Arrays) -> bytes:
    """Return arrays as safetensors of single precision.

    Example:
        >>> import numpy as np
        >>> read_tensors(write_tensors({"w": np.eye(2)}))["w"].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    entries, parts, at = {}, [], 0
    for name, array in arrays.items():
        data = array.astype("<f4").tobytes()
        entries[name] = _Entry("F32", array.shape, (at, at + len(data)))
        parts.append(data)
        at += len(data)
    header = msgspec.json.encode(entries)
    header += b" " * (-len(header) % LENGTH)
    return len(header).to_bytes(LENGTH, "little") + header + b"".join(parts)


def read_tensors(payload: bytes) -> dict[str, NDArray[np.float64]]:
    """Return the arrays in safetensors of single precision, as double precision.

    Raises:
        ArtefactError: The bytes are no such file, leave gaps, or hold a number that is not finite.
    """
    import numpy as np

    start = LENGTH + int.from_bytes(payload[:LENGTH], "little")
    if not LENGTH < start <= len(payload):
        raise ArtefactError(f"tensors have {len(payload)} bytes and a header up to {start}; they were cut or altered")
    try:
        entries = _header.decode(payload[LENGTH:start])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtefactError(f"tensors have no readable header: {error}") from error
    found, at = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        size = BYTES * math.prod(entry.shape)
        if entry.dtype != "F32" or min(entry.shape, default=1) < 0 or entry.data_offsets != (at, at + size):
            raise ArtefactError(f"tensor {name!r} is {entry.dtype} {entry.shape} at {entry.data_offsets}; allowed: F32")
        at += size
        if start + at > len(payload):
            raise ArtefactError(f"tensor {name!r} ends behind the file; it was cut")
        array = np.frombuffer(payload, "<f4", math.prod(entry.shape), start + at - size).astype(np.float64)
        if not np.isfinite(array).all():
            raise ArtefactError(f"tensor {name!r} holds a value that is not finite; allowed: finite numbers")
        found[name] = array.reshape(entry.shape)
    if start + at != len(payload):
        raise ArtefactError("tensors leave bytes that belong to none; they were altered")
    return found
