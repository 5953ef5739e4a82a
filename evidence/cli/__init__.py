"""The command line: one file a command; each parses flags, calls one function of the pipeline and prints."""

import gc

# Python looks for garbage after each 700 new values: a tenth of the start-up went into looking through modules that had just been loaded.
# `main.cli` sets it back, for commands that go on for long.
USUAL_THRESHOLD = gc.get_threshold()
gc.set_threshold(50_000)
