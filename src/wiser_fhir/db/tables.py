"""Every table there is: whoever wants all of them asks here, not at the modules that hold them."""

from wiser_fhir.db import (
    attachments,
    audit,
    base,
    claims,
    data_keys,
    exemptions,
    life,
    oauth,
    review_queue,
    sign_in,
    subscriptions,
    udap,
)
from wiser_fhir.db.columns import metadata

MODULES = (
    attachments,
    audit,
    base,
    claims,
    data_keys,
    exemptions,
    life,
    oauth,
    review_queue,
    sign_in,
    subscriptions,
    udap,
)

# What belongs to an organization goes where that goes: the key begins with it.
OF_ORGANIZATIONS = tuple(
    table.name
    for table in metadata.sorted_tables
    if next(iter(table.primary_key.columns)).name == "organization_id"
)

__all__ = ["MODULES", "OF_ORGANIZATIONS", "metadata"]
