"""Who forwards the traffic of Ingresses and Gateways: pods, where they can be recognised, or a balancer outside the cluster.

1. A Gateway's pods carry the label that the Gateway API asks of implementations (GEP-1762), or Envoy Gateway's own.
2. A controller's pods belong to the same chart release as its class (label app.kubernetes.io/instance), or run an image that is known for it.
3. They count as recognised only when one of them has a door of its own: a control plane has none, and forwards nothing.
4. Whoever is not recognised may be any pod. A mistake then makes things look more exposed, never less.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from evidence.cluster.model import Cluster, Ingress, Labels, Pod
from evidence.cluster.routes import Gateway

GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
ENVOY_LABELS = ("gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name")
RELEASE_LABEL = "app.kubernetes.io/instance"

# spec.controller of classes by what stands in the repository of their data plane's image; from the projects' own manifests.
_IMAGES: Mapping[str, Sequence[str]] = {
    "k8s.io/ingress-nginx": ("ingress-nginx/controller", "ingress-nginx-controller", "nginx-ingress-controller"),
    "nginx.org/ingress-controller": ("nginx/nginx-ingress", "nginx-ic/nginx-plus-ingress"),
    "traefik.io/ingress-controller": ("traefik",),
    "traefik.io/gateway-controller": ("traefik",),
    "haproxy.org/ingress-controller": ("haproxytech/kubernetes-ingress",),
    "haproxy-ingress.github.io/controller": ("haproxy-ingress",),
}
# Controllers that configure a balancer outside the cluster, which then connects to pods or node ports from its own addresses.
_OUTSIDE = (
    "ingress.k8s.aws/",
    "gateway.k8s.aws/",
    "azure/application-gateway",
    "networking.gke.io/",
)
_OUTSIDE_CLASSES = ("gce", "gce-internal", "alb")


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """Who forwards. `pods` None: not recognised, any pod may be. `outside`: a balancer outside the cluster, and no pod. `addresses` are those
    of a Gateway."""

    name: str
    pods: tuple[Pod, ...] | None = None
    outside: bool = False
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.outside:
            return f"a balancer outside the cluster ({self.name})"
        if self.pods is None:
            return f"a controller that is not recognised ({self.name})"
        workloads = sorted({f"{pod.workload.namespace}/{pod.workload.name}" for pod in self.pods})
        return ", ".join(workloads)


class Controllers:
    """The fronts of one cluster. `with_doors` are the keys of the pods that have a door of their own."""

    def __init__(self, cluster: Cluster, with_doors: Collection[str]) -> None:
        self._with_doors = with_doors
        self._pods = [pod for pod in cluster.pods if not pod.finished]
        self._ingress_classes = {found.name: found for found in cluster.ingress_classes}
        self._gateway_classes = {found.name: found for found in cluster.gateway_classes}
        self._fronts: dict[tuple[str, ...], Front] = {}

    def of_ingress(self, ingress: Ingress) -> Front:
        """Who serves an Ingress: the controller of its class, or of the default class when it names none."""
        name = ingress.ingress_class
        if not name:
            default = [found.name for found in self._ingress_classes.values() if found.default]
            name = default[0] if len(default) == 1 else ""
        key = ("ingress class", name)
        if key not in self._fronts:
            found = self._ingress_classes.get(name)
            if found is not None:
                front = self._of_class(f"ingress class {name}", found.controller, found.labels)
            else:
                front = Front(f"ingress class {name}" if name else "no ingress class", outside=name in _OUTSIDE_CLASSES)
            self._fronts[key] = front
        return self._fronts[key]

    def of_gateway(self, gateway: Gateway) -> Front:
        """Who serves a Gateway."""
        key = ("gateway", gateway.namespace, gateway.name)
        if key not in self._fronts:
            name = f"Gateway {gateway.namespace}/{gateway.name}"
            own = self._recognised(pod for pod in self._pods if _serves(pod, gateway))
            found = self._gateway_classes.get(gateway.gateway_class)
            if own:
                front = Front(name, own)
            elif found is not None:
                front = self._of_class(name, found.controller, found.labels)
            else:
                front = Front(name)
            self._fronts[key] = replace(front, addresses=gateway.addresses)
        return self._fronts[key]

    def of_missing(self, name: str) -> Front:
        """Who serves a parent that was not read."""
        return self._fronts.setdefault(("missing", name), Front(name))

    def _of_class(self, name: str, controller: str, labels: Labels) -> Front:
        if controller.startswith(_OUTSIDE):
            return Front(name, outside=True)
        release, images = labels.get(RELEASE_LABEL), _IMAGES.get(controller, ())
        found = self._recognised(
            pod
            for pod in self._pods
            if (release and pod.labels.get(RELEASE_LABEL) == release) or (images and _runs(pod, images))
        )
        return Front(name, found or None)

    def _recognised(self, pods: Iterable[Pod]) -> tuple[Pod, ...]:
        found = tuple(pods)
        return found if any(pod.key in self._with_doors for pod in found) else ()


def _serves(pod: Pod, gateway: Gateway) -> bool:
    if pod.namespace == gateway.namespace and pod.labels.get(GATEWAY_LABEL) == gateway.name:
        return True
    return tuple(map(pod.labels.get, ENVOY_LABELS)) == (gateway.namespace, gateway.name)


def _runs(pod: Pod, images: Sequence[str]) -> bool:
    ends = tuple(f"/{name}" for name in images)
    return any(_repository(image).endswith(ends) for image in pod.images)


@lru_cache(maxsize=1 << 12)  # pods share few images, each asked about for every class
def _repository(image: str) -> str:
    """The path of an image without its digest and tag, with a leading slash."""
    path, _, last = f"/{image.partition('@')[0]}".rpartition("/")
    return f"{path}/{last.partition(':')[0]}"
