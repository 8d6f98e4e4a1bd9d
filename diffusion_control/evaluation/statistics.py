# SPDX-License-Identifier: Apache-2.0
"""Rates with their uncertainty, and the check rows that every result carries.

A check decides by its point value when it has at least as many episodes as the bound asks for;
with fewer it fails only if its whole 95 % interval lies on the wrong side of the bound, so that
a short run neither passes by luck for certain nor fails by bad luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
Interval = tuple[float, float]
CONFIDENCE = 0.95
BOOTSTRAP_RESAMPLES = 2000


@dataclass(frozen=True)
class Check:
    """One judged number of a result.

    Attributes:
        name: What was measured.
        value: The number; None where this run could not measure it.
        bound: What it was held against; None where nothing is asked.
        ok: True, False, or None where the run cannot judge it or nothing is asked.
        n: Episodes (or samples) behind the value.
        ci95: 95 % confidence interval of the value; None where there is none.
    """

    name: str
    value: float | None
    bound: float | None
    ok: bool | None
    n: int
    ci95: Interval | None

    def row(self) -> dict[str, Any]:
        """Return the check as a mapping for JSON."""
        return asdict(self)


def standard_error(successes: int, n: int) -> float:
    """Return the standard error of the mean of n yes-or-no outcomes, sqrt(p (1 - p) / n)."""
    _check_counts(successes, n)
    if n == 0:
        return 0.0
    rate = successes / n
    return float(np.sqrt(rate * (1.0 - rate) / n))


def rate_interval(
    successes: int, n: int, *, method: Literal['wilson', 'exact'] = 'wilson'
) -> Interval | None:
    """Return the 95 % interval of a rate.

    `wilson` inverts the score test |k/n - p| <= z sqrt(p (1 - p) / n): its coverage is near
    95 % on average. `exact` inverts both binomial tails: never below 95 %.
    Sources: E. B. Wilson, J. Am. Stat. Assoc. 22, 1927; C. J. Clopper and E. S. Pearson,
    Biometrika 26, 1934.

    Args:
        successes: Number of yes among n, k.
        n: Number of outcomes; the result is None for 0.
        method: Which interval.
    """
    _check_counts(successes, n)
    if n == 0:
        return None
    interval = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method=method)
    return float(interval.low), float(interval.high)


def count_interval(count: int) -> Interval:
    """Return the exact 95 % interval of the mean of a Poisson count.

    Low end chi2(alpha/2; 2 k) / 2, high end chi2(1 - alpha/2; 2 k + 2) / 2.
    Source: F. Garwood, Biometrika 28, 1936.
    """
    if count < 0:
        raise ConfigurationError('a count is negative', where='count_interval', value=count,
                                 allowed='>= 0')
    tail = (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if count == 0 else float(stats.chi2.ppf(tail, 2 * count)) / 2.0
    return low, float(stats.chi2.ppf(1.0 - tail, 2 * count + 2)) / 2.0


def percentile_interval(samples: Array, percentile: float) -> tuple[float, Interval] | None:
    """Return a percentile and its 95 % interval from order statistics.

    The number of samples below the p-quantile is binomial(n, p), so two order statistics bracket
    it; where n is too small to bracket it, the extreme sample stands in.

    Args:
        samples: Shape [n].
        percentile: In (0, 100).

    Returns:
        The value and its interval; None without samples.
    """
    count = len(samples)
    if count == 0:
        return None
    ordered, share = np.sort(samples), percentile / 100.0
    tail = (1.0 - CONFIDENCE) / 2.0
    low = int(np.clip(stats.binom.ppf(tail, count, share) - 1, 0, count - 1))
    high = int(np.clip(stats.binom.ppf(1.0 - tail, count, share), 0, count - 1))
    value = float(np.percentile(ordered, percentile))
    return value, (min(float(ordered[low]), value), max(float(ordered[high]), value))


def rate_check(
    name: str, successes: int, n: int, *, at_least: float | None, decisive: bool
) -> Check:
    """Return the check that a rate is at least a bound.

    Args:
        name: Name of the check.
        successes: Number of yes.
        n: Number of outcomes; 0 cannot be judged.
        at_least: The bound; None judges nothing.
        decisive: There are as many episodes as the bound asks for: the point value decides.
    """
    interval = rate_interval(successes, n)
    if n == 0 or interval is None:
        return Check(name, None, at_least, None, 0, None)
    value = successes / n
    if at_least is None:
        return Check(name, value, None, None, n, interval)
    judged = value if decisive else interval[1]
    return Check(name, value, at_least, bool(judged >= at_least), n, interval)


def count_check(name: str, count: int, n: int, *, at_most: int, decisive: bool) -> Check:
    """Return the check that a count over n episodes is at most a bound; as `rate_check`."""
    if n == 0:
        return Check(name, None, float(at_most), None, 0, None)
    interval = count_interval(count)
    judged = float(count) if decisive else interval[0]
    return Check(name, float(count), float(at_most), bool(judged <= at_most), n, interval)


def percentile_check(name: str, samples: Array, percentile: float) -> Check:
    """Return a percentile as a row that judges nothing."""
    result = percentile_interval(samples, percentile)
    if result is None:
        return Check(name, None, None, None, 0, None)
    return Check(name, result[0], None, None, len(samples), result[1])


def ratio_check(
    name: str, values: Array, references: Array, *, at_most: float | None = None,
    decisive: bool = False,
) -> Check:
    """Return the check that the ratio of the means of paired values is at most a bound.

    value = mean(values) / mean(references); its interval is the percentile bootstrap over the
    pairs with a fixed seed. Source: B. Efron, Annals of Statistics 7, 1979.

    Args:
        name: Name of the check.
        values: Shape [n].
        references: Of the same episodes, shape [n].
        at_most: The bound; None judges nothing.
        decisive: As for `rate_check`.
    """
    count = len(values)
    if count == 0:
        return Check(name, None, at_most, None, 0, None)
    ratio = float(values.mean() / references.mean())
    if count < 2:
        return Check(name, ratio, at_most, None, count, None)
    picks = np.random.default_rng(0).integers(0, count, (BOOTSTRAP_RESAMPLES, count))
    ratios = values[picks].mean(axis=1) / references[picks].mean(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    judged = ratio if decisive else float(low)
    ok = None if at_most is None else bool(judged <= at_most)
    return Check(name, ratio, at_most, ok, count, (float(low), float(high)))


def mean_check(
    name: str, groups: Sequence[Array], *, above: float | None = None, decisive: bool = False
) -> Check:
    """Return the check that the mean of the means of groups is above a bound.

    value = mean_g(mean(x_g)); its interval is value +- z sqrt(sum_g var(x_g) / n_g) / G.

    Args:
        name: Name of the check.
        groups: Samples of each of G groups, shapes [n_g].
        above: The bound; None judges nothing.
        decisive: As for `rate_check`.
    """
    count = sum(len(group) for group in groups)
    if not groups or min(len(group) for group in groups) == 0:
        return Check(name, None, above, None, 0, None)
    value = float(np.mean([group.mean() for group in groups]))
    interval = None
    if min(len(group) for group in groups) > 1:
        spread = float(stats.norm.ppf(0.5 + CONFIDENCE / 2.0)) * mean_error(groups)
        interval = (value - spread, value + spread)
    judged = value if decisive or interval is None else interval[1]
    ok = None if above is None else bool(judged > above)
    return Check(name, value, above, ok, count, interval)


def mean_error(groups: Sequence[Array]) -> float:
    """Return the standard error of the mean of the means of groups, shapes [n_g]; 0 for n = 1."""
    parts = [group.var(ddof=1) / len(group) for group in groups if len(group) > 1]
    return float(np.sqrt(sum(parts))) / max(len(groups), 1)


def failed_names(checks: Sequence[Check], required: Sequence[str]) -> list[str]:
    """Return the names of checks that are not ok, and of required checks that are missing."""
    present = {check.name for check in checks}
    bad = [check.name for check in checks if check.ok is False]
    return list(dict.fromkeys(bad + [name for name in required if name not in present]))


def _check_counts(successes: int, n: int) -> None:
    """Refuse counts that are no share."""
    if not 0 <= successes <= n:
        raise ConfigurationError(
            'counts of a rate do not agree', where='statistics', value=(successes, n),
            allowed='0 <= successes <= n')
