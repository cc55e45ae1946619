"""The fit side of neural networks: torch in, safetensors out. Never imported by product code."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from abloop.errors import MissingExtraError
from abloop.models.network import UNIT, NetworkSpec, squashed
from abloop.models.tensors import write_tensors
from abloop.threads import torch_alone

Frame = NDArray[np.float64]
HIDDEN = {"small": (32,), "medium": (64, 32), "large": (128, 64)}
STATE = 16  # numbers that a sequence becomes
MOST_WIDTH = 16  # of an embedding
MOST_EPOCHS = 200
PATIENCE = 12  # epochs without a better loss on the rows held back
HELD_BACK = 0.15
BATCH = 256
QUARTILES = 0.7413  # of what lies between them, the standard deviation of a normal distribution


@dataclass(frozen=True)
class Training:
    """Settings that a search may find.

    Attributes:
        learning_rate: Of AdamW, above 0.
        weight_decay: Of AdamW, from 0.
        dropout: Share of hidden units left out at each step, in [0, 1).
        squash: Whether numbers are squashed, as `NetworkSpec` says, about their median.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    dropout: float = 0.0
    squash: bool = False


DEFAULTS = Training()


@dataclass(frozen=True)
class Head:
    """One label of a network.

    Attributes:
        task: `binary`, `regression`, `quantile` or `multiclass`.
        values: The label, NaN where missing, shape (n,).
        width: Number of outputs.
        by_arm: Whether output k is the prediction for arm k.
        quantile: Of a quantile: which.
    """

    task: str
    values: Frame
    width: int = 1
    by_arm: bool = False
    quantile: float = 0.5


def fit_network(
    inputs: Frame,
    levels: tuple[int, ...],
    heads: list[Head],
    arm: NDArray[np.intp],
    seed: int,
    size: str,
    sequences: tuple[tuple[int, ...], ...] = (),
    training: Training = DEFAULTS,
) -> NetworkSpec:
    """Fit one network of all labels: embeddings of categories, dense layers, an output for each label.

    Args:
        inputs: Shape (n, d), NaN where missing.
        levels: Levels of each input, 0 for numbers, length d.
        heads: The labels.
        arm: Index of each row's arm, shape (n,).
        seed: Makes the fit repeatable.
        size: `small`, `medium` or `large`.
        sequences: Inputs of categories that are steps in time, the oldest first.
        training: Settings of the fit.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("a network needs torch: pip install 'abloop[network]'") from error
    numbers = [at for at, count in enumerate(levels) if not count]
    centre, scale = _unit(inputs, numbers, robust=training.squash)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch_alone(*inputs.shape):
        torch.manual_seed(seed)
        net = _Net(torch, levels, sum(head.width for head in heads), HIDDEN[size], sequences, training.dropout)
        scaled = (inputs - centre) * scale
        scaled = squashed(scaled) if training.squash else scaled
        plain = torch.tensor(np.nan_to_num(scaled[:, numbers]), dtype=torch.float32)
        missing = torch.tensor(np.isnan(scaled[:, numbers]), dtype=torch.float32)
        codes = [
            torch.tensor(np.where(np.isnan(inputs[:, at]), count, inputs[:, at]).astype(np.int64))
            for at, count in enumerate(levels)
            if count
        ]
        targets = [_target(torch, head) for head in heads]
        dense = torch.cat([plain, missing], 1)
        _train(torch, net, (dense, codes), heads, targets, torch.tensor(arm), generator, training)
    found = _spec(net, levels, heads, targets, centre, scale, sequences)
    return msgspec.structs.replace(found, squash=training.squash)


def _unit(inputs: Frame, numbers: list[int], *, robust: bool) -> tuple[Frame, Frame]:
    """Return what is taken from each input, and by what it is then multiplied; 0 and 1 of categories, shape (d,) each.

    Args:
        inputs: Shape (n, d), NaN where missing.
        numbers: Which inputs are numbers.
        robust: Whether by median and quartiles, where these differ, and not by mean and standard deviation.
    """
    centre, scale = np.zeros(inputs.shape[1]), np.ones(inputs.shape[1])
    for at in numbers:
        known = inputs[~np.isnan(inputs[:, at]), at]
        if not len(known):
            continue
        low, middle, high = np.quantile(known, (0.25, 0.5, 0.75)) if robust else (0.0, 0.0, 0.0)
        if high > low and (high - low) > 1e-12 * max(1.0, float(np.abs(known).max())):
            centre[at], scale[at] = middle, 1.0 / (QUARTILES * (high - low))
        elif np.ptp(known) > 1e-12 * max(1.0, float(np.abs(known).max())):
            centre[at], scale[at] = known.mean(), 1.0 / known.std()
        else:
            centre[at], scale[at] = known.mean(), 0.0
    return centre.astype(np.float32).astype(np.float64), scale.astype(np.float32).astype(np.float64)


class _Net:
    """Tables, layers and their parameters."""

    def __init__(
        self,
        torch: Any,
        levels: tuple[int, ...],
        outputs: int,
        hidden: tuple[int, ...],
        sequences: tuple[tuple[int, ...], ...],
        dropout: float,
    ) -> None:
        """Draw the weights."""
        places = [at for at, count in enumerate(levels) if count]
        widths = {at: min(MOST_WIDTH, 1 + round(levels[at] ** 0.5)) for at in places}
        for steps in sequences:
            widths |= dict.fromkeys(steps, max(widths[at] for at in steps))
        self.tables = [torch.nn.Embedding(levels[at] + 1, widths[at]) for at in places]
        self.units = [torch.nn.GRU(widths[steps[0]], STATE, batch_first=True) for steps in sequences]
        self.steps = [[places.index(at) for at in steps] for steps in sequences]
        width = (
            STATE * len(sequences)
            + 2 * sum(not count for count in levels)
            + sum(table.embedding_dim for table in self.tables)
        )
        sizes = [width, *hidden, outputs]
        self.layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.torch, self.dropout, self.training = torch, dropout, False

    def parameters(self) -> list[Any]:
        """Return all weights."""
        return [weight for part in (*self.tables, *self.units, *self.layers) for weight in part.parameters()]

    def scores(self, dense: Any, codes: list[Any]) -> Any:
        """Return the outputs of some rows."""
        embedded = [table(code) for table, code in zip(self.tables, codes, strict=True)]
        parts = [dense, *embedded]
        for unit, steps in zip(self.units, self.steps, strict=True):
            _, state = unit(self.torch.stack([embedded[at] for at in steps], 1))
            parts.append(state[0])
        hidden = self.torch.cat(parts, 1)
        for layer in self.layers[:-1]:
            hidden = self.torch.dropout(self.torch.relu(layer(hidden)), self.dropout, self.training)
        return self.layers[-1](hidden)


def _target(torch: Any, head: Head) -> tuple[Any, Any, float, float]:
    """Return a label's values and which are known, and how a number was standardised."""
    known = ~np.isnan(head.values)
    centre, scale = 0.0, 1.0
    if head.task in ("regression", "quantile"):
        centre = float(head.values[known].mean())
        scale = float(head.values[known].std()) or 1.0
    values = np.where(known, (head.values - centre) / scale, 0.0)
    return torch.tensor(values, dtype=torch.float32), torch.tensor(known), centre, scale


