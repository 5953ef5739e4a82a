"""Probes sent: the pods that try and answer connections, and the clearing away of them."""
