"""Star flat: the camera's response to stars over its response to the dome screen, from dithered images of one field.

Each star is measured at many places of the focal plane. With m_se the instrumental magnitude of star s on exposure e,

    m_se = M_s + Z_e + P_ccd(x, y),

P is wanted, M and Z are by-products. P is a net of nodes on each CCD, interpolated linearly, so that it follows
the dome's pupil ghost, which no polynomial of a few terms does; a weak prior on second differences keeps it smooth where
stars are few. A plane across the whole focal plane would be one with a gradient of M over the sky; it is constrained by
the zero points, which are one but for extinction on a photometric night, and by reference magnitudes where there are some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from desdm.errors import ProgramFailed

__all__ = ["Measured", "Net", "StarFlat", "fit_starflat"]

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
#: CCD number of a reference magnitude, which no CCD measured.
REFERENCE = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements, arrays of one length.

    Attributes
    ----------
    star, exposure
        Numbers from 0.
    ccdnum
        CCD that measured it; `REFERENCE` for a magnitude of a reference catalogue, which counts as an exposure of its own.
    x, y
        FITS pixel coordinates.
    mag, error
        Instrumental magnitude, free of exposure time and extinction, and its error.
    """

    star: I8
    exposure: I8
    ccdnum: I8
    x: F8
    y: F8
    mag: F8
    error: F8

    def __len__(self) -> int:
        return len(self.star)


