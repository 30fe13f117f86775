"""Owners, types, and who one is. Source: v2 owners, types and whoami; v3 attributeTypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.sandbox.face import answers
from aiotcbatch.sandbox.face.routing import Endpoint, number_in, segment
from aiotcbatch.sandbox.vocabulary import GROUP_BRANCHES

if TYPE_CHECKING:
    from aiohttp import web

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.settings import User
    from aiotcbatch.sandbox.vocabulary import AttributeType, IndicatorType

__all__ = ["TypesFace"]


class TypesFace:
    """
    Tells what the instance knows of owners and types.

    Args:
        instance: The sandbox.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def endpoints(self) -> list[Endpoint]:
        """Return what it answers."""
        return [
            Endpoint("owners", "GET", "/v2/owners", self.owners),
            Endpoint("owners", "GET", "/v2/owners/mine", self.mine),
            Endpoint("owners", "GET", "/v2/owners/{id}", self.owner),
            Endpoint("whoami", "GET", "/v2/whoami", self.whoami),
            Endpoint("types", "GET", "/v2/types/indicatorTypes", self.indicator_types),
            Endpoint("types", "GET", "/v2/types/indicatorTypes/{name}", self.indicator_type),
            Endpoint("types", "GET", "/v2/types/associationTypes", self.association_types),
            Endpoint("types", "GET", "/v2/types/groupTypes", self.group_types),
            Endpoint("owners", "GET", "/v3/security/owners", self.owners_v3),
            Endpoint("attribute_types", "GET", "/v3/attributeTypes", self.attribute_types),
            Endpoint("attribute_types", "GET", "/v3/attributeTypes/{id}", self.attribute_type),
        ]

    def _owners(self, user: User) -> list[dict[str, Any]]:
        return [
            {"id": owner_id, "name": name, "type": kind}
            for name, (owner_id, kind) in self._instance.store.owners.items()
            if user.sees(name)
        ]

    async def owners(self, _: web.Request, user: User) -> web.Response:
        """List the owners that the user sees."""
        owners = self._owners(user)
        return answers.success({"resultCount": len(owners), "owner": owners})

    async def owner(self, request: web.Request, user: User) -> web.Response:
        """Describe one owner."""
        wanted = number_in(segment(request, 2))
        for owner in self._owners(user):
            if owner["id"] == wanted:
                return answers.success({"owner": owner})
        return answers.missing()

    async def mine(self, _: web.Request, user: User) -> web.Response:
        """Describe the user's own organization."""
        owners = self._owners(user)
        if not owners:
            return answers.missing()
        first = next((one for one in owners if one["type"] == "Organization"), owners[0])
        return answers.success({"owner": first})

    async def whoami(self, _: web.Request, user: User) -> web.Response:
        """Tell who is asking."""
        return answers.success(
            {
                "user": {
                    "userName": user.access_id,
                    "firstName": user.name,
                    "lastName": "API",
                    "pseudonym": user.name,
                    "role": user.role,
                }
            }
        )

    async def indicator_types(self, request: web.Request, _: User) -> web.Response:
        """List the indicator types."""
        additional = request.query.get("includeAdditional", "").lower() == "true"
        found = [_indicator_type(kind, additional) for kind in self._instance.catalog.indicators]
        return answers.success({"resultCount": len(found), "indicatorType": found})

    async def indicator_type(self, request: web.Request, _: User) -> web.Response:
        """Describe one indicator type."""
        additional = request.query.get("includeAdditional", "").lower() == "true"
        kind = self._instance.catalog.indicator(segment(request, 3))
        if kind is None:
            return answers.missing()
        return answers.success({"indicatorType": _indicator_type(kind, additional)})

    async def group_types(self, _: web.Request, __: User) -> web.Response:
        """List the group types."""
        found = [{"name": name, "apiBranch": branch} for name, branch in GROUP_BRANCHES.items()]
        return answers.success({"resultCount": len(found), "groupType": found})

    async def association_types(self, _: web.Request, __: User) -> web.Response:
        """List the ways in which things can be associated."""
        found = [
            {"name": name, "custom": "false", "fileAction": "false", "apiBranch": branch}
            for name, branch in GROUP_BRANCHES.items()
        ]
        found += [
            {
                "name": kind.name,
                "custom": str(kind.custom).lower(),
                "fileAction": str(kind.file_action).lower(),
                "apiBranch": kind.branch or kind.name.replace(" ", ""),
            }
            for kind in self._instance.catalog.associations
        ]
        return answers.success({"resultCount": len(found), "associationType": found})

    async def owners_v3(self, _: web.Request, user: User) -> web.Response:
        """List the owners that the user sees, in the form of v3."""
        return answers.json({"data": self._owners(user), "status": "Success"})

    async def attribute_types(self, request: web.Request, _: User) -> web.Response:
        """List the attribute types, page by page."""
        kinds = [
            _attribute_type(number, kind)
            for number, kind in enumerate(self._instance.catalog.attributes.values(), 1)
        ]
        return answers.page(request, list(request.query.items()), kinds)

    async def attribute_type(self, request: web.Request, _: User) -> web.Response:
        """Describe one attribute type."""
        wanted = number_in(segment(request, 2))
        for number, kind in enumerate(self._instance.catalog.attributes.values(), 1):
            if number == wanted:
                return answers.json({"data": _attribute_type(number, kind), "status": "Success"})
        return answers.v3_failure(404, "The requested resource was not found")


def _indicator_type(kind: IndicatorType, additional: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": kind.name,
        "custom": str(kind.custom).lower(),
        "parsable": str(kind.parsable).lower(),
        "apiBranch": kind.branch or kind.name.replace(" ", ""),
        "apiEntity": kind.entity or kind.name.replace(" ", ""),
    }
    if kind.custom:
        described["casePreference"] = kind.case
        for number, label in enumerate(kind.fields, 1):
            options = kind.options[number - 1] if len(kind.options) >= number else ()
            described[f"value{number}Label"] = label
            described[f"value{number}Type"] = "selectone" if options else "text"
            if options:
                described[f"value{number}Option"] = ";".join(options)
    if additional:
        described["regexes"] = list(kind.regexes)
        described["keys"] = {f"key{n}": key for n, key in enumerate(kind.keys, 1)}
    return described


def _attribute_type(number: int, kind: AttributeType) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": number,
        "name": kind.name,
        "description": kind.description,
        "maxSize": kind.max_size,
        "allowMarkdown": kind.markdown,
        "errorMessage": f"Please enter a valid {kind.name}.",
    }
    if kind.choices:
        described["validationRule"] = {
            "id": number,
            "name": kind.name,
            "text": ";".join(kind.choices),
            "type": "SelectOne",
            "description": kind.description,
            "version": 1,
        }
    return described
