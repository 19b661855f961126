"""The Universal Scalability Law: what was put in comes out again, and a point kept back is foretold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.capacity.usl import Fit, fit
from mvm_ci.domain.errors import BadInput

SIZES = (1, 2, 5, 10, 20, 50, 100)

laws = st.builds(
    Fit,
    lambda_=st.floats(0.1, 20_000),
    sigma=st.one_of(st.just(0.0), st.floats(1e-4, 0.9)),
    kappa=st.one_of(st.just(0.0), st.floats(1e-6, 0.05)),
    sizes=st.just(7),
    largest=st.just(100.0),
)


def points(
    law: Fit, sizes: tuple[int, ...] = SIZES, noise: float = 0.0, seed: int = 0
) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    return [(n, law.throughput(n) * (1 + chance.uniform(-noise, noise))) for n in sizes]


@settings(deadline=None)
@given(laws)
def test_parameters_come_back_exactly_without_noise(law: Fit) -> None:
    found = fit(points(law))
    assert found.lambda_ == pytest.approx(law.lambda_, rel=1e-6)
    assert found.sigma == pytest.approx(law.sigma, rel=1e-5, abs=1e-7)
    assert found.kappa == pytest.approx(law.kappa, rel=1e-5, abs=1e-8)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert (found.sizes, found.largest) == (7, 100)


@settings(deadline=None)
@given(laws, st.integers(0, 1000))
def test_with_noise_of_five_percent_the_curve_is_close_and_nothing_is_negative(law: Fit, seed: int) -> None:
    found = fit(points(law, noise=0.05, seed=seed))
    assert found.sigma >= 0
    assert found.kappa >= 0
    assert found.error is not None
    assert found.error <= 0.05
    for n in SIZES:
        assert found.throughput(n) == pytest.approx(law.throughput(n), rel=0.12)


@settings(deadline=None)
@given(laws, st.integers(0, 1000))
def test_no_other_parameters_nearby_are_better(law: Fit, seed: int) -> None:
    measured = points(law, noise=0.05, seed=seed)
    found = fit(measured)

    def squares(lambda_: float, sigma: float, kappa: float) -> float:
        other = Fit(lambda_=lambda_, sigma=sigma, kappa=kappa, sizes=7, largest=100)
        return sum((other.throughput(n) / x - 1) ** 2 for n, x in measured)

    least = squares(found.lambda_, found.sigma, found.kappa)
    for factor in (0.99, 1.01):
        assert squares(found.lambda_ * factor, found.sigma, found.kappa) >= least * (1 - 1e-9)
        assert squares(found.lambda_, found.sigma * factor, found.kappa) >= least * (1 - 1e-9)
        assert squares(found.lambda_, found.sigma, found.kappa * factor) >= least * (1 - 1e-9)
    assert squares(found.lambda_, found.sigma + 1e-3, found.kappa) >= least * (1 - 1e-9)
    assert squares(found.lambda_, found.sigma, found.kappa + 1e-5) >= least * (1 - 1e-9)


@settings(deadline=None)
@given(laws, st.sampled_from(SIZES[2:]))
def test_a_point_that_was_kept_back_is_foretold(law: Fit, kept: int) -> None:
    found = fit(points(law, tuple(n for n in SIZES if n != kept)))
    assert found.throughput(kept) == pytest.approx(law.throughput(kept), rel=1e-3)
    assert found.extrapolated(kept) == (kept == max(SIZES))


def test_the_peak_is_where_the_law_has_it() -> None:
    law = Fit(lambda_=100, sigma=0.19, kappa=0.0001, sizes=7, largest=100)
    assert law.peak == pytest.approx(90)
    assert law.throughput(90) > max(law.throughput(80), law.throughput(100))
    assert Fit(lambda_=100, sigma=0.19, kappa=0, sizes=7, largest=100).peak is None
    assert Fit(lambda_=100, sigma=1.5, kappa=0.1, sizes=7, largest=100).peak == 1


def test_what_gets_slower_with_every_worker_is_fitted_too() -> None:
    found = fit([(1, 7707), (2, 6498), (5, 5863), (10, 4485)])
    assert found.sigma > 0.9
    assert found.error is not None
    assert found.error < 0.06
    assert found.r_squared is not None
    assert found.r_squared > 0.9


def test_three_sizes_are_fitted_and_say_nothing_of_the_error() -> None:
    found = fit([(1, 10), (2, 19), (2, 19), (4, 35)])
    assert (found.error, found.r_squared, found.sizes) == (None, None, 3)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ([], "there are 0: none"),
        ([(1, 10), (2, 19), (2, 20)], "there are 2: 1, 2"),
        ([(1, 10), (2, 0), (3, 20)], "above 0"),
        ([(1, 10), (2, -1), (3, 20)], "above 0"),
        ([(1, 10), (2, float("nan")), (3, 20)], "above 0"),
        ([(0, 10), (2, 1), (3, 20)], "above 0"),
    ],
)
def test_too_little_is_refused(measured: list[tuple[float, float]], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        fit(measured)