@dataclass(frozen=True, slots=True)
class Net:
    """Nodes over a CCD of (ny, nx) pixels, at most ``step`` pixels apart, the first and last at its edges."""

    shape: tuple[int, int]
    step: float

    @property
    def nodes(self) -> tuple[int, int]:
        """(rows, columns) of nodes."""
        return tuple(max(2, int(np.ceil(n / self.step)) + 1) for n in self.shape)  # type: ignore[return-value]

    def weights(self, x: F8, y: F8) -> tuple[I8, F8]:
        """Numbers of the four nodes about each position and their weights, shapes (n, 4)."""
        my, mx = self.nodes
        u = np.clip((x - 0.5) / self.shape[1], 0.0, 1.0) * (mx - 1)
        v = np.clip((y - 0.5) / self.shape[0], 0.0, 1.0) * (my - 1)
        i, j = np.minimum(u.astype(int), mx - 2), np.minimum(v.astype(int), my - 2)
        fu, fv = u - i, v - j
        numbers = np.stack([j * mx + i, j * mx + i + 1, (j + 1) * mx + i, (j + 1) * mx + i + 1], axis=1)
        parts = np.stack([(1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv], axis=1)
        return numbers, parts

    def image(self, values: F8) -> npt.NDArray[np.float32]:
        """The net's values (rows, columns of nodes) interpolated to every pixel."""
        ny, nx = self.shape
        my, mx = self.nodes
        u, v = (np.arange(nx) + 0.5) / nx * (mx - 1), (np.arange(ny) + 0.5) / ny * (my - 1)
        i, j = np.minimum(u.astype(int), mx - 2), np.minimum(v.astype(int), my - 2)
        along = values[:, i] * (1 - (u - i)) + values[:, i + 1] * (u - i)
        out: npt.NDArray[np.float32] = (
            along[j] * (1 - (v - j))[:, None] + along[j + 1] * (v - j)[:, None]
        ).astype(np.float32)
        return out


@dataclass(frozen=True, slots=True)
class StarFlat:
    """The fit.

    Attributes
    ----------
    net
        Nodes of every CCD.
    response
        CCD number → star flat at the nodes (what an image is divided by), mean 1 over the focal plane.
    zeropoint
        Z of each exposure, mag.
    rms
        Scatter of the inliers about the fit, mag.
    chi2
        Per degree of freedom.
    used, clipped
        Numbers of measurements used and rejected.
    """

    net: Net
    response: Mapping[int, F8]
    zeropoint: F8
    rms: float
    chi2: float
    used: int
    clipped: int


def fit_starflat(
    measured: Measured,
    net: Net,
    *,
    zeropoint_prior: float = 0.002,
    curvature: float = 0.004,
    amplitude: float = 0.1,
    floor: float = 0.002,
    nsigma: float = 5.0,
    rounds: int = 4,
) -> StarFlat:
    """Fit the star flat.

    Parameters
    ----------
    measured
        Stars measured at least twice count; the others say nothing.
    net
        Nodes of the response.
    zeropoint_prior
        Scatter of the exposures' zero points, mag: how photometric the night was.
    curvature
        Expected second difference of the response between neighbouring nodes, mag.
    amplitude
        Expected size of the response, mag; it keeps nodes without stars in bounds.
    floor
        Error added to each measurement, mag.

    Raises
    ------
    ProgramFailed
        Fewer measurements than unknowns.
    """
    ccds = sorted({int(c) for c in np.unique(measured.ccdnum) if c != REFERENCE})
    problem = _Problem(measured, net, ccds)
    prior = problem.prior(zeropoint_prior, curvature, amplitude)
    sigma = np.hypot(measured.error, floor)
    valid = np.isfinite(measured.mag) & np.isfinite(sigma) & problem.repeated(np.isfinite(measured.mag))
    for _ in range(rounds):
        if valid.sum() < 3 * len(ccds) * 4:
            raise ProgramFailed(
                f"star flat: {int(valid.sum())} repeated measurements on {len(ccds)} CCDs are too few"
            )
        solution, residual = problem.solve(valid, sigma, prior)
        pull = residual / sigma
        width = max(1.4826 * float(np.median(np.abs(pull[valid]))), 0.1)
        new = problem.repeated(np.abs(pull) <= nsigma * width) & np.isfinite(measured.mag)
        if np.array_equal(new, valid):
            break
        valid = new
    unknowns = len(np.unique(measured.star[valid])) + problem.size
    freedom = max(int(valid.sum()) - unknowns, 1)
    maps = problem.maps(solution)
    mean = float(np.mean([_area_mean(10.0 ** (-0.4 * m)) for m in maps.values()]))
    return StarFlat(
        net,
        {c: 10.0 ** (-0.4 * m) / mean for c, m in maps.items()},
        solution[: problem.exposures],
        float(np.sqrt(np.mean(residual[valid] ** 2))),
        float(np.sum(pull[valid] ** 2)) / freedom,
        int(valid.sum()),
        int(len(measured) - valid.sum()),
    )


def _area_mean(nodes: F8) -> float:
    """Return the mean of a bilinear surface of nodes: those at the rim count half, corners a quarter."""
    # Trapezoids: nodes on the rim stand for half a cell.
    rows, columns = np.ones(nodes.shape[0]), np.ones(nodes.shape[1])
    rows[[0, -1]] = columns[[0, -1]] = 0.5
    return float(np.average(nodes, weights=np.outer(rows, columns)))


class _Problem:
    """The normal equations, stars eliminated: only zero points and nodes are left, however many stars there are."""

    def __init__(self, measured: Measured, net: Net, ccds: list[int]) -> None:
        self.measured, self.net, self.ccds = measured, net, ccds
        self.exposures = int(measured.exposure.max()) + 1
        self.stars = int(measured.star.max()) + 1
        self.per_ccd = net.nodes[0] * net.nodes[1]
        self.size = self.exposures + len(ccds) * self.per_ccd
        n = len(measured)
        numbers, parts = net.weights(measured.x, measured.y)
        which = np.searchsorted(ccds, measured.ccdnum)
        real = measured.ccdnum != REFERENCE
        columns = np.column_stack(
            [
                measured.exposure,
                np.where(real[:, None], self.exposures + which[:, None] * self.per_ccd + numbers, 0),
            ]
        )
        values = np.column_stack([np.ones(n), np.where(real[:, None], parts, 0.0)])
        self.design = csr_matrix(
            (values.ravel(), columns.ravel(), np.arange(0, 5 * n + 1, 5)), shape=(n, self.size)
        )
        self.members = csr_matrix((np.ones(n), (measured.star, np.arange(n))), shape=(self.stars, n))
        #: exposures that are a reference catalogue: their zero point is free
        self.free = np.unique(measured.exposure[~real])

    def repeated(self, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Select, of the valid measurements, those of stars with two or more."""
        count = np.bincount(self.measured.star[valid], minlength=self.stars)
        out: npt.NDArray[np.bool_] = valid & (count[self.measured.star] > 1)
        return out

    def prior(self, zeropoint: float, curvature: float, amplitude: float) -> F8:
        """Return the inverse covariance of the parameters before any measurement, mag⁻²."""
        matrix = np.zeros((self.size, self.size))
        points = np.full(self.exposures, zeropoint**-2)
        points[self.free] = 1e-6
        matrix[np.arange(self.exposures), np.arange(self.exposures)] = points
        rows, columns = self.net.nodes
        second = np.zeros((self.per_ccd, self.per_ccd))
        number = np.arange(self.per_ccd).reshape(rows, columns)
        triples = [
            *zip(number[:-2].ravel(), number[1:-1].ravel(), number[2:].ravel(), strict=True),
            *zip(number[:, :-2].ravel(), number[:, 1:-1].ravel(), number[:, 2:].ravel(), strict=True),
        ]
        for triple in triples:
            second[np.ix_(triple, triple)] += np.outer([1, -2, 1], [1, -2, 1]) / curvature**2
        second += np.eye(self.per_ccd) / amplitude**2
        for i in range(len(self.ccds)):
            block = slice(self.exposures + i * self.per_ccd, self.exposures + (i + 1) * self.per_ccd)
            matrix[block, block] += second
        return matrix

    def solve(self, valid: npt.NDArray[np.bool_], sigma: F8, prior: F8) -> tuple[F8, F8]:
        """Zero points and nodes, and the residual of every measurement, mag.

        Parameters
        ----------
        valid
            (n,) true for measurements that count.
        sigma
            (n,) their errors, mag.
        prior
            Inverse covariance of the parameters, mag⁻².

        Returns
        -------
        tuple of numpy.ndarray
            Parameters (zero points, then nodes of each CCD), and residuals (n,), mag.
        """
        m = self.measured
        w = np.where(valid, sigma**-2, 0.0)
        mag = np.where(np.isfinite(m.mag), m.mag, 0.0)
        # The mean magnitude is taken out first, so that the prior on zero points does not pull at 25 mag.
        mag = mag - self._level(mag, w)
        weighted = self.design.multiply(w[:, None]).tocsr()
        cross = (self.members @ weighted).tocsr()
        total = np.asarray(self.members @ w)
        share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
        normal = np.asarray((self.design.T @ weighted).todense())
        normal -= np.asarray((cross.T @ cross.multiply(share[:, None])).todense())
        sums = np.asarray(self.members @ (w * mag))
        right = np.asarray(weighted.T @ mag) - np.asarray(cross.T @ (sums * share))
        solution = np.asarray(cho_solve(cho_factor(normal + prior), right))
        rest = mag - np.asarray(self.design @ solution)
        stars = np.asarray(self.members @ (w * rest)) * share
        return solution, rest - stars[m.star]

    def _level(self, mag: F8, w: F8) -> F8:
        """Return the weighted mean magnitude of each measurement's star."""
        sums = np.bincount(self.measured.star, w * mag, self.stars)
        total = np.bincount(self.measured.star, w, self.stars)
        out: F8 = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)[self.measured.star]
        return out

    def maps(self, solution: F8) -> dict[int, F8]:
        """Nodes of each CCD, mag."""
        nodes = solution[self.exposures :].reshape(len(self.ccds), *self.net.nodes)
        return {c: nodes[i] for i, c in enumerate(self.ccds)}
