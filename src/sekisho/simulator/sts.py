"""The Security Token Service: the two actions that credential chains use, over the Query API with XML answers."""

import base64
import hashlib
import re
import time
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from sekisho.simulator.auth import Principal, Session, session_secret, write_session_token
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Reply, Request
from sekisho.simulator.settings import SimulatorSettings

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
# The account is any text: examples of configurations say ACCOUNT1.
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(?P<account>[\w-]+):role/(?P<path>[\w+=,.@/-]+)")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_CODES = {
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "AccessDeniedException": "AccessDenied",
    "ThrottlingException": "Throttling",
    "ValidationException": "ValidationError",
}


def read_parameters(request: Request) -> dict[str, str]:
    """The parameters of a call, `Action` among them; a GET carries them in the query."""
    text = request.query if request.method == "GET" else request.body.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


def answer_action(
    parameters: dict[str, str], caller: Principal, settings: SimulatorSettings, now: float, request_id: str
) -> Reply:
    """Carries out one action. Raises Refusal."""
    action = parameters.get("Action", "")
    if action == "GetCallerIdentity":
        result = _element("UserId", caller.access_key or "") + _element("Account", caller.account)
        result += _element("Arn", caller.arn)
    elif action == "AssumeRole":
        result = _assume_role(parameters, caller, settings, now)
    else:
        raise Refusal("InvalidAction", f"Could not find operation {action} for version 2011-06-15", 400)
    body = (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata>{_element('RequestId', request_id)}</ResponseMetadata></{action}Response>"
    )
    return Reply(headers=_headers(request_id), body=body.encode())


def write_sts_error(error: Refusal, request_id: str) -> Reply:
    """An error as XML, under the code STS has for it."""
    kind = "Sender" if error.status < 500 else "Receiver"
    detail = _element("Type", kind) + _element("Code", _CODES.get(error.kind, error.kind))
    detail += _element("Message", error.message)
    inner = f"<Error>{detail}</Error>{_element('RequestId', request_id)}"
    body = f'<ErrorResponse xmlns="{_NAMESPACE}">{inner}</ErrorResponse>'
    return Reply(status=error.status, headers=_headers(request_id), body=body.encode())


def _headers(request_id: str) -> dict[str, str]:
    return {"content-type": "text/xml", "x-amzn-requestid": request_id}


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _assume_role(parameters: dict[str, str], caller: Principal, settings: SimulatorSettings, now: float) -> str:
    role, name, external_id = (parameters.get(key, "") for key in ("RoleArn", "RoleSessionName", "ExternalId"))
    match = _ROLE_ARN.fullmatch(role)
    if match is None:
        raise Refusal("ValidationException", f"{role} is invalid")
    if not _SESSION_NAME.fullmatch(name):
        raise _constraint("roleSessionName", name, _SESSION_NAME.pattern)
    if "ExternalId" in parameters and not _EXTERNAL_ID.fullmatch(external_id):
        raise _constraint("externalId", external_id, _EXTERNAL_ID.pattern)
    if settings.external_ids.get(role, external_id) != external_id:
        raise Refusal(
            "AccessDeniedException",
            f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}",
        )
    duration = _read_duration(parameters.get("DurationSeconds", "3600"), chained=caller.assumed)
    seed = f"{caller.access_key} {role} {name} {now}"
    access_key = "ASIA" + base64.b32encode(hashlib.sha256(seed.encode()).digest())[:16].decode()
    arn = f"arn:aws:sts::{match['account']}:assumed-role/{match['path'].rpartition('/')[2]}/{name}"
    session = Session(access_key=access_key, account=match["account"], arn=arn, expires=now + duration)
    expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session.expires))
    credentials = _element("AccessKeyId", access_key) + _element("SecretAccessKey", session_secret(access_key))
    credentials += _element("SessionToken", write_session_token(session)) + _element("Expiration", expiration)
    user = _element("AssumedRoleId", f"AROA{access_key[4:]}:{name}") + _element("Arn", arn)
    return f"<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"


def _constraint(field: str, value: str, pattern: str) -> Refusal:
    return Refusal(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint:"
        f" Member must satisfy regular expression pattern: {pattern}",
    )


def _read_duration(text: str, *, chained: bool) -> int:
    seconds = int(text) if text.isdecimal() else 0
    if not 900 <= seconds <= 43_200:
        raise Refusal("ValidationException", f"DurationSeconds must be between 900 and 43200, not {text}.")
    if chained and seconds > 3600:
        raise Refusal(
            "ValidationException",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    return seconds
