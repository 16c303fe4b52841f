"""The ledger of deliberate differences between Tenantry's answers and the public API document.

Each entry is a status that the document does not list for an operation, or a body that
departs from its schema, with the reason. It may only shrink: an entry that no answer
needs any more fails its test.
"""

UNLISTED_STATUSES: dict[tuple[str, str, int], str] = {
    ("GET", "/organizations", 401): "the document lists 401 nowhere; every operation answers it",
    ("POST", "/organizations", 401): "as above",
    ("GET", "/organizations/{id}", 401): "as above",
    ("GET", "/organizations/external_id/{external_id}", 401): "as above",
    ("PUT", "/organizations/{id}", 401): "as above",
    ("DELETE", "/organizations/{id}", 401): "as above",
    (
        "POST",
        "/organizations",
        403,
    ): "a read-only key may not create; the document lists 403 for update and delete",
    ("POST", "/organizations", 413): "bodies have a limit",
    ("PUT", "/organizations/{id}", 413): "bodies have a limit",
    ("POST", "/organizations", 415): "a body in another form is refused by name",
    ("PUT", "/organizations/{id}", 415): "a body in another form is refused by name",
    ("DELETE", "/organizations/{id}", 404): "recorded answers have it for an unknown id (wire.md section 1.1)",
    ("GET", "/webhook_endpoints", 401): "the document lists 401 nowhere",
    ("GET", "/webhook_endpoints", 422): "a parameter that is wrong is told, as in every other list",
    ("POST", "/webhook_endpoints", 400): "a body that is not JSON is told so",
    ("POST", "/webhook_endpoints", 401): "the document lists 401 nowhere",
    ("POST", "/webhook_endpoints", 403): "a read-only key may not create",
    ("POST", "/webhook_endpoints", 413): "bodies have a limit",
    ("POST", "/webhook_endpoints", 415): "a body in another form is refused by name",
    ("PATCH", "/webhook_endpoints/{id}", 400): "a body that is not JSON is told so",
    ("PATCH", "/webhook_endpoints/{id}", 401): "the document lists 401 nowhere",
    ("PATCH", "/webhook_endpoints/{id}", 403): "a read-only key may not update",
    ("PATCH", "/webhook_endpoints/{id}", 413): "bodies have a limit",
    ("PATCH", "/webhook_endpoints/{id}", 415): "a body in another form is refused by name",
    ("DELETE", "/webhook_endpoints/{id}", 401): "the document lists 401 nowhere",
    ("DELETE", "/webhook_endpoints/{id}", 403): "a read-only key may not delete",
    ("POST", "/organization_domains", 400): "a body that is not JSON is told so",
    ("POST", "/organization_domains", 401): "the document lists 401 nowhere",
    ("POST", "/organization_domains", 403): "a read-only key may not create",
    ("POST", "/organization_domains", 404): "an organization that is not there is told (wire.md section 4.1)",
    ("POST", "/organization_domains", 413): "bodies have a limit",
    ("POST", "/organization_domains", 415): "a body in another form is refused by name",
    ("POST", "/organization_domains", 422): "a field that is wrong is told, as everywhere (wire.md section 4.1)",
    ("GET", "/organization_domains/{id}", 401): "the document lists 401 nowhere",
    ("DELETE", "/organization_domains/{id}", 401): "the document lists 401 nowhere",
    ("DELETE", "/organization_domains/{id}", 403): "a read-only key may not delete",
    ("POST", "/organization_domains/{id}/verify", 401): "the document lists 401 nowhere",
    ("POST", "/organization_domains/{id}/verify", 403): "a read-only key may not verify",
    ("POST", "/organization_domains/{id}/verify", 404): "a domain that is not there is told (wire.md section 4.1)",
}

UNLISTED_CODES: dict[tuple[str, str, str | None], str] = {
    ("POST", "/organizations", "invalid_request_body"): "a body that is not JSON is told so",
    ("PUT", "/organizations/{id}", "invalid_request_body"): "a body that is not JSON is told so",
    ("POST", "/webhook_endpoints", None): "a field that is missing or of another type is told as everywhere",
    ("PATCH", "/webhook_endpoints/{id}", None): "a field of another type is told as everywhere",
}
