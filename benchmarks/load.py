"""What every benchmark sends: indicators with an attribute, two tags, a label and two scores."""

from __future__ import annotations

from typing import Any

__all__ = ["address", "as_dict", "as_unlike_dict", "fill"]


def address(number: int) -> str:
    """Give the address of a number."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def fill(batch: Any, number: int) -> None:
    """Add one indicator by interface 1; the calls are the same for TcEx and here."""
    indicator = batch.address(address(number), rating=5, confidence=100, xid=f"i-{number}")
    indicator.attribute("Description", "Seen in a phishing campaign", True)
    indicator.tag("Phishing")
    indicator.tag("Automated")
    indicator.security_label("TLP:GREEN")


def as_dict(number: int) -> dict[str, Any]:
    """Give the same indicator as interface 3 takes it."""
    return {
        "type": "Address",
        "summary": address(number),
        "xid": f"i-{number}",
        "rating": 5,
        "confidence": 100,
        "attribute": [
            {
                "type": "Description",
                "value": "Seen in a phishing campaign",
                "displayed": True,
            }
        ],
        "tag": [{"name": "Phishing"}, {"name": "Automated"}],
        "securityLabel": [{"name": "TLP:GREEN"}],
    }


def as_unlike_dict(number: int) -> dict[str, Any]:
    """Give it with a text of its own in its attribute, by which each is unlike all others."""
    indicator = as_dict(number)
    indicator["attribute"][0]["value"] = f"Seen in a phishing campaign as number {number}"
    return indicator
