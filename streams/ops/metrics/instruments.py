"""Counters and histograms that cost a fraction of a microsecond: one thread writes them, and nothing is locked.

prometheus_client's own take a lock and a linear search for each value; what a worker counts for each scene may not.
Families and their exposition are prometheus_client's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Labels = tuple[str, ...]
# Of what `exposition` gives.
CONTENT_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


class Tally:
    """A counter by labels; those in `known` are shown from the start, so that their first increase is seen."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = (), known: Iterable[Labels] = ((),)) -> None:
        self._name = name
        self._about = about
        self._labels = labels
        self._counts: dict[Labels, float] = dict.fromkeys(known, 0.0)

    def add(self, labels: Labels = (), amount: float = 1.0) -> None:
        """Count so many more."""
        self._counts[labels] = self._counts.get(labels, 0.0) + amount

    def family(self) -> CounterMetricFamily:
        """Return it as it stands."""
        return counter(self._name, self._about, self._labels, self._counts)


class Series:
    """The values of one histogram with one set of labels."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value; what is below 0 counts as 0, for a histogram's sum may not fall."""
        value = max(value, 0.0)
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Spread:
    """A histogram by labels: how many values were at most each bound."""

    def __init__(
        self, name: str, about: str, bounds: Sequence[float], labels: Sequence[str] = (), known: Iterable[Labels] = ()
    ) -> None:
        self._name = name
        self._about = about
        self._bounds = bounds
        self._labels = labels
        self._series = {one: Series(bounds) for one in known}

    def at(self, labels: Labels = ()) -> Series:
        """Return the series to tell values to."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series(self._bounds)
        return series

    def family(self) -> HistogramMetricFamily:
        """Return it as it stands."""
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for labels, series in self._series.items():
            reached, buckets = 0, []
            for bound, count in zip((*self._bounds, "+Inf"), series.counts, strict=True):
                reached += count
                buckets.append((str(bound), float(reached)))
            family.add_metric(labels, buckets, series.total)
        return family


def counter(name: str, about: str, labels: Sequence[str], counts: Mapping[Labels, float]) -> CounterMetricFamily:
    """Return a counter by labels."""
    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def gauge(name: str, about: str, labels: Sequence[str], values: Mapping[Labels, float]) -> GaugeMetricFamily:
    """Return a gauge by labels."""
    family = GaugeMetricFamily(name, about, labels=labels)
    for one, value in values.items():
        family.add_metric(one, value)
    return family
