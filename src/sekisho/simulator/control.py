"""The simulator's own control API, for tests: faults to come and calls seen."""

from typing import Any

import msgspec
from msgspec import Struct

from sekisho.simulator.http import Reply, Request
from sekisho.simulator.settings import FaultRule
from sekisho.simulator.state import World

PREFIX = "/_simulator/"


class _Recording(Struct):
    on: bool


def answer_control(world: World, request: Request) -> Reply:
    """Answers `GET, POST, DELETE /_simulator/faults`, `GET, DELETE /_simulator/calls` and `PUT /_simulator/recording`.

    Recording, told `{"on": true}`, keeps the bodies and headers of the calls from then on.
    """
    name = request.raw_path.removeprefix(PREFIX)
    if name == "faults":
        return _answer_faults(world, request)
    if name == "calls" and request.method == "GET":
        return _json(200, {"calls": list(world.calls)})
    if name == "calls" and request.method == "DELETE":
        world.calls.clear()
        return _json(200, {"calls": []})
    if name == "recording" and request.method == "PUT":
        return _switch_recording(world, request)
    return _json(404, {"message": f"{request.method} {request.raw_path} is not part of the control API"})


def _answer_faults(world: World, request: Request) -> Reply:
    if request.method == "POST":
        try:
            world.faults.append(msgspec.json.decode(request.body, type=FaultRule))
        except msgspec.DecodeError as error:
            return _json(400, {"message": f"not a fault rule: {error}"})
    elif request.method == "DELETE":
        world.faults.clear()
    elif request.method != "GET":
        return _json(405, {"message": "faults take GET, POST and DELETE"})
    return _json(200, {"faults": world.faults})


def _switch_recording(world: World, request: Request) -> Reply:
    try:
        world.recording = msgspec.json.decode(request.body, type=_Recording).on
    except msgspec.DecodeError as error:
        return _json(400, {"message": f"not a switch: {error}"})
    return _json(200, {"on": world.recording})


def _json(status: int, document: Any) -> Reply:
    return Reply(status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(document))
