#!/usr/bin/env python3
"""Asks Valetkey for access: a client of the agent door, in one file and with nothing but Python's own library (3.8 or later).

In a cell:

    from valetkey import Valetkey, Denied

    door = Valetkey()
    try:
        door.ask("file:/home/alice/notes.txt", ["read"], because="to sum up the meeting")
    except Denied as refusal:
        print(refusal.detail, refusal.how_to_request)
    else:
        print(open("/home/alice/notes.txt").read())

Or from a shell: `python3 valetkey.py ask file:/home/alice/notes.txt=read --because "to sum up the meeting"`.

The door is a Unix socket that speaks HTTP/1.1 with JSON; a refusal is a problem detail (RFC 9457). Nothing here gives an
approval or sees a token: the file system of the cell is what enforces what was granted.
"""

import argparse
import http.client
import json
import os
import re
import socket
import sys
import time
from typing import Any, Dict, Iterable, List, Optional

__all__ = ["Valetkey", "Capability", "Denied", "Pending", "Unreachable", "file_resource"]

#: Where the door is in a cell.
IN_CELL = "/run/valetkey/agent.sock"
#: The longest wait of one call, in seconds; the door bounds it, and longer waits are made of several.
LONGEST_WAIT = 55
#: The largest answer that is read, in bytes.
LARGEST_ANSWER = 64 * 1024 * 1024
#: The forms that an id may have: it becomes a part of a path.
_ID = re.compile(r"[a-z]{3}-[0-9A-HJKMNP-TV-Z]{26}\Z")


class Unreachable(Exception):
    """Nobody answers at the door, or the answer broke off. Nothing was granted."""


class Denied(Exception):
    """A refusal, or another problem that the door told."""

    def __init__(self, status: int, problem: Dict[str, Any]):
        #: The HTTP status (RFC 9110).
        self.status = status
        #: The problem detail (RFC 9457), whole.
        self.problem = problem
        #: What kind of problem, such as `urn:valetkey:problem:denied`.
        self.type = str(problem.get("type", "about:blank"))
        #: This case in words.
        self.detail = str(problem.get("detail", "refused"))
        #: Whether asking in another way can help.
        self.requestable = problem.get("requestable") is True
        #: How to ask, or what else to do; None where nothing helps.
        self.how_to_request = problem.get("how_to_request")
        #: The request that it answers, if there was one.
        self.request_id = problem.get("request_id")
        super().__init__(self.detail)


class Pending(Exception):
    """A person has not answered yet. Look again with `Valetkey.look(pending.request_id)`."""

    def __init__(self, request_id: str, expires_at: str):
        #: The request.
        self.request_id = request_id
        #: When the question closes; it counts as a no then.
        self.expires_at = expires_at
        super().__init__(f"{request_id} waits for a person until {expires_at}")


class Capability(Dict[str, Any]):
    """What was granted: `capability_id`, `resource`, `actions`, `constraints`, `expires_at`, `parent` and the rest of the contract."""

    @property
    def id(self) -> str:
        """Its id."""
        return self["capability_id"]


def file_resource(path: "os.PathLike[str] | str | bytes", tree: bool = False) -> str:
    """The resource that names a path, in its one canonical spelling: `file:/a%20b` for `/a b`.

    A relative path is taken from the working directory. With `tree`, everything below it is meant too.
    """
    whole = os.fsencode(os.path.abspath(path)).decode("utf-8", "surrogateescape")
    text = "/" + "".join(map(_spelt, whole)).lstrip("/")
    return "file:" + (text.rstrip("/") + "/**" if tree else text)


def _spelt(character: str) -> str:
    """A character of a path as a resource spells it: what could be misread is percent-encoded, all else stands for itself."""
    point = ord(character)
    if point < 0x80:
        plain = 0x20 < point < 0x7F and character not in '%*?#"<>\\^`{|}'
    else:
        plain = not 0xDC80 <= point <= 0xDCFF and not any(first <= point <= last for first, last in _MISLEADING)
    if plain:
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


