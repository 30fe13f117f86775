"""Lines to paste into a shell: how a client finds the sandbox, and a first request."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from aiotcbatch.sandbox.settings import User

__all__ = ["curl", "environment"]

_HIDDEN = "<the sandbox printed it>"


def environment(api_url: str, owner: str, user: User, *, secrets: bool) -> str:
    """
    Return the lines after which clients find the sandbox.

    Args:
        api_url: The base of all API paths.
        owner: The owner to write into.
        user: Who is asking.
        secrets: Whether to show what lets one in.

    Returns:
        One ``export`` a line.
    """
    lines = {
        "TC_API_PATH": api_url,
        "TC_API_ACCESS_ID": user.access_id,
        "TC_API_SECRET_KEY": user.secret_key if secrets else _HIDDEN,
        "TC_TOKEN": user.token if secrets else _HIDDEN,
        "TC_OWNER": owner,
    }
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in lines.items())


def curl(owner: str) -> str:
    """Return a command that sends a first batch job, once the environment is set."""
    config = {
        "owner": owner,
        "action": "Create",
        "attributeWriteType": "Replace",
        "haltOnError": False,
        "version": "V2",
    }
    content = {
        "group": [{"type": "Adversary", "name": "Bad Guys", "xid": "bad-guys"}],
        "indicator": [
            {
                "type": "Host",
                "hostName": "bad.example.com",
                "rating": 5,
                "confidence": 100,
                "associatedGroups": [{"groupXid": "bad-guys"}],
            }
        ],
    }
    return "\n".join(
        (
            'curl "$TC_API_PATH/v2/batch/createAndUpload" \\',
            '  -H "Authorization: TC-Token $TC_TOKEN" \\',
            f"  --form-string config={_quoted(config)} \\",
            f"  --form-string content={_quoted(content)}",
        )
    )


def _quoted(value: object) -> str:
    return shlex.quote(orjson.dumps(value).decode())
