"""From raw objects to what may be stored: checked whole, then cut down to the kept fields.

The check is the parser of the model itself, so that nothing is stored which the analysis could not read later.
"""

from collections.abc import Iterable, Mapping, Sequence

from evidence.cluster.objects import CollectedObject, Problem
from evidence.cluster.parse import parse, refuse
from evidence.collect.fields import Kind
from evidence.errors import InputError
from evidence.values import value


@value()
class Flaw:
    """Something that cannot be stored: `str(error)` is the whole sentence, `kind` is "" when it may be of any kind."""

    error: InputError
    kind: str = ""

    def problem(self) -> Problem:
        where, separator, message = str(self.error).partition(": ")
        return Problem(where, message, self.kind) if separator else Problem("", where, self.kind)


def checked(
    objects: Sequence[CollectedObject], kinds: Mapping[tuple[str, str], Kind]
) -> tuple[tuple[CollectedObject, ...], list[Flaw]]:
    """The good objects, cut down, in their order; and what is wrong with the others. `kinds` holds the kind of each by group and kind."""
    from evidence.collect.keep import kept  # for the store; analysis alone does without

    flaws = flaws_of(objects)
    wrong = {id(obj) for obj, _ in flaws}
    found, uncanonical = [], []
    for obj in objects:
        if id(obj) in wrong:
            continue
        kind = kinds[obj.key.group, obj.key.kind]
        body = kept(kind, obj.body, namespace=obj.key.namespace, api_version=obj.body["apiVersion"])
        small = CollectedObject.of(obj.key, body, obj.source)
        try:
            _ = (
                small.digest
            )  # fields that the model does not read may hold what has no canonical form; the store asks for it anyway
        except InputError as error:
            uncanonical.append(Flaw(error, obj.key.kind))
            continue
        found.append(small)
    return tuple(found), [*(flaw for _, flaw in flaws), *uncanonical]


def flaws_of(objects: Iterable[CollectedObject]) -> list[tuple[CollectedObject, Flaw]]:
    """What the model's parser refuses."""
    return [(wrong.object, Flaw(wrong.error, wrong.object.key.kind)) for wrong in parse(objects).errors]


def settle(flaws: Iterable[Flaw], *, keep_going: bool) -> tuple[Problem, ...]:
    """The flaws as problems when they may be left out; else they are raised, as InputError or ManyInputsError, with what to do at the end."""
    found = list(flaws)
    if found and not keep_going:
        *first, last = (flaw.error for flaw in found)
        what_to_do = "mend them, or leave them out" if first else "mend it, or leave it out"
        refuse([*first, InputError(f"{last}; {what_to_do} with --keep-going")])
    return tuple(flaw.problem() for flaw in found)
