"""What the lab refuses, by name."""

from tenantry.core.errors import ApiError, EntityNotFound, Unauthorized


class UniverseNotFound(EntityNotFound):
    """There is no such universe, or the key is another universe's: 404."""

    def __init__(self, identity: str) -> None:
        super().__init__("Universe", identity)


class UniverseGone(Unauthorized):
    """The key is of a universe that was dropped, or was idle for too long: 401."""

    message = (
        "The universe of this key is gone: dropped, or idle for too long. POST /tenantry/lab/universes makes one."
    )


class TooManyUniverses(ApiError):
    """There are as many universes as there may be: 409."""

    status = 409
    code = "too_many_universes"
    message = "There are as many universes as there may be."

    def __init__(self, most: int) -> None:
        super().__init__(
            f"There are {most} universes, as many as may be. DELETE /tenantry/lab/universes/{{id}} drops one;"
            " tenantry dev --universes allows more."
        )


class NotAUniverse(ApiError):
    """The main environment is not a fork: it cannot be dropped, reset or forked as it is: 409."""

    status = 409
    code = "main_environment"
    message = "The main environment is not a fork."


class TooMuchDue(ApiError):
    """More falls due until that time than one call does: 409. The clock stands where it got."""

    status = 409
    code = "too_much_falls_due"
    message = "More falls due until then than one call does."

    def __init__(self, now: str, seconds: float) -> None:
        super().__init__(
            f"More falls due until then than is done within {seconds:.0f} seconds."
            f" The clock shows {now}; advance it again to go on."
        )
