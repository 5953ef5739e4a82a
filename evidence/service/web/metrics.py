"""What Prometheus reads: the state of the store as rows say it, the outcomes that the watch found, and the requests that were answered.

A scrape reads a few rows and computes nothing.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from evidence.errors import EvidenceError
from evidence.service.web.site import Site, Unavailable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


class StoreMetrics:
    """Collects what the store and the watch say at the moment of the scrape."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("evidence_store_up", "1 when the store can be read and is of this version.")
        try:
            with self._site.store() as store:
                clusters = store.describe().clusters
        except (Unavailable, EvidenceError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        age = GaugeMetricFamily(
            "evidence_last_snapshot_age_seconds", "Time since the newest snapshot was taken.", labels=["cluster"]
        )
        stored = GaugeMetricFamily("evidence_snapshots", "Snapshots stored.", labels=["cluster"])
        partial = GaugeMetricFamily(
            "evidence_partial_snapshots", "Snapshots stored that lack something.", labels=["cluster"]
        )
        failed = CounterMetricFamily(
            "evidence_failed_runs", "Runs of the collector that left no snapshot.", labels=["cluster"]
        )
        now = self._site.now()
        for cluster in clusters:
            if cluster.last_taken_at is not None:
                age.add_metric([cluster.name], max(0.0, (now - cluster.last_taken_at).total_seconds()))
            stored.add_metric([cluster.name], cluster.snapshots)
            partial.add_metric([cluster.name], cluster.partial)
            failed.add_metric([cluster.name], cluster.failed_runs)
        yield from (age, stored, partial, failed, *self._findings())

    def _findings(self) -> Iterator[Metric]:
        found = GaugeMetricFamily(
            "evidence_open_findings",
            "Open findings of the newest snapshot that was analysed, accepted ones among them.",
            labels=["cluster", "severity"],
        )
        of = GaugeMetricFamily(
            "evidence_analysed_snapshot", "Number of the snapshot that was analysed last.", labels=["cluster"]
        )
        for name, outcome in sorted(self._site.outcomes.items()):
            if outcome.problem:
                continue
            of.add_metric([name], outcome.snapshot)
            for severity, number in outcome.open_findings.items():
                found.add_metric([name, severity], number)
        yield from (found, of)


class Metrics:
    """One server's registry."""

    def __init__(self, site: Site) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "evidence_http_requests", "Requests answered.", ["route", "method", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "evidence_http_request_seconds",
            "Time until a request was answered.",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(StoreMetrics(site))

    def answered(self, route: str, method: str, code: int, seconds: float) -> None:
        """`route` is the pattern of the path, never the path itself: labels stay few."""
        self._requests.labels(route, method, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
