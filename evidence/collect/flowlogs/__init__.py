"""Flow logs of network plugins, one file a format: each turns a line into a `Line` of evidence/observe/sighting.py.

A format's module has `NAME`, `TITLE`, `NOTES` (what such a log leaves out by its nature) and `read(line, ...)`, which raises ValueError for a
line that it cannot understand. Formats were taken from the programs' own documentation and source; each module names its own.
"""
