"""Probes: which few connections to try so that the computed result is tested, and what the packets seen say of it. Pure: no packet here."""
