"""The faults of a universe: its rules in the order in which they are tried, and how often each has hit."""

import random
from collections.abc import Sequence

import msgspec

from tenantry.core.errors import EntityNotFound, FieldError, ValidationFailed
from tenantry.lab import fault_rules
from tenantry.lab.fault_rules import FaultRule

MOST_RULES = 100

_FAULT = "fault"
_HOOK = "hook"


class PlacedFault(FaultRule, frozen=True, kw_only=True, omit_defaults=True, tag_field="object", tag="fault"):
    """A rule in its place. `seen` is how many requests that match it has seen, `fired` how many it has hit."""

    id: str
    seen: int
    fired: int
    spent: bool


class Strike(msgspec.Struct, frozen=True):
    """A rule that hits a request, and for how many milliseconds its answer is held back."""

    id: str
    rule: FaultRule
    delay: float


class _Place:
    """A rule with its counts and the generator of its own chances."""

    __slots__ = ("chance", "fired", "id", "rule", "seen")

    def __init__(self, identity: str, rule: FaultRule) -> None:
        self.id = identity
        self.rule = rule
        self.seen = 0
        self.fired = 0
        self.chance = random.Random(rule.seed).random  # noqa: S311 (the same requests are to be hit each time)

    def meet(self) -> bool:
        """Count a request that matches, and return whether it is hit."""
        hit = fault_rules.fires(self.rule, self.seen, self.fired, self.chance())
        self.seen += 1
        self.fired += hit
        return hit

    def shown(self) -> PlacedFault:
        values = msgspec.structs.asdict(self.rule)
        spent = fault_rules.is_spent(self.rule, self.fired)
        return PlacedFault(**values, id=self.id, seen=self.seen, fired=self.fired, spent=spent)


class Faults:
    """The rules of one universe, at most a hundred. The first that hits a request is the only one that does.

    A rule stands behind those that were there before it. Used from one thread.
    """

    def __init__(self) -> None:
        self._made = 0
        self._places: list[_Place] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    def strike(self, method: str, path: str) -> Strike | None:
        """Return what hits a request with this method and decoded path, and count it."""
        for place in self._places:
            if fault_rules.matches(place.rule, method, path) and place.meet():
                if self._is_hook(place) and fault_rules.is_spent(place.rule, place.fired):
                    self._places.remove(place)
                return Strike(place.id, place.rule, fault_rules.delay(place.rule.latency, place.chance))
        return None

    def listed(self) -> list[PlacedFault]:
        """Return the rules in the order in which they are tried."""
        return [place.shown() for place in self._places]

    def hooks(self) -> list[PlacedFault]:
        """Return those rules that came in the form of the vendor's emulator."""
        return [place.shown() for place in self._places if self._is_hook(place)]

    def get(self, identity: str) -> PlacedFault:
        """Return a rule. Raises FaultNotFound."""
        return self._find(identity).shown()

    def add(self, rule: FaultRule) -> PlacedFault:
        """Put `rule` behind the others. Raises ValidationFailed."""
        return self._add(_FAULT, rule)

    def add_hook(self, rule: FaultRule) -> PlacedFault:
        """Put a rule of the vendor's form behind the others, until it is spent. Raises ValidationFailed."""
        return self._add(_HOOK, rule)

    def put(self, identity: str, rule: FaultRule) -> PlacedFault:
        """Put `rule` in the place of another, with nothing counted. Raises FaultNotFound, ValidationFailed."""
        place = self._find(identity)
        check(rule)
        fresh = _Place(identity, rule)
        self._places[self._places.index(place)] = fresh
        return fresh.shown()

    def replace(self, rules: Sequence[FaultRule]) -> list[PlacedFault]:
        """Put `rules` in the place of all. Raises ValidationFailed, and then nothing has changed."""
        errors = [
            FieldError(f"faults.{index}.{error.field}", f"faults.{index}.{error.code}")
            for index, rule in enumerate(rules)
            for error in fault_rules.problems(rule)
        ]
        if errors:
            raise ValidationFailed(errors)
        self._places = [self._place(_FAULT, rule) for rule in rules]
        return self.listed()

    def remove(self, identity: str) -> None:
        """Take a rule away. Raises FaultNotFound."""
        self._places.remove(self._find(identity))

    def clear(self) -> None:
        """Take all rules away."""
        self._places = []

    def _add(self, prefix: str, rule: FaultRule) -> PlacedFault:
        check(rule)
        if len(self._places) >= MOST_RULES:
            raise ValidationFailed([FieldError("", f"faults must not be more than {MOST_RULES}: delete some")])
        place = self._place(prefix, rule)
        self._places.append(place)
        return place.shown()

    def _place(self, prefix: str, rule: FaultRule) -> _Place:
        self._made += 1
        return _Place(f"{prefix}_{self._made:04d}", rule)

    def _find(self, identity: str) -> _Place:
        for place in self._places:
            if place.id == identity:
                return place
        raise FaultNotFound(identity)

    def _is_hook(self, place: _Place) -> bool:
        return place.id.startswith(_HOOK)


class FaultNotFound(EntityNotFound):
    """The universe has no fault with this id: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Fault", identity)


def check(rule: FaultRule) -> None:
    """Raise ValidationFailed when `rule` is wrong beyond the types of its fields."""
    if errors := list(fault_rules.problems(rule)):
        raise ValidationFailed(errors)
