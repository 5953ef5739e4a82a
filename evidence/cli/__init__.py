"""The command line: one file a command; each parses flags, calls one function of the pipeline and prints."""

import gc

gc.set_threshold(50_000)  # not after each 700 new values: a tenth of the start-up went into looking through modules for garbage
