"""botocore's clients for what is asked seldom: STS, and the control planes that tell of models and quotas.

Everything here blocks: it runs in threads. They are our own, many and idle, so that an STS that hangs does not keep
others waiting. botocore is imported when it is first needed, because that costs 150 ms which a start without AWS should
not pay.
"""

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sekisho.providers.aws.signing import Keys

_THREADS = 64
_CONNECT_SECONDS = 2
_READ_SECONDS = 3

_Result = TypeVar("_Result")

_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")
_making = threading.Lock()


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """What `work` gives, done in a thread that nothing but AWS is waited for in."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def make_client(service: str, region: str, keys: Keys | None, endpoint: str | None = None) -> Any:
    """A client of botocore's `service`, to be closed; unsigned without keys.

    It asks `endpoint`, or what botocore's AWS_ENDPOINT_URL_<service> says, or the region's own.
    """
    from botocore import UNSIGNED  # noqa: PLC0415 - see the module's docstring
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        retries={"total_max_attempts": 2, "mode": "standard"},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        **({"signature_version": UNSIGNED} if keys is None else {}),
    )
    with _making:  # botocore's sessions are not made for several threads
        return _session().create_client(
            service,
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=keys.access_key_id if keys else None,
            aws_secret_access_key=keys.secret_access_key if keys else None,
            aws_session_token=keys.session_token if keys else None,
            config=config,
        )


@functools.cache
def _session() -> Any:
    """One for all clients: a new one reads botocore's tables again, which costs 75 ms of CPU."""
    from botocore.session import Session  # noqa: PLC0415 - see the module's docstring

    return Session()
