"""The routes of organizations in bulk."""

from tenantry.core.endpoints import Call, Endpoint, Partly, Resource
from tenantry.domains.service import DomainRules
from tenantry.transfer import bulk
from tenantry.transfer.bulk import BulkNotDone
from tenantry.transfer.wire import Bulk, BulkDone


def resource(rules: DomainRules) -> Resource:
    """Return the routes, whose new domains are such as `rules` allow."""

    def write(call: Call) -> BulkDone | Partly:
        return bulk.write(call, rules)

    return Resource(
        name="transfer",
        title="Organizations in bulk",
        endpoints=(
            Endpoint(
                method="POST",
                path="/tenantry/organizations/bulk",
                name="tenantry.organizations.bulk",
                summary="Create or update up to 1,000 organizations, each with its own result",
                body=Bulk,
                answer=BulkDone,
                errors=(BulkNotDone,),
                handler=write,
                many=True,
            ),
        ),
    )
