"""Where contents come from, and how they are found again."""

from __future__ import annotations

import io
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiotcbatch.collecting.origins import Origin, Source, described


def content_of(xid: str) -> bytes:
    """Make a content, as a user's function does."""
    return xid.encode()


class Maker:
    """Makes contents, as a user's object does."""

    def method(self, xid: str) -> bytes:
        return xid.encode()

    @staticmethod
    def static(xid: str) -> bytes:
        return xid.encode()

    async def __call__(self, xid: str) -> bytes:
        return xid.encode()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that has them, as if it were a user's."""
    made = ModuleType("users_module")
    for thing in (content_of, Maker):
        monkeypatch.setattr(thing, "__module__", made.__name__)
        setattr(made, thing.__name__, thing)
    monkeypatch.setattr(Maker.static, "__module__", made.__name__)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made.__name__


def found(content: Any) -> Source:
    """What is known of a content when its process has ended."""
    origin, detail, _ = described(content)
    return Source(origin, detail)


def test_functions_are_found_by_name(module: str) -> None:
    """A function of a module, and of a class in it, is imported again."""
    for function, name in ((content_of, "content_of"), (Maker.static, "Maker.static")):
        source = found(function)

        assert source == Source(Origin.CALLABLE, f"users_module:{name}")
        assert source.content("x") is function


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda xid: b"", "a function"),
        (partial(content_of), "a partial"),
        (Maker().method, "a method"),
        (Maker(), "a Maker"),
        (io.BytesIO(b"bytes"), "a BytesIO"),
        (None, "a NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ends_with_its_process_is_asked_for(module: str, content: Any, said: str) -> None:
    """What has no name by which it is found is not found, unless somebody gives it."""
    source = found(content)

    assert (source.origin, str(source)) == (Origin.OPAQUE, said)
    assert source.content("x") is None
    assert source.content("x", lambda xid: f"for {xid}".encode()) == b"for x"


def test_a_function_that_is_another_one_now(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name under which there is something else, or nothing, fails when it is called."""
    source = found(content_of)

    def fails(why: str) -> None:
        content: Any = source.content("x")
        with pytest.raises(ImportError, match=f"'x' comes from users_module:content_of.*{why}"):
            content("x")

    monkeypatch.setattr(sys.modules[module], "content_of", "no function")
    fails("no function 'content_of'")
    monkeypatch.delattr(sys.modules[module], "content_of")
    fails("no function 'content_of'")
    monkeypatch.delitem(sys.modules, module)
    fails("No module named")


def test_who_is_asked_comes_first(module: str) -> None:
    """A callable is imported only if nothing was given for it."""
    source = found(content_of)

    assert source.content("x", lambda _: b"given") == b"given"
    assert source.content("x", lambda _: None) is content_of


def test_paths_do_not_depend_on_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is that of the directory in which it was handed over."""
    monkeypatch.chdir(tmp_path)
    source = found(Path("file.pdf"))
    monkeypatch.chdir("/")

    assert source.content("x", lambda _: b"not asked") == tmp_path / "file.pdf"
    assert str(source) == f"the file {tmp_path}/file.pdf"


@pytest.mark.parametrize(
    ("content", "origin", "kept"),
    [
        ("t\N{SNOWMAN}", Origin.TEXT, b"t\xe2\x98\x83"),
        (b"bytes", Origin.BYTES, b"bytes"),
        (bytearray(b"bytes"), Origin.BYTES, b"bytes"),
        (memoryview(b"bytes").cast("B"), Origin.BYTES, b"bytes"),
    ],
)
def test_bytes_and_text_are_kept(content: Any, origin: Origin, kept: bytes) -> None:
    """They are written to the journal; once they are uploaded there is nothing to be asked for."""
    assert (described(content)[0], bytes(described(content)[2])) == (origin, kept)
    assert found(content).content("x", lambda _: b"not asked") is None
    assert str(found(content)) == f"{origin.name.lower()} in the journal"
