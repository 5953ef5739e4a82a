"""Tests of evidence.report: what a pack says and how it looks."""
