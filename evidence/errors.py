"""The one tree of errors.

    EvidenceError          anything this program can explain; the CLI prints it and exits with its code
    ├── UsageError         the command line or settings ask for something impossible        exit 2
    │   └── NotThereError    what is asked for by name or number is not there                 exit 2
    ├── InputError         an object, manifest, intent or control file is wrong             exit 3
    │   └── ManyInputsError  several of them, found in one pass                             exit 3
    ├── CollectError       a source (API server, folder) could not be read                  exit 3
    ├── StoreError         the database cannot be opened, is busy, full or of another version  exit 3
    │   ├── StoreAwayError   it was not reached or let go: the same may go well in a moment   exit 3
    │   └── SpooledError     so a snapshot waits in the spool                                 exit 3
    ├── EngineError        a distributed engine is not there, or lost its way                exit 3
    ├── ReportError        a report cannot be rendered (template, font, output folder)      exit 3
    └── SealError          a key, certificate or signature cannot be made or read           exit 3

A message is one sentence that says what is wrong, where (file:line or object) and what to do. The CLI catches
EvidenceError once; nothing else does unless it can really go on.
"""

from collections.abc import Sequence


class EvidenceError(Exception):
    """Something went wrong that a person can act on; `str(error)` is the whole message."""

    exit_code = 3


class UsageError(EvidenceError):
    """The command line or the settings ask for something impossible."""

    exit_code = 2


class NotThereError(UsageError):
    """What is asked for by name or number is not there."""


class InputError(EvidenceError):
    """Given data is wrong; the message starts with file:line or the object."""


class ManyInputsError(InputError):
    """Several input errors found in one pass; `str()` gives one line each."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


class CollectError(EvidenceError):
    """A source could not be read at all."""


class StoreError(EvidenceError):
    """The database cannot do what is asked."""


class StoreAwayError(StoreError):
    """The database was not reached, dropped the connection or asked to try again; the same may go well in a moment."""


class SpooledError(StoreError):
    """A snapshot was taken, the database did not take it in, and it waits on disk."""


class EngineError(EvidenceError):
    """A distributed engine cannot be reached, cannot be used, or went away."""


class ReportError(EvidenceError):
    """A report cannot be rendered."""


class SealError(EvidenceError):
    """A key, certificate or signature cannot be made or read."""
