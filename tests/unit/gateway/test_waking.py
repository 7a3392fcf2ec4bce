from tests.support.routing import make_target

from sekisho.core.clock import ManualClock
from sekisho.core.errors import UpstreamMisconfigured
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.waking import Waker


def test_only_what_was_changed_gets_a_new_start() -> None:
    traffic = Traffic(ManualClock())
    before = {name: make_target(name) for name in ("kept", "mended")}
    waker = Waker(traffic, before)
    for name, target in before.items():
        denial = UpstreamMisconfigured("denied", verdict="elsewhere", cooldown=300.0)
        traffic.rests.failed(target.bucket, name, denial, 1_000.0)
    waker.look({"kept": before["kept"], "mended": make_target("mended")})
    assert traffic.state(before["kept"]).rest.kind == "set_aside"
    assert traffic.state(before["mended"]).rest.kind == "free"
