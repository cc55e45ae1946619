"""All metrics as one model of BoTorch, whose samples are spread over the draws of each metric's parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from botorch.models.model import Model
from botorch.posteriors.posterior import Posterior
from botorch.sampling.get_sampler import GetSampler
from botorch.sampling.normal import SobolQMCNormalSampler

from abloop.optimize.surrogate import Surrogate, root_of

Tensor = Any


class Expected(Posterior):  # type: ignore[misc]  # BoTorch is untyped here
    """What is expected of points, draw by draw.

    Args:
        means: Shape (..., k, q, m).
        covariances: Shape (..., k, m, q, q).
    """

    def __init__(self, means: Tensor, covariances: Tensor) -> None:
        """Keep them."""
        self._means, self._covariances = means, covariances

    @property
    def device(self) -> Any:
        """Where it is."""
        return self._means.device

    @property
    def dtype(self) -> Any:
        """Type of its numbers."""
        return self._means.dtype

    @property
    def batch_shape(self) -> Any:
        """Shape of the sets of points."""
        return self._means.shape[:-3]

    @property
    def base_sample_shape(self) -> Any:
        """Shape of the normal numbers that one sample takes."""
        return self.batch_shape + self._means.shape[-2:]

    @property
    def batch_range(self) -> tuple[int, int]:
        """Where those of all sets are the same."""
        return (0, -2)

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        return torch.Size(sample_shape) + self.base_sample_shape

    @property
    def mean(self) -> Tensor:
        """Over all draws, shape (..., q, m)."""
        return self._means.mean(-3)

    def rsample(self, sample_shape: Any = None) -> Tensor:
        """Return samples of shape (s, ..., q, m), s a multiple of k."""
        shape = self._extended_shape(torch.Size([self._means.shape[-3]]) if sample_shape is None else sample_shape)
        return self.rsample_from_base_samples(shape[:1], torch.randn(shape, dtype=self.dtype))

    def rsample_from_base_samples(self, sample_shape: Any, base_samples: Tensor) -> Tensor:
        """Return samples of shape (s, ..., q, m) from as many normal numbers, s a multiple of k."""
        count, k = base_samples.shape[0], self._means.shape[-3]
        normal = base_samples.expand(self._extended_shape([count])).mT
        # each draw takes samples that follow each other: of a Sobol sequence, these fill the space as well
        normal = normal.reshape(k, count // k, *normal.shape[1:]).movedim(0, -3)
        found = (root_of(self._covariances) @ normal[..., None])[..., 0].mT + self._means
        return found.movedim(-3, 0).reshape(self._extended_shape([count]))


@GetSampler.register(Expected)  # type: ignore[untyped-decorator]  # BoTorch is untyped here
def _sampler(posterior: Expected, sample_shape: Any, *, seed: int | None = None) -> Any:
    return SobolQMCNormalSampler(sample_shape=sample_shape, seed=seed)


class Together(Model):  # type: ignore[misc]  # BoTorch is untyped here
    """All metrics, independent of each other.

    Args:
        surrogates: One for each metric.
    """

    def __init__(self, surrogates: Sequence[Surrogate]) -> None:
        """Keep them."""
        super().__init__()
        self._surrogates = tuple(surrogates)

    @property
    def num_outputs(self) -> int:
        """How many metrics there are."""
        return len(self._surrogates)

    @property
    def batch_shape(self) -> Any:
        """It is one model."""
        return torch.Size()

    def posterior(self, X: Tensor, *_: Any, posterior_transform: Any = None, **__: Any) -> Any:
        """Return what is expected of points of shape (..., q, d)."""
        means, covariances = zip(*(each.joint(X) for each in self._surrogates), strict=True)
        found = Expected(torch.stack(means, -1), torch.stack(covariances, -3))
        return found if posterior_transform is None else posterior_transform(found)

    def beside(self, others: Tensor, normal: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what gives samples of single points that go with samples of other points.

        Args:
            others: Points, shape (n, d).
            normal: Normal numbers of theirs and of one point more, shape (s, n + 1, m).

        Returns:
            A function from points of shape (b, 1, d) to samples of shape (s, b, 1, m).
        """
        sources = [each.beside(others, normal[..., at]) for at, each in enumerate(self._surrogates)]
        return lambda x: torch.stack([source(x) for source in sources], -1)
