"""A sandbox in a thread of its own, for programs and tests that are not asynchronous."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from anyio.from_thread import start_blocking_portal

from aiotcbatch.errors import ClosedError

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from aiotcbatch.auth import HmacAuth
    from aiotcbatch.sandbox.faults import Faults
    from aiotcbatch.sandbox.sandbox import Sandbox
    from aiotcbatch.sandbox.settings import Settings, User
    from aiotcbatch.sandbox.snapshots import Snapshot
    from aiotcbatch.sandbox.store.reading import Entity
    from aiotcbatch.sandbox.views import Files, JobView

__all__ = ["SandboxThread"]


class SandboxThread:
    """
    Runs a sandbox beside the program; made by `Sandbox.in_thread`.

    ::

        with Sandbox(owners=["MyOrg"]).in_thread() as sandbox:
            requests.get(f"{sandbox.api_url}/v2/owners", headers=...)

    Args:
        sandbox: The sandbox, not entered yet.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._exit = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        """Start the thread and the sandbox."""
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._sandbox))
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the sandbox and the thread."""
        self._portal = None
        self._exit.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """Show the sandbox."""
        return f"<SandboxThread {self._sandbox!r}>"

    @property
    def api_url(self) -> str:
        """The base of all API paths."""
        return self._sandbox.api_url

    @property
    def access_id(self) -> str:
        """The access id of its first user."""
        return self._sandbox.access_id

    @property
    def secret_key(self) -> str:
        """The secret key of its first user."""
        return self._sandbox.secret_key

    @property
    def token(self) -> str:
        """The token of its first user."""
        return self._sandbox.token

    @property
    def auth(self) -> HmacAuth:
        """What a client signs with."""
        return self._sandbox.auth

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find it."""
        return self._sandbox.environment

    @property
    def jobs(self) -> list[JobView]:
        """All batch jobs by number, with what was received."""
        return self._sandbox.jobs

    @property
    def files(self) -> Files:
        """The files that were uploaded, by the xid of their group."""
        return self._sandbox.files

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self._sandbox.faults

    def entities(
        self,
        *,
        owner: str | None = None,
        type: str | None = None,  # noqa: A002  (the field's word)
    ) -> list[Entity]:
        """Return what is stored, as `Sandbox.entities`."""
        return self._sandbox.entities(owner=owner, type=type)

    @property
    def settings(self) -> Settings:
        """Its limits and its speed."""
        return self._sandbox.settings

    def configure(self, **limits: Any) -> None:
        """Change settings by name, from now on."""
        self._sandbox.configure(**limits)

    def add_user(self, user: User) -> None:
        """Let another user in."""
        self._sandbox.add_user(user)

    def expire_token(self, token: str) -> bool:
        """Make a token expire, so that its next request is refused until it was renewed."""
        return self._sandbox.expire_token(token)

    def release_jobs(self) -> int:
        """Let stuck jobs go on, and return how many there were."""
        return self._ask().call(self._sandbox.release_jobs)

    def idle(self) -> None:
        """Wait until no job is queued or in work."""
        self._ask().call(self._sandbox.idle)

    def reset(self) -> None:
        """Make it as it was when it was new."""
        self._ask().call(self._sandbox.reset)

    def snapshot(self) -> Snapshot:
        """Copy everything that it holds."""
        return self._ask().call(self._sandbox.snapshot)

    def restore(self, snapshot: Snapshot) -> None:
        """Make everything as it was when it was copied."""
        self._ask().call(self._sandbox.restore, snapshot)

    def _ask(self) -> BlockingPortal:
        if self._portal is None:
            raise ClosedError("the sandbox is not running; it is used inside its block")
        return self._portal
