"""Every error a caller can be sent, by name; `core.http` turns them into answers, nothing else does.

Shapes and texts: wire.md sections 1.7 and 1.8.
"""

from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: its dotted path and a sentence that says what it must be."""

    field: str
    code: str


class ApiError(Exception):
    """A request that cannot be answered as asked.

    `status`, `code` and `message` are what the caller sees; a class without `code`
    answers without one, as the wire does for that status. `retry_after` is how many seconds
    later the same request may work, where that can be told.
    """

    status: ClassVar[int]
    code: ClassVar[str | None] = None
    message: ClassVar[str]
    retry_after: int | None = None

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)

    def body(self) -> dict[str, object]:
        """Return the JSON object that goes over the wire."""
        known: dict[str, object] = {"message": str(self)}
        if self.code is not None:
            known["code"] = self.code
        return known

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that belong to this answer besides the usual ones."""
        return () if self.retry_after is None else (("retry-after", str(self.retry_after)),)


class MalformedBody(ApiError):
    """The body is not what its content type says: 400."""

    status = 400
    code = "invalid_request_body"
    message = "The request body is not valid JSON."


class Unauthorized(ApiError):
    """No key, or a key that is unknown or revoked: 401, without a code as the wire has it."""

    status = 401
    message = "Unauthorized"


class Forbidden(ApiError):
    """The key may not do this: 403."""

    status = 403
    code = "forbidden"
    message = "This API key is read-only. Use a key with full access for this operation."


class RouteNotFound(ApiError):
    """No operation has this method and path: 404, without a code as the wire has it."""

    status = 404
    message = "Not Found"


class EntityNotFound(ApiError):
    """The object is not in the caller's environment: 404 with the id that was asked for."""

    status = 404
    code = "entity_not_found"
    message = "Entity not found."

    def __init__(self, kind: str, entity_id: str) -> None:
        super().__init__(f"{kind} not found: '{entity_id}'.")
        self.entity_id = entity_id

    def body(self) -> dict[str, object]:
        return super().body() | {"entity_id": self.entity_id}


class BodyTooLarge(ApiError):
    """The body is over the limit of the server's settings: 413."""

    status = 413
    code = "request_body_too_large"
    message = "The request body is too large."


class UnsupportedMediaType(ApiError):
    """The body is in a form that is not read here: 415."""

    status = 415
    code = "unsupported_media_type"
    message = "Send the body as application/json or application/x-www-form-urlencoded, in UTF-8."


class ValidationFailed(ApiError):
    """One or more fields are wrong: 422, all of them at once."""

    status = 422
    message = "Validation failed"

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__()
        self.errors = errors

    def body(self) -> dict[str, object]:
        return super().body() | {"errors": self.errors}


class RateLimitExceeded(ApiError):
    """The key has used up its requests: 429 with `Retry-After` in whole seconds."""

    status = 429
    code = "rate_limit_exceeded"
    message = "Too many requests."
    retry_after: int

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class InternalError(ApiError):
    """Something is wrong in Tenantry itself: 500. The log has the rest, under the request id."""

    status = 500
    code = "internal_error"
    message = "Tenantry could not answer. The server's log says why, under this answer's X-Request-ID."


class NotImplementedHere(ApiError):
    """The public API has this operation and Tenantry does not yet: 501, with its name."""

    status = 501
    code = "not_implemented"
    message = "Not implemented."

    def __init__(self, operation: str) -> None:
        super().__init__(f"Tenantry does not have this operation yet: {operation}.")


class DatabaseUnavailable(ApiError):
    """The database cannot be reached or is too busy: 503; the same request may work in a second."""

    status = 503
    code = "database_unavailable"
    message = "The database cannot be reached. Try again."
    retry_after = 1


class Contended(ApiError):
    """Other requests kept changing the same records until there were no attempts left: 503; nothing was done."""

    status = 503
    code = "contended"
    message = "Other requests were changing the same records. Try again."
    retry_after = 1