#: Characters beyond ASCII that are invisible, reorder others or look like a space: controls, white space, format characters.
_MISLEADING = (
    (0x80, 0xA0), (0xAD, 0xAD), (0x61C, 0x61C), (0x115F, 0x1160), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200F),
    (0x2028, 0x202F), (0x205F, 0x206F), (0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFD), (0xE0000, 0xE0FFF),
)


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float):
        super().__init__("valetkey", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Valetkey:
    """The agent door. One call at a time; each call has a connection of its own."""

    def __init__(self, path: Optional[str] = None):
        #: The socket: the one given, the cell's, or the one of the person's broker outside of cells.
        self.path = path or os.environ.get("VALETKEY_AGENT_SOCKET") or _default_path()

    def ask(
        self,
        resource: str,
        actions: Iterable[str],
        because: Optional[str] = None,
        wait: float = 0,
        **constraints: Any,
    ) -> Capability:
        """Asks for `actions` on `resource`, within `constraints` such as `max_bytes=1000`.

        Waits up to `wait` seconds for a person where policy asks one.

        Raises `Denied` when it is refused, `Pending` when nobody has answered in that time, `Unreachable` when nobody is there.
        """
        body: Dict[str, Any] = {"resource": resource, "actions": list(actions)}
        if because is not None:
            body["justification"] = because
        if constraints:
            body["constraints"] = constraints
        try:
            return _granted(self._call("POST", "/v1/requests", body))
        except Pending as pending:
            if wait <= 0:
                raise
            return self.look(pending.request_id, wait)

    def look(self, request_id: str, wait: float = 0) -> Capability:
        """How a request stands; waits up to `wait` seconds for an answer. Raises as `ask` does."""
        end = time.monotonic() + wait
        while True:
            left = max(0.0, end - time.monotonic())
            slice_ = min(LONGEST_WAIT, int(left + 0.999))
            answer = self._call("GET", f"/v1/requests/{_checked(request_id)}?wait={slice_}", timeout=slice_ + 30)
            try:
                return _granted(answer)
            except Pending:
                if time.monotonic() >= end:
                    raise

    def capabilities(self) -> List[Capability]:
        """What is granted now."""
        return [Capability(held) for held in self._call("GET", "/v1/capabilities")["capabilities"]]

    def denials(self) -> List[Dict[str, Any]]:
        """The last refusals, newest last, each with its `detail` and whether asking can help."""
        return self._call("GET", "/v1/denials")["denials"]

    def narrow(
        self,
        capability_id: str,
        resource: Optional[str] = None,
        actions: Optional[Iterable[str]] = None,
        ttl_seconds: Optional[int] = None,
        **constraints: Any,
    ) -> Capability:
        """A smaller capability out of a larger one, for a helper that needs less. It ends with the one that it came from."""
        body: Dict[str, Any] = {}
        if resource is not None:
            body["resource"] = resource
        if actions is not None:
            body["actions"] = list(actions)
        if ttl_seconds is not None:
            body["ttl_seconds"] = ttl_seconds
        if constraints:
            body["constraints"] = constraints
        answer = self._call("POST", f"/v1/capabilities/{_checked(capability_id)}/narrow", body)
        # Outside of cells the answer holds the token, too.
        return Capability(answer.get("capability", answer))

    def release(self, capability_id: str) -> None:
        """Gives a capability back before its time."""
        self._call("POST", f"/v1/capabilities/{_checked(capability_id)}/release", {})

    def append_rows(
        self, resource: str, sheet: str, rows: Iterable[Iterable[Any]], because: Optional[str] = None
    ) -> Dict[str, Any]:
        """Appends rows to a sheet of a workbook. Cells are None, bool, numbers and text; text is never a formula."""
        body: Dict[str, Any] = {
            "operation": "sheet.append_rows",
            "resource": resource,
            "sheet": sheet,
            "rows": [list(row) for row in rows],
        }
        if because is not None:
            body["justification"] = because
        return self._call("POST", "/v1/operations", body, timeout=180)

    def _call(self, method: str, target: str, body: Any = None, timeout: float = 60) -> Any:
        connection = _Connection(self.path, timeout)
        try:
            headers = {"content-type": "application/json"} if body is not None else {}
            payload = json.dumps(body, allow_nan=False).encode() if body is not None else None
            connection.request(method, target, payload, headers)
            answer = connection.getresponse()
            content = answer.read(LARGEST_ANSWER + 1)
            if len(content) > LARGEST_ANSWER:
                raise Unreachable("the answer is too long")
            value = json.loads(content) if content else None
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise Unreachable(f"no answer at {self.path}: {error}") from error
        finally:
            connection.close()
        if 200 <= answer.status < 300:
            return value
        raise Denied(answer.status, value if isinstance(value, dict) else {})


def _default_path() -> str:
    if os.path.exists(IN_CELL):
        return IN_CELL
    home = os.environ.get("VALETKEY_HOME")
    if home:
        return os.path.join(home, "run", "agent.sock")
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR", "/run"), "valetkey", "agent.sock")


def _checked(identifier: str) -> str:
    if not _ID.match(identifier):
        raise ValueError(f"not an id: {identifier!r}")
    return identifier


def _granted(answer: Dict[str, Any]) -> Capability:
    state = answer.get("state")
    if state == "granted":
        return Capability(answer["capability"])
    if state == "pending":
        raise Pending(answer["request_id"], answer["expires_at"])
    # An answer that this client does not know is no grant.
    raise Unreachable(f"the door answered with the unknown state {state!r}")


def _main(arguments: Optional[List[str]] = None) -> int:
    """The command line. Exit status as the `valetkey` program's: 0 granted, 3 denied, 6 not reachable; 1 while it waits."""
    parser = argparse.ArgumentParser(prog="valetkey.py", description="Asks Valetkey for access.")
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help="ask for access to a resource")
    ask.add_argument("what", metavar="RESOURCE=ACTIONS", help="such as file:/home/alice/notes.txt=read,append")
    ask.add_argument("--because", metavar="TEXT", help="why, in words for the person who is asked")
    ask.add_argument("--wait", metavar="SECONDS", type=float, default=120.0, help="how long to wait for a person (120)")
    commands.add_parser("list", help="what is granted now")
    commands.add_parser("denials", help="what was refused")
    options = parser.parse_args(arguments)
    door = Valetkey()
    try:
        if options.command == "ask":
            resource, _, actions = options.what.rpartition("=")
            if not resource:
                parser.error("write it as RESOURCE=ACTIONS, for example file:/home/alice/notes.txt=read")
            result: Any = door.ask(resource, actions.split(","), because=options.because, wait=options.wait)
        elif options.command == "list":
            result = door.capabilities()
        else:
            result = door.denials()
    except Denied as refusal:
        print(f"error: {refusal.detail}", file=sys.stderr)
        if refusal.how_to_request:
            print(f"  next: {refusal.how_to_request}", file=sys.stderr)
        return 3
    except Pending as pending:
        print(f"error: {pending}", file=sys.stderr)
        return 1
    except Unreachable as error:
        print(f"error: {error}", file=sys.stderr)
        return 6
    json.dump(result, sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
