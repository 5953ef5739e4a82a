"""Signed, verifiable compliance evidence for Kubernetes network segmentation."""

__version__ = "0.1.0"
