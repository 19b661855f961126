"""Figures as families of metrics, in the forms that Prometheus' client writes down."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mvm_ci.domain.histogram import Histogram


class Families:
    """``about``: what each metric means, by its name; a counter's is without ``_total`` here."""

    def __init__(self, about: Mapping[str, str]) -> None:
        self._about = about

    def gauge(self, name: str, value: float) -> Metric:
        """One number that goes up and down."""
        return GaugeMetricFamily(name, self._about[name], value=value)

    def gauges(self, name: str, label: str, values: Mapping[str, float]) -> Metric:
        """One for each value of a label."""
        family = GaugeMetricFamily(name, self._about[name], labels=(label,))
        for value, number in values.items():
            family.add_metric((value,), number)
        return family

    def counter(self, name: str, value: float) -> Metric:
        """One number that only grows."""
        return CounterMetricFamily(name, self._about[name], value=value)

    def counters(self, name: str, label: str, values: Mapping[str, float]) -> Metric:
        """One for each value of a label."""
        family = CounterMetricFamily(name, self._about[name], labels=(label,))
        for value, number in values.items():
            family.add_metric((value,), number)
        return family

    def histogram(self, name: str, values: Histogram) -> Metric:
        """How often values fell where."""
        ends = [*(repr(bound) for bound in values.bounds), "+Inf"]
        buckets = list(zip(ends, values.cumulative(), strict=True))
        return HistogramMetricFamily(name, self._about[name], buckets=buckets, sum_value=values.total)


class Ready(Collector):
    """Families that were made before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
