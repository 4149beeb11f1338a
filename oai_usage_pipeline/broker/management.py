"""The answers of `$management` and `$cbs`.

Belongs here: what hubs and partitions say about themselves, and taking tokens. The names are those that
Event Hubs answers with.
"""

import time

from oai_usage_pipeline.broker.address import entity_of, node_of
from oai_usage_pipeline.broker.amqp_types import Timestamp
from oai_usage_pipeline.broker.encoding import strings
from oai_usage_pipeline.broker.errors import LinkFailed
from oai_usage_pipeline.broker.hub import Hub, Partition
from oai_usage_pipeline.broker.namespace import Namespace
from oai_usage_pipeline.broker.request_links import Request, Response
from oai_usage_pipeline.broker.tokens import Access, Refusal

_STATUS = {"amqp:unauthorized-access": 401, "amqp:not-found": 404}


class Management:
    """Answers READ requests for one connection."""

    def __init__(self, namespace: Namespace, access: Access) -> None:
        self._namespace = namespace
        self._access = access

    def answer(self, request: Request) -> Response:
        """Answer a request; what is refused becomes a status as in HTTP."""
        arguments = request.arguments
        name, kind = arguments.get("name"), arguments.get("type")
        if arguments.get("operation") != "READ" or not isinstance(name, str):
            return Response(400, "BadRequest: READ of a named entity is supported.")
        try:
            self._access.check(name)
            hub = self._namespace.hub(name)
            if kind == "com.microsoft:eventhub":
                return Response(200, "OK", _about_hub(hub))
            if kind == "com.microsoft:partition":
                return Response(
                    200, "OK", _about_partition(hub, hub.partition(str(arguments.get("partition"))))
                )
        except LinkFailed as fault:
            return Response(_STATUS.get(fault.condition, 400), fault.description)
        return Response(400, f"BadRequest: there is no entity type {str(kind)[:100]!r}.")


def put_token(request: Request, namespace: Namespace, access: Access) -> Response:
    """Take a token (claims-based security, put-token); one for a hub that is not there is refused."""
    if request.arguments.get("operation") != "put-token":
        return Response(400, "BadRequest: only put-token is supported.")
    try:
        access.grant(request.body, request.arguments.get("type"))
        audience = node_of(request.arguments.get("name"))
        if audience:
            namespace.hub(entity_of(audience).hub)
    except Refusal as refusal:
        return Response(401, str(refusal))
    except LinkFailed as fault:
        return Response(_STATUS.get(fault.condition, 400), fault.description)
    return Response(202, "Accepted")


def _about_hub(hub: Hub) -> dict[object, object]:
    return {
        "name": hub.name,
        "type": "com.microsoft:eventhub",
        "created_at": Timestamp(hub.created_ms),
        "partition_count": len(hub.partitions),
        "partition_ids": strings(*(partition.id for partition in hub.partitions)),
    }


def _about_partition(hub: Hub, partition: Partition) -> dict[object, object]:
    log = partition.log
    return {
        "name": hub.name,
        "type": "com.microsoft:partition",
        "partition": partition.id,
        "begin_sequence_number": log.start_sequence,
        "last_enqueued_sequence_number": log.next_sequence - 1,
        "last_enqueued_offset": str(log.last_offset),
        "last_enqueued_time_utc": Timestamp(log.last_enqueued_ms),
        "is_partition_empty": log.is_empty,
        "runtime_info_retrieval_time_utc": Timestamp(time.time_ns() // 1_000_000),
    }
