"""The life of a running sandbox: one task that owns its worker, its sockets and its store."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from aiohttp import web
from anyio.abc import SocketAttribute

from aiotcbatch.errors import ClosedError, ConfigurationError
from aiotcbatch.sandbox.face import app
from aiotcbatch.sandbox.store import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiohttp.typedefs import Handler
    from anyio.abc import TaskGroup

    from aiotcbatch.sandbox.instance import Instance
    from aiotcbatch.sandbox.recording import Recorder

__all__ = ["Host"]

#: Seconds that requests in work get to end when the sandbox is closed.
_GRACE = 1.0
#: The longest request line and header, so that long queries come through.
_LONGEST_LINE = 1 << 16


class Host:
    """
    Runs an instance on a port.

    Args:
        instance: What to run.
        address: Host and port to listen on; port 0 for a free one.
        routes: What is served beside the API.
        recorder: What stands between clients and the sandbox, if anything does.
        on_close: Called in a worker thread before the store is closed.
    """

    def __init__(
        self,
        instance: Instance,
        address: tuple[str, int],
        routes: Iterable[web.AbstractRouteDef],
        recorder: Recorder | None,
        on_close: Callable[[], None],
    ) -> None:
        self._instance = instance
        #: Where it listens.
        self.address = address
        #: Whether it does.
        self.listening = False
        self._routes = tuple(routes)
        self._recorder = recorder
        self._on_close = on_close
        #: What serves connections, also those that are lost.
        self._serving: set[asyncio.Task[None]] = set()
        self._life: asyncio.Task[None] | None = None
        self._stop: asyncio.Event | None = None

    async def start(self) -> None:
        """
        Open the store, start the worker and listen.

        Raises:
            ClosedError: It was started before.
        """
        if self._life is not None:
            raise ClosedError("a sandbox can be entered once")
        self._stop = asyncio.Event()
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The one task that owns all others: a task group of the caller's would have to be left by
        # the task that entered it, and fixtures do not.
        self._life = asyncio.get_running_loop().create_task(self._live(started, self._stop))
        try:
            await started
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, stop the worker and close the store; stopping twice is harmless."""
        if self._life is None or self._stop is None:
            return
        self._stop.set()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._life])
        if not self._life.cancelled():
            self._life.result()

    async def resume_jobs(self) -> None:
        """Put jobs that have their data and are not completed into the queue."""
        for job_id in await self._instance.store.database.run(jobs.waiting):
            self._instance.worker.enqueue(job_id)

    async def _live(self, started: asyncio.Future[None], stop: asyncio.Event) -> None:
        """Be there until told to stop; every task and socket belongs to this one."""
        runner: web.AppRunner | None = None
        try:
            await anyio.to_thread.run_sync(self._instance.store.open)
            await self.resume_jobs()
            runner = await self._listen()
            async with anyio.create_task_group() as tasks:
                if self._recorder is not None:
                    await self._record(tasks, self._recorder, runner)
                tasks.start_soon(self._instance.worker.run)
                self.listening = True
                if not started.cancelled():  # else who opened it has given up, and it ends at once
                    started.set_result(None)
                await stop.wait()
                await runner.cleanup()
                tasks.cancel_scope.cancel()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(self._told(error))
        finally:
            self.listening = False
            with anyio.CancelScope(shield=True):
                await self._close(runner)

    def _told(self, error: BaseException) -> BaseException:
        """Give the error with which to tell that it could not be started."""
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            (error,) = error.exceptions
        if not isinstance(error, socket.gaierror):
            return error
        accepted = f"a name or address of this machine ({error.strerror})"
        told = ConfigurationError("host", self.address[0], accepted, about="Sandbox")
        told.__cause__ = error
        return told

    async def _close(self, runner: web.AppRunner | None) -> None:
        if runner is not None:
            await runner.cleanup()
        # Where a client went before its body was read, aiohttp still waits for the rest of it.
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        if self._recorder is not None:
            await self._recorder.aclose()
        await anyio.to_thread.run_sync(self._on_close)
        await anyio.to_thread.run_sync(self._instance.store.close)

    @web.middleware
    async def _notes(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note who serves a request, until its connection is done."""
        if request.task not in self._serving:
            self._serving.add(request.task)
            request.task.add_done_callback(self._serving.discard)
        return await handler(request)

    async def _listen(self) -> web.AppRunner:
        runner = web.AppRunner(
            app.build(self._instance, middlewares=[self._notes], routes=self._routes),
            access_log=None,
            shutdown_timeout=_GRACE,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        host, port = self.address if self._recorder is None else ("127.0.0.1", 0)
        try:
            await runner.setup()
            site = web.TCPSite(runner, host, port, backlog=512)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        if self._recorder is None:
            self.address = (host, runner.addresses[0][1])
        return runner

    async def _record(self, tasks: TaskGroup, recorder: Recorder, runner: web.AppRunner) -> None:
        """Listen in the sandbox's place, and pass on what comes."""
        await recorder.open()
        self._instance.chronicle = recorder.moment
        inner = ("127.0.0.1", runner.addresses[0][1])
        host, port = self.address
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  (of anyio, not Django)
        self.address = (host, port)

        async def serve() -> None:
            async with listener:
                await listener.serve(lambda client: recorder.serve(client, *inner))

        tasks.start_soon(serve)
