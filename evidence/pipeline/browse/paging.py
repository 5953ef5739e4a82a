"""Long lists, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from evidence.errors import UsageError

PAGE_SIZE = 50

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is given: page `page` of `pages`, both from 1; `total` counts all rows."""

    page: int
    pages: int
    size: int
    total: int


def paging(page: int, total: int, size: int = PAGE_SIZE) -> Paging:
    """Raises UsageError for a page beyond the last one; an empty list has one empty page."""
    pages = max(1, -(-total // size))
    if page > pages:
        raise UsageError(f"there is no page {page}: the last one is {pages}")
    return Paging(page, pages, size, total)


def page_of(rows: Sequence[T], page: int, size: int = PAGE_SIZE) -> tuple[tuple[T, ...], Paging]:
    """The rows of one page. Raises UsageError for a page beyond the last one."""
    found = paging(page, len(rows), size)
    return tuple(rows[(page - 1) * size : page * size]), found
