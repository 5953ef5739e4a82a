"""How far a pod of a run has come, read off its status."""

from collections.abc import Callable, Mapping
from typing import Any

HOPELESS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
     "CreateContainerError", "RunContainerError"}
)  # fmt: skip

Raw = Mapping[str, Any]


def answers(pod: Raw) -> bool:
    """True when the pod's node has reached its control port."""
    statuses = pod["status"].get("containerStatuses") or ()
    return any(one.get("started") and "running" in (one.get("state") or {}) for one in statuses) and bool(
        pod["status"].get("podIP")
    )


def ended(pod: Raw) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def failure(pod: Raw, over: Callable[[Raw], bool]) -> str:
    """Why a pod will not become what it should; "" while it may."""
    status = pod["status"]
    for one in status.get("containerStatuses") or ():
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return f"{waiting['reason']}: {' '.join(str(waiting.get('message', '')).split())}".rstrip(": ")
    if status.get("phase") == "Failed":
        return f"it failed: {status.get('reason') or status.get('message') or 'its container ended with an error'}"
    if status.get("phase") == "Succeeded" and over is answers:
        return "it ended"
    return ""
