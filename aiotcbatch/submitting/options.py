"""What a submit does, when it halts, and the settings of a batch that can be changed later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.checking import checked_bool, checked_seconds, checked_whole
from aiotcbatch.collecting.chunk import FRAME_BYTES
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from aiotcbatch.submitting.job import JobSettings

__all__ = ["Configurable", "Halt", "SubmitOptions", "share_of_memory"]

#: Bytes of a document in which there is room for something.
_LEAST_BYTES = FRAME_BYTES + 2


class Halt(Value):
    """Which failing steps end a submit; the others are noted in the result."""

    batch: bool = True
    poll: bool = True
    file: bool = True


class SubmitOptions(Value):
    """
    What a submit does, and how far it goes.

    Raises:
        ConfigurationError: When a value is out of its range.
    """

    poll: bool = True
    errors: bool = True
    process_files: bool = True
    halt: Halt = Halt()
    #: Seconds that a job may take before the server has done its work.
    poll_timeout: float = 3600.0
    #: Jobs that the server has at once: one to work at, the others so that it never waits.
    max_jobs: int = 3
    file_concurrency: int = 8
    create_and_upload: bool = False

    def __post_init__(self) -> None:
        checked_seconds("poll_timeout", self.poll_timeout)
        for name in ("max_jobs", "file_concurrency"):
            checked_whole(name, getattr(self, name), 1)
        for name in ("poll", "errors", "process_files", "create_and_upload"):
            checked_bool(name, getattr(self, name))


def share_of_memory(max_bytes_per_job: int, memory_limit: int, max_jobs: int) -> int:
    """
    Give the bytes that a job of a stream may have.

    Args:
        max_bytes_per_job: What is given as its bound.
        memory_limit: Bytes in memory at most, which the jobs on the server and the next one share.
        max_jobs: Jobs that the server has at once.

    Raises:
        ConfigurationError: When no job would have room for anything, or a bound is no number.
    """
    parts = max_jobs + 1
    whole = isinstance(memory_limit, int) and not isinstance(memory_limit, bool)
    if not whole or memory_limit < parts * _LEAST_BYTES:
        accepted = f"bytes for {parts} jobs (max_jobs and one), at least {parts * _LEAST_BYTES}"
        raise ConfigurationError("memory_limit", memory_limit, accepted)
    bound = checked_whole("max_bytes_per_job", max_bytes_per_job, _LEAST_BYTES)
    return min(bound, memory_limit // parts)


class Configurable:
    """
    Settings of a batch, as properties that can be changed until they are used.

    Args:
        settings: How the server treats jobs.
        options: What a submit does.
    """

    def __init__(self, settings: JobSettings, options: SubmitOptions) -> None:
        self._settings = settings
        self._options = options
        self._halt_overrides: dict[str, bool | None] = dict.fromkeys(("batch", "poll", "file"))

    @property
    def settings(self) -> JobSettings:
        """How the server treats the jobs that are made from now on."""
        return self._settings

    def _set(self, **change: Any) -> None:
        self._settings = self._settings.replace(**change)

    @property
    def owner(self) -> str:
        """The owner to write into."""
        return self._settings.owner

    @property
    def action(self) -> str:
        """``Create`` (which updates too) or ``Delete``."""
        return self._settings.action

    @action.setter
    def action(self, action: str) -> None:
        self._set(action=action)

    @property
    def attribute_write_type(self) -> str:
        """``Replace``, ``Append``, ``Singleton`` or ``Static``."""
        return self._settings.attribute_write_type

    @attribute_write_type.setter
    def attribute_write_type(self, write_type: str) -> None:
        self._set(attribute_write_type=write_type)

    @property
    def tag_write_type(self) -> str:
        """``Replace`` or ``Append``."""
        return self._settings.tag_write_type

    @tag_write_type.setter
    def tag_write_type(self, write_type: str) -> None:
        self._set(tag_write_type=write_type)

    @property
    def security_label_write_type(self) -> str:
        """``Replace`` or ``Append``."""
        return self._settings.security_label_write_type

    @security_label_write_type.setter
    def security_label_write_type(self, write_type: str) -> None:
        self._set(security_label_write_type=write_type)

    @property
    def halt_on_error(self) -> bool:
        """The server stops a job at its first error; what failed here is another matter."""
        return self._settings.halt_on_error

    @halt_on_error.setter
    def halt_on_error(self, halt: bool) -> None:
        self._set(halt_on_error=halt)

    @property
    def playbook_triggers_enabled(self) -> bool:
        """Fire playbook triggers for what is written."""
        return self._settings.playbook_triggers_enabled

    @playbook_triggers_enabled.setter
    def playbook_triggers_enabled(self, enabled: bool) -> None:
        self._set(playbook_triggers_enabled=enabled)

    @property
    def file_merge_mode(self) -> str | None:
        """``Merge`` or ``Distribute``; None leaves it to the server."""
        return self._settings.file_merge_mode

    @file_merge_mode.setter
    def file_merge_mode(self, mode: str | None) -> None:
        self._set(file_merge_mode=mode)

    @property
    def hash_collision_mode(self) -> str | None:
        """What is done when a hash differs from the one that is there; None: the server's way."""
        return self._settings.hash_collision_mode

    @hash_collision_mode.setter
    def hash_collision_mode(self, mode: str | None) -> None:
        self._set(hash_collision_mode=mode)

    @property
    def poll_timeout(self) -> float:
        """Seconds that the server may take for one job."""
        return self._options.poll_timeout

    @poll_timeout.setter
    def poll_timeout(self, seconds: float) -> None:
        self._options = self._options.replace(poll_timeout=seconds)

    @property
    def halt_on_batch_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for creating and uploading jobs; None: not over it."""
        return self._halt_overrides["batch"]

    @halt_on_batch_error.setter
    def halt_on_batch_error(self, halt: bool | None) -> None:
        self._override("batch", halt)

    @property
    def halt_on_poll_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for polling; None: not over it."""
        return self._halt_overrides["poll"]

    @halt_on_poll_error.setter
    def halt_on_poll_error(self, halt: bool | None) -> None:
        self._override("poll", halt)

    @property
    def halt_on_file_error(self) -> bool | None:
        """Over ``halt_on_error`` of submit, for uploading files; None: not over it."""
        return self._halt_overrides["file"]

    @halt_on_file_error.setter
    def halt_on_file_error(self, halt: bool | None) -> None:
        self._override("file", halt)

    def _override(self, step: str, halt: object) -> None:
        if halt is not None and not isinstance(halt, bool):
            raise ConfigurationError(f"halt_on_{step}_error", halt, "True, False or None")
        self._halt_overrides[step] = halt

    def _halt(self, halt_on_error: bool | None) -> Halt:
        """Say which steps halt, by the argument and by what was set over it."""
        if halt_on_error is not None and not isinstance(halt_on_error, bool):
            raise ConfigurationError("halt_on_error", halt_on_error, "True, False or None")
        default = True if halt_on_error is None else halt_on_error
        chosen = {
            step: default if override is None else override
            for step, override in self._halt_overrides.items()
        }
        return Halt(**chosen)