def _loss(torch: Any, head: Head, scores: Any, values: Any, arm: Any) -> Any:
    """Return the mean loss of a label on rows where it is known."""
    losses = torch.nn.functional
    if head.task == "multiclass":
        return losses.cross_entropy(scores, values.long())
    score = scores.gather(1, arm[:, None])[:, 0] if head.by_arm else scores[:, 0]
    if head.task == "binary":
        return losses.binary_cross_entropy_with_logits(score, values)
    gap = values - score
    if head.task == "quantile":
        return torch.maximum(head.quantile * gap, (head.quantile - 1.0) * gap).mean()
    return (gap**2).mean()


def _train(
    torch: Any,
    net: _Net,
    given: tuple[Any, list[Any]],
    heads: list[Head],
    targets: list[Any],
    arm: Any,
    generator: Any,
    training: Training,
) -> None:
    """Fit the weights; keep those that did best on the rows held back."""
    dense, codes = given
    rows = len(dense)
    order = torch.randperm(rows, generator=generator)
    held, train = order[: int(rows * HELD_BACK)], order[int(rows * HELD_BACK) :]
    optimiser = torch.optim.AdamW(net.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)

    def loss_of(which: Any) -> Any:
        scores, total, at = net.scores(dense[which], [code[which] for code in codes]), 0.0, 0
        for head, (values, known, _, _) in zip(heads, targets, strict=True):
            here = known[which]
            if bool(here.any()):
                mine = scores[:, at : at + head.width][here]
                total = total + _loss(torch, head, mine, values[which][here], arm[which][here])
            at += head.width
        return total

    # Where a label is known on none of the rows held back, nothing there tells a good fit of it from a bad one.
    judges = all(bool(known[held].any()) for _, known, _, _ in targets)
    best, kept, waited = float("inf"), [weight.detach().clone() for weight in net.parameters()], 0
    batch = max(BATCH, rows // 200)
    for _ in range(MOST_EPOCHS):
        net.training = training.dropout > 0.0
        for part in train[torch.randperm(len(train), generator=generator)].split(batch):
            optimiser.zero_grad()
            loss = loss_of(part)
            if torch.is_tensor(loss):
                loss.backward()
                optimiser.step()
        net.training = False
        with torch.no_grad():
            now = float(loss_of(held if judges else train))
        waited += 1
        if now < best - 1e-5:
            best, kept, waited = now, [weight.detach().clone() for weight in net.parameters()], 0
        if waited > PATIENCE:
            break
    with torch.no_grad():
        for weight, value in zip(net.parameters(), kept, strict=True):
            weight.copy_(value)


def _spec(
    net: _Net,
    levels: tuple[int, ...],
    heads: list[Head],
    targets: list[Any],
    centre: Frame,
    scale: Frame,
    sequences: tuple[tuple[int, ...], ...],
) -> NetworkSpec:
    """Return the network as plain data; numbers are given in their own unit by the last layer."""
    arrays: dict[str, Frame] = {"centre": centre, "scale": scale}
    tables = iter(net.tables)
    for at, count in enumerate(levels):
        if count:
            arrays[f"table.{at}"] = next(tables).weight.detach().numpy().astype(np.float64)
    for at, layer in enumerate(net.layers):
        arrays[f"weight.{at}"] = layer.weight.detach().numpy().T.astype(np.float64)
        arrays[f"bias.{at}"] = layer.bias.detach().numpy().astype(np.float64)
    for at, unit in enumerate(net.units):
        parts = (unit.weight_ih_l0.T, unit.weight_hh_l0.T, unit.bias_ih_l0, unit.bias_hh_l0)
        for name, part in zip(UNIT, parts, strict=True):
            arrays[f"{name}.{at}"] = part.detach().numpy().astype(np.float64)
    last, start = len(net.layers) - 1, 0
    for head, (_, _, middle, unit) in zip(heads, targets, strict=True):
        span = slice(start, start + head.width)
        arrays[f"weight.{last}"][:, span] *= unit
        arrays[f"bias.{last}"][span] = arrays[f"bias.{last}"][span] * unit + middle
        start += head.width
    return NetworkSpec(levels, len(net.layers), start, write_tensors(arrays), sequences)
