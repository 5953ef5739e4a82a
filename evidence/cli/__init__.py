"""The command line: one file a command; each parses flags, calls one function of the pipeline and prints."""
