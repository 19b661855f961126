"""The Universal Scalability Law, fitted to measured throughput. Pure.

N. J. Gunther, *Guerrilla Capacity Planning*, Springer 2007, chapter 4: the throughput of N that work is

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))

lambda: of one alone; sigma (contention): the share of the work that all must do in turn; kappa (crosstalk):
what each pair costs to agree. With kappa above 0 throughput has a peak, at the square root of
(1 - sigma) / kappa, and falls after it.
"""

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.errors import BadInput

LEAST_SIZES: Final = 3
"""Different N that a fit needs: it has three parameters."""
_ROUNDS: Final = 200
_DAMPING: Final = (1e-12, 1e-3, 1e12)
"""The least, the first and the most."""

Points: TypeAlias = Sequence[tuple[float, float]]
"""N and throughput."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The law with its parameters. ``sizes``: different N that it was fitted to; ``largest``: of them;
    ``error``: root mean square of the relative residuals, and ``r_squared``, are None for fewer than four
    sizes: three parameters fit three points whatever they are.
    """

    lambda_: float = msgspec.field(name="lambda")
    sigma: float
    kappa: float
    sizes: int
    largest: float
    error: float | None = None
    r_squared: float | None = None

    @property
    def peak(self) -> float | None:
        """N with the highest throughput; None if there is none."""
        if self.kappa == 0:
            return None
        return max(1.0, math.sqrt(max(0.0, 1 - self.sigma) / self.kappa))

    def throughput(self, n: float) -> float:
        """X(N), in the unit of the points."""
        return self.lambda_ * n / (1 + self.sigma * (n - 1) + self.kappa * n * (n - 1))

    def extrapolated(self, n: float) -> bool:
        """Whether N is beyond all that was measured."""
        return n > self.largest


def fit(points: Points) -> Fit:
    """The parameters with the least sum of squares of relative residuals; sigma and kappa are not negative.

    Raises ``BadInput`` if there are fewer than three different N, or a value that is not positive.
    """
    if any(not (math.isfinite(value) and value > 0) for point in points for value in point):
        raise BadInput("a fit needs numbers of workers and throughputs above 0")
    sizes = sorted({n for n, _ in points})
    if len(sizes) < LEAST_SIZES:
        raise BadInput(
            f"a fit needs {LEAST_SIZES} different numbers of workers; there are {len(sizes)}: "
            f"{', '.join(f'{n:g}' for n in sizes) or 'none'}"
        )
    # N / X(N) = a + b (N - 1) + c N (N - 1) is linear in a = 1/lambda, b = sigma/lambda, c = kappa/lambda.
    # Columns are scaled, so that large N do not make the equations lose digits.
    rows = [(1.0, n - 1, n * (n - 1)) for n, _ in points]
    scales = [max(row[at] for row in rows) for at in range(3)]
    scaled = [[value / scale for value, scale in zip(row, scales, strict=True)] for row in rows]
    inverse = [n / x for n, x in points]
    best = min(
        (
            found
            for free in ((0, 1, 2), (0, 1), (0, 2), (0,))
            if (found := _least(scaled, inverse, free)) is not None
        ),
        key=lambda found: found[0],
    )
    a, b, c = (value / scale for value, scale in zip(best[1], scales, strict=True))
    result = Fit(lambda_=1 / a, sigma=b / a, kappa=c / a, sizes=len(sizes), largest=sizes[-1])
    if len(sizes) == LEAST_SIZES:
        return result
    return msgspec.structs.replace(
        result, error=math.sqrt(best[0] / len(points)), r_squared=_r_squared(result, points)
    )


def _r_squared(result: Fit, points: Points) -> float:
    mean = sum(x for _, x in points) / len(points)
    scatter = sum((x - mean) ** 2 for _, x in points)
    left = sum((x - result.throughput(n)) ** 2 for n, x in points)
    return 1 - left / scatter if scatter else 1.0


def _least(
    rows: Sequence[Sequence[float]], inverse: Sequence[float], free: tuple[int, ...]
) -> tuple[float, list[float]] | None:
    """Sum of squares and a, b, c (those not in ``free`` are 0) of the best fit; None if one is negative.

    Levenberg's method on the residuals y/p - 1, which are X(N)/x - 1, begun at the solution of the linear
    problem.
    """
    columns = [[row[at] for at in free] for row in rows]
    values = _solve(columns, inverse, [1 / y for y in inverse])
    if values is None or math.isinf(_squares(columns, inverse, values)):
        values = [sum(inverse) / len(inverse), *(0.0 for _ in free[1:])]
    squares = _squares(columns, inverse, values)
    least, damping, most = _DAMPING
    for _ in range(_ROUNDS):
        if damping > most:
            break
        predicted = [_dot(row, values) for row in columns]
        weights = [y / p**2 for y, p in zip(inverse, predicted, strict=True)]
        # The step solves weight * (row · step) = residual in the least squares.
        residuals = [(y / p - 1) / w for y, p, w in zip(inverse, predicted, weights, strict=True)]
        step = _solve(columns, residuals, weights, damping)
        tried = [one + more for one, more in zip(values, step or (0.0 for _ in free), strict=True)]
        after = _squares(columns, inverse, tried)
        if after >= squares:
            damping *= 10
            continue
        values, squares, damping = tried, after, max(least, damping / 10)
    if any(value < 0 for value in values) or values[0] == 0:
        return None
    parameters = [0.0, 0.0, 0.0]
    for at, value in zip(free, values, strict=True):
        parameters[at] = value
    return squares, parameters


def _squares(columns: Sequence[Sequence[float]], inverse: Sequence[float], values: Sequence[float]) -> float:
    """Sum of squares of the relative residuals; infinite where the law has a pole or less than nothing."""
    predicted = [_dot(row, values) for row in columns]
    if min(predicted) <= 0:
        return math.inf
    return sum((y / p - 1) ** 2 for y, p in zip(inverse, predicted, strict=True))


def _dot(row: Sequence[float], values: Sequence[float]) -> float:
    return sum(one * other for one, other in zip(row, values, strict=True))


def _solve(
    columns: Sequence[Sequence[float]],
    wanted: Sequence[float],
    weights: Sequence[float],
    damping: float = 0.0,
) -> list[float] | None:
    """Weighted linear least squares by the normal equations; None if they have no single solution."""
    size = len(columns[0])
    matrix = [
        [sum(w * w * row[i] * row[j] for row, w in zip(columns, weights, strict=True)) for j in range(size)]
        for i in range(size)
    ]
    right = [
        sum(w * w * row[i] * y for row, y, w in zip(columns, wanted, weights, strict=True))
        for i in range(size)
    ]
    for i in range(size):
        matrix[i][i] *= 1 + damping
    return _eliminated(matrix, right)


def _eliminated(matrix: list[list[float]], right: list[float]) -> list[float] | None:
    """Gauss' elimination with pivots; changes both."""
    size = len(right)
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(matrix[row][at]))
        if matrix[pivot][at] == 0:
            return None
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        right[at], right[pivot] = right[pivot], right[at]
        for row in range(at + 1, size):
            factor = matrix[row][at] / matrix[at][at]
            matrix[row] = [one - factor * other for one, other in zip(matrix[row], matrix[at], strict=True)]
            right[row] -= factor * right[at]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = sum(matrix[at][other] * found[other] for other in range(at + 1, size))
        found[at] = (right[at] - known) / matrix[at][at]
    return found
