"""How a request to Kubeflow Pipelines can fail, each in one line."""

import json
import re
from typing import Any

from autoencoders.errors import UserError, first_line

TOKEN = "KFP_TOKEN"
"""Environment variable with a bearer token: on the command line, all users of the machine would see it."""


class Unreachable(UserError):
    """The server does not answer, or has an error of its own: it may answer later."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what}. {cure}".strip())
        self.what = what


class Denied(UserError):
    """The server wants a token, another one, or another user (HTTP 401 or 403, or a page for a login)."""


class Missing(UserError):
    """There is no such thing on the server (HTTP 404)."""


class Refused(UserError):
    """The server does not take what was sent (any other HTTP 4xx)."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


NO_KFP = (
    "{name} answers with a page, not as Kubeflow Pipelines does. Is the address right? If there is a login before it, "
    f"give a token with --token-file or {TOKEN}."
)
NO_NAMESPACE = re.compile(r'namespaces \\?"([^"\\]+)\\?" not found')
UNKNOWN_FIELD = re.compile(r'unknown field \\?"(\w+)')


def failure(name: str, status: int, message: str) -> UserError:
    """Return the error for an answer of the server `name` that is no success."""
    if status in (401, 403):
        return Denied(
            f"{name} refuses access (HTTP {status}). Give a token with --token-file or {TOKEN}; where the server has "
            "several users, name yours with --namespace."
        )
    if space := NO_NAMESPACE.search(message):
        return Refused(f"{name} has no namespace {space[1]}. Name yours with --namespace.", status)
    if status == 404:
        return Missing(f"{name} has no such thing: {message}")
    if status >= 500:
        return Unreachable(f"{name} answers with an error (HTTP {status}: {message})")
    if field := UNKNOWN_FIELD.search(message):
        return Refused(
            f"{name} does not know `{field[1]}`, which was sent: it is older than the KFP that this project is for. "
            "Update it.",
            status,
        )
    return Refused(f"{name} refuses: {message}", status)


def message_of(error: Any) -> str:
    """Return the message in the body of KFP's answer, in one line."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        body = None
    if not isinstance(body, dict):
        return one_line(str(error.reason or "no reason given"))
    return one_line(str(body.get("message") or body.get("error") or body.get("error_message") or error.reason))


def one_line(text: str) -> str:
    """Return a message of another program in one line, without passwords."""
    return first_line(Exception(" ".join(text.split())))
