"""Frameworks: catalogues of controls with their mapping from findings, and how findings become control results."""
