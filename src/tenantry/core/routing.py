"""From a method and a path to what answers there; the cost does not grow with the number of routes."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_NOT_UTF8 = "\ufffd"
"""What servers put in a path in place of bytes that are no UTF-8."""


class _Node(Generic[T]):
    __slots__ = ("literals", "parameter", "rest", "targets")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.rest: _Node[T] | None = None
        self.targets: dict[str, tuple[T, tuple[str, ...]]] = {}


class Router(Generic[T]):
    """A tree of path segments.

    Literal segments match without regard to case (wire.md section 1.1) and before
    parameters. `{name}` takes one segment; `{name:path}`, at the end, takes all that is
    left, since servers hand over a path decoded and an external id may hold a slash.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, path: str, target: T) -> None:
        """Let `target` answer `method` at `path`. A target that is there already stays."""
        node, names = self._root, []
        for segment in path.strip("/").split("/"):
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment.lower(), _Node())
                continue
            name, _, kind = segment[1:-1].partition(":")
            names.append(name)
            if kind == "path":
                node.rest = node.rest or _Node()
                node = node.rest
            else:
                node.parameter = node.parameter or _Node()
                node = node.parameter
        node.targets.setdefault(method, (target, tuple(names)))

    def targets(self) -> Iterator[T]:
        """Yield every target."""
        return _targets(self._root)

    def match(self, method: str, path: str) -> tuple[T, dict[str, str]] | None:
        """Return the target for `method` and the decoded `path`, with its parameters.

        None when there is none, or when the path holds a NUL or was no UTF-8: nothing
        can have such a name.
        """
        if "\0" in path or _NOT_UTF8 in path:
            return None
        found = _walk(self._root, path[1:].split("/"), 0, method, ())
        if found is None:
            return None
        (target, names), values = found
        return target, dict(zip(names, values, strict=True))


def _targets(node: _Node[T]) -> Iterator[T]:
    for target, _ in node.targets.values():
        yield target
    for below in (*node.literals.values(), node.parameter, node.rest):
        if below is not None:
            yield from _targets(below)


def _walk(
    node: _Node[T], segments: list[str], depth: int, method: str, values: tuple[str, ...]
) -> tuple[tuple[T, tuple[str, ...]], tuple[str, ...]] | None:
    if depth == len(segments):
        target = node.targets.get(method)
        return (target, values) if target else None
    segment = segments[depth]
    literal = node.literals.get(segment) or node.literals.get(segment.lower())
    if literal is not None and (found := _walk(literal, segments, depth + 1, method, values)):
        return found
    if not segment and depth + 1 == len(segments):
        return None
    if node.parameter is not None and segment:
        found = _walk(node.parameter, segments, depth + 1, method, (*values, segment))
        if found is not None:
            return found
    if node.rest is not None:
        return _walk(node.rest, [], 0, method, (*values, "/".join(segments[depth:])))
    return None
