"""Whether an API takes a key and has a model, asked by its list of models, which costs nothing."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from sekisho.core.target import Check

_SECONDS = 10.0
_MOST_BYTES = 8 * 1024 * 1024


class _Stay(HTTPRedirectHandler):
    """Follows no redirection: the key is for the address that was configured."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Entry(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Entry]


async def check_listing(url: str, headers: Mapping[str, str], model: str) -> list[Check]:
    """Ask for the list at `url` and look for the model in it. Raises nothing."""
    return await asyncio.to_thread(_check, url, headers, model)


def _check(url: str, headers: Mapping[str, str], model: str) -> list[Check]:
    try:
        with build_opener(_Stay).open(Request(url, headers=dict(headers)), timeout=_SECONDS) as answer:  # noqa: S310 # checked when it was configured
            listed = msgspec.json.decode(answer.read(_MOST_BYTES), type=_List)
    except urllib.error.HTTPError as error:
        with error:
            return [_judge_status(error.code)]
    except (OSError, HTTPException) as error:
        advice = "check api_base, and the way there"
        return [Check("key", "broken", f"the server was not reached: {error}", advice)]
    except msgspec.DecodeError:
        return [_untold("the server's list of models cannot be read")]
    names = {entry.id for entry in listed.data}
    accepted = Check("key", "ok", "accepted")
    if model in names:
        return [accepted, Check("model", "ok", "listed")]
    found = f"not among the {len(names)} models that are listed"
    return [accepted, Check("model", "warning", found, "check the model's name, or run with --call")]


def _judge_status(status: int) -> Check:
    if status in (401, 403):
        return Check("key", "broken", f"not accepted (status {status})", "set api_key, or its environment variable")
    if status == 404:
        return _untold("the server has no list of models")
    return Check("key", "warning", f"the server answered with status {status}", "try again, or run with --call")


def _untold(found: str) -> Check:
    return Check("key", "warning", found, "run with --call")
