"""What attempts at upstreams need, whichever call they are for."""

from collections.abc import Mapping
from random import Random
from typing import Any

from msgspec import Struct, field

from sekisho.gateway.alarm import Alarm
from sekisho.gateway.queueing import Queue
from sekisho.gateway.traffic import Traffic
from sekisho.http.client import UpstreamClient


class UpstreamAccess(Struct, frozen=True):
    """What every attempt needs: connections, dialects by name, what is known of the targets, who waits, chance, time.

    The dialects are of three kinds (`core.wire`): the operation decides which one a name stands for.
    """

    client: UpstreamClient
    dialects: Mapping[str, Any]
    traffic: Traffic
    queue: Queue
    random: Random
    alarm: Alarm = field(default_factory=Alarm)
