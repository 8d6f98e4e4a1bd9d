# SPDX-License-Identifier: Apache-2.0
"""Intervals against published values, and the rule of the check rows."""

import numpy as np
import pytest

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation import statistics


def test_wilson_and_clopper_pearson_have_their_textbook_values():
    assert statistics.rate_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    exact = statistics.rate_interval(8, 10, method='exact')
    assert exact == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert statistics.rate_interval(0, 0) is None


def test_rate_interval_covers_the_true_rate():
    rng = np.random.default_rng(0)
    counts, times = np.unique(rng.binomial(40, 0.9, 2000), return_counts=True)
    covered = [low <= 0.9 <= high for low, high in
               (statistics.rate_interval(int(k), 40, method='exact') for k in counts)]
    assert np.average(covered, weights=times) > 0.94


def test_count_interval_is_garwoods():
    assert statistics.count_interval(0) == pytest.approx((0.0, 3.6889), abs=1e-4)
    assert statistics.count_interval(3) == pytest.approx((0.6187, 8.7673), abs=1e-4)


def test_standard_error_of_a_rate():
    assert statistics.standard_error(90, 100) == pytest.approx(0.03)
    assert statistics.standard_error(0, 0) == 0.0


def test_counts_that_are_no_share_are_refused():
    with pytest.raises(ConfigurationError, match='counts of a rate'):
        statistics.rate_interval(5, 4)
    with pytest.raises(ConfigurationError, match='negative'):
        statistics.count_interval(-1)


@pytest.mark.parametrize(('successes', 'n', 'ok'), [
    (90, 100, True), (89, 100, False),      # enough episodes: the point decides
    (8, 10, True),                          # 0.80 < 0.90, but the interval reaches to 0.94
    (4, 10, False),                         # the whole interval is below 0.90
])
def test_rate_check_below_n_fails_only_with_its_whole_interval(successes, n, ok):
    check = statistics.rate_check('x', successes, n, at_least=0.9, decisive=n >= 100)
    assert check.ok is ok
    assert check.value == successes / n


def test_rate_check_without_bound_or_episodes_judges_nothing():
    assert statistics.rate_check('x', 1, 2, at_least=None, decisive=True).ok is None
    assert statistics.rate_check('x', 0, 0, at_least=0.9, decisive=True).ok is None


def test_one_contact_fails_however_few_the_episodes():
    assert statistics.count_check('c', 0, 3, at_most=0, decisive=False).ok is True
    assert statistics.count_check('c', 1, 3, at_most=0, decisive=False).ok is False


def test_percentile_interval_brackets_the_true_quantile():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        value, (low, high) = statistics.percentile_interval(rng.random(500), 90.0)
        assert low <= value <= high
        hits += low <= 0.9 <= high
    assert hits >= 180
    assert statistics.percentile_interval(np.array([]), 99.0) is None


def test_ratio_check_reports_without_judging():
    reference = np.array([1.0, 2.0, 3.0, 4.0])
    check = statistics.ratio_check('r', 1.5 * reference, reference)
    assert check.value == pytest.approx(1.5) and check.ok is None and check.bound is None
    assert check.ci95 == pytest.approx((1.5, 1.5))
    assert statistics.ratio_check('r', np.array([]), np.array([])).value is None


def test_failed_names_lists_failures_and_missing_once():
    checks = [statistics.Check('a', 1.0, 0.0, False, 3, None),
              statistics.Check('b', None, None, None, 0, None)]
    assert statistics.failed_names(checks, ['a', 'b', 'c']) == ['a', 'c']
