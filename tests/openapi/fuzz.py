#!/usr/bin/env python3
"""Fuzzes the doors of a real broker, and of a real cell, with schemathesis against their checked-in descriptions.

    python3 tests/openapi/fuzz.py --programs target/debug [--door operator]… [--seconds 35] [--seed 1]

Schemathesis speaks HTTP over TCP and the doors over Unix sockets, so this program passes the bytes on, and changes none of them. It is
the peer that the doors see: it opens the guard's session and the outside agent's itself, so that ids which schemathesis is given belong
to whoever uses them. The door in a cell is reached through a relay that runs in the cell, as the agent, on the descriptors that
`valetkey run` gave it.

Checked are: no server error, only statuses and media types that the description names, bodies of the form that it names, and that what
breaks the form is refused. `POST /v1/stop` is called by this program itself, in the end. The exit status is 0 when all of it held, 1 when
not, 2 when it could not be tried.
"""

import argparse
import copy
import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("operator", "guard", "outside", "cell")
CHECKS = ",".join([
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection", "unsupported_method", "allow_header_conformance",
])
#: The system's own: one below a home is not in the cell.
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
#: One piece of a connection through the relay: which connection, and how many bytes; none is its end.
FRAME = struct.Struct(">II")


def pump(source, sink):
    """Passes bytes on until their end, and then the end."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def listen(handle):
    """A TCP port whose every connection is given to `handle`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=handle, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def forward_to(path):
    """A TCP port that leads to a Unix socket, with this process as the peer."""

    def handle(peer):
        with peer, socket.socket(socket.AF_UNIX) as door:
            door.connect(str(path))
            back = threading.Thread(target=pump, args=(door, peer), daemon=True)
            back.start()
            pump(peer, door)
            back.join()

    return listen(handle)


class Pieces:
    """Connections side by side over one pair of streams."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.lock = threading.Lock()
        self.open = {}

    def send(self, number, data):
        with self.lock:
            self.sink.write(FRAME.pack(number, len(data)) + data)
            self.sink.flush()

    def carry(self, number, connection):
        """Sends what a connection says, and its end."""
        try:
            while data := connection.recv(65536):
                self.send(number, data)
            self.send(number, b"")
        except (OSError, ValueError):
            # The stream of pieces is closed: there is nobody left to tell.
            pass

    def receive(self, unknown):
        """Hands what comes to the connection that it is for, until the stream ends."""
        while len(head := self.source.read(FRAME.size)) == FRAME.size:
            number, length = FRAME.unpack(head)
            data = self.source.read(length)
            connection = self.open.get(number) or unknown(number)
            try:
                if data:
                    connection.sendall(data)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    self.open.pop(number, None)
            except OSError:
                pass


def relay(path):
    """In the cell: passes each connection that comes in pieces on to the agent's socket."""
    pieces = Pieces(sys.stdin.buffer, sys.stdout.buffer)

    def connect(number):
        door = socket.socket(socket.AF_UNIX)
        door.connect(path)
        pieces.open[number] = door
        threading.Thread(target=pieces.carry, args=(number, door), daemon=True).start()
        return door

    pieces.receive(connect)


def forward_into(process):
    """A TCP port that leads through the relay in a cell."""
    pieces = Pieces(process.stdout, process.stdin)
    numbers = iter(range(1, 1 << 32))

    def handle(peer):
        number = next(numbers)
        pieces.open[number] = peer
        pieces.carry(number, peer)

    def gone(_number):
        return socket.socket()

    threading.Thread(target=pieces.receive, args=(gone,), daemon=True).start()
    return listen(handle)


def call(port, method, path, body=None):
    """One call, whole: the status and what was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    payload = None if body is None else json.dumps(body)
    connection.request(method, path, payload, {"content-type": "application/json"})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def granted(port, method, path, body):
    status, answer = call(port, method, path, body)
    if status != 200:
        raise RuntimeError(f"{method} {path}: {status} {answer}")
    return answer


def for_door(door):
    """A door's description alone, as it is to be fuzzed: of what is answered in two ways, the way of this door."""
    name = {"cell": "agent", "outside": "agent"}.get(door, door)
    whole = json.loads((ROOT / "schemas" / f"openapi-{name}.json").read_text())
    way = {"cell": 0, "outside": 1}.get(door)
    paths = {}
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            if door not in operation["tags"] or path == "/v1/stop":
                continue
            operation = copy.deepcopy(operation)
            for content in operation["responses"]["200"]["content"].values():
                ways = content["schema"].get("anyOf")
                if way is not None and ways:
                    content["schema"] = ways[way]
            paths.setdefault(path, {})[method] = operation
    whole["paths"] = paths
    if door == "cell":
        # What the agent in a cell is told is closed: a token in it would be found.
        for form in whole["components"]["schemas"]["AgentRequestState"]["oneOf"]:
            form["additionalProperties"] = False
        whole["components"]["schemas"]["Capability"]["additionalProperties"] = False
    return whole


def knowing(document, ids, spared=()):
    """The same, where ids are often ones that are there; but not for the operations that would end them at once."""

    def either(name):
        return {"anyOf": [{"enum": ids[name]}, {"$ref": f"#/components/schemas/{name}"}]}

    for methods in document["paths"].values():
        for operation in methods.values():
            if operation["operationId"] in spared:
                continue
            # A minute of waiting for a person who is not there would be the whole time there is.
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if one["name"] != "wait"]
            for parameter in operation.get("parameters", []):
                name = parameter["schema"].get("$ref", "").rsplit("/", 1)[-1]
                if name in ids:
                    parameter["schema"] = either(name)
    for schema in document["components"]["schemas"].values():
        for member, form in schema.get("properties", {}).items():
            name = form.get("$ref", "").rsplit("/", 1)[-1]
            if name in ids and member == "session" and schema.get("additionalProperties") is False:
                schema["properties"][member] = either(name)
    if "Resource" in ids:
        # A form as wide as that of resources seldom meets one that something can be said of.
        form = document["components"]["schemas"]["Resource"]
        document["components"]["schemas"]["AnyResource"] = dict(form)
        document["components"]["schemas"]["Resource"] = {
            "anyOf": [{"enum": ids["Resource"]}, {"$ref": "#/components/schemas/AnyResource"}]
        }
    return document


class House:
    """A home for a broker of its own, with what the doors are asked for."""

    def __init__(self, programs):
        self.programs = Path(programs).resolve()
        self.place = Path(tempfile.mkdtemp(prefix="valetkey-openapi-", dir="/var/tmp"))
        self.home = self.place / "home"
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        (self.work / "a.txt").write_text("a\n")
        shutil.copy(__file__, self.work / "fuzz.py")
        keep = ("PATH", "LANG")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        self.environment |= {"HOME": str(self.home), "VALETKEY_HOME": str(self.place / "state")}
        self.broker = None

    def door(self, name):
        return self.place / "state" / "run" / f"{name}.sock"

    def start(self):
        log = open(self.place / "broker.log", "wb")
        self.broker = subprocess.Popen([self.programs / "valetkeyd"], env=self.environment, cwd=self.home, stdout=log, stderr=log)
        for _ in range(600):
            if self.door("operator").exists() and self.broker.poll() is None:
                return
            time.sleep(0.1)
        raise RuntimeError("the broker does not start: " + (self.place / "broker.log").read_text())

    def stop(self):
        """Ends the broker through its door, which is a call that cannot be fuzzed; whether it was as described."""
        port = forward_to(self.door("operator"))
        answer = call(port, "POST", "/v1/stop")
        try:
            self.broker.wait(60)
        except subprocess.TimeoutExpired:
            return False
        return answer == (200, None)

    def cell(self):
        command = [self.programs / "valetkey", "run", "--workspace", self.work, "--", PYTHON, self.work / "fuzz.py", "--relay"]
        return subprocess.Popen(command, env=self.environment, cwd=self.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def resources(self):
        return [f"file:{self.work}/a.txt", f"file:{self.work}/**", f"file:{self.home}/notes.txt", "file:/etc/shadow"]

    def clear(self):
        if self.broker and self.broker.poll() is None:
            self.broker.terminate()
            self.broker.wait(60)
        shutil.rmtree(self.place, ignore_errors=True)


def guard_ids(house, port):
    """A session that this process holds, and capabilities in it."""
    opened = granted(port, "POST", "/v1/sessions", {
        "agent": "fuzzed", "agent_digest": None, "purpose": None, "workspace": f"file:{house.work}/**", "grants": [], "policy": None,
    })
    ids = {"SessionId": [opened["session"]], "CapabilityId": [], "Resource": house.resources()}
    for number in range(4):
        ask = {"session": opened["session"], "resource": f"file:{house.work}/{number}", "actions": ["read", "write"], "may_ask": False}
        ids["CapabilityId"].append(granted(port, "POST", "/v1/requests", ask)["granted"]["capability"]["capability_id"])
    return ids


def agent_ids(house, port):
    """What an agent at this door holds, and a request of its own."""
    held = granted(port, "GET", "/v1/capabilities", None)["capabilities"]
    ids = {"Resource": house.resources()}
    if held:
        ids["CapabilityId"] = [one["capability_id"] for one in held]
    status, answer = call(port, "POST", "/v1/requests", {"resource": f"file:{house.home}/notes.txt", "actions": ["read"]})
    if "request_id" in answer:
        ids["RequestId"] = [answer["request_id"]]
    return ids


def fuzz(door, port, document, arguments, place):
    """Runs schemathesis; whether it found nothing."""
    file = place / f"{door}.json"
    file.write_text(json.dumps(document))
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", file, "--url", f"http://127.0.0.1:{port}", "--checks", CHECKS,
        "--seed", str(arguments.seed), "--max-time", str(arguments.seconds), "--max-examples", str(arguments.examples),
        "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-shrink", "--generation-database", "none",
        "--suppress-health-check", "all", "--request-timeout", "30", "--warnings", "off", "--no-color",
    ]
    print(f"\n== the {door} door", flush=True)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, cwd=place, env=environment, timeout=arguments.seconds * 6 + 60)
    except subprocess.TimeoutExpired:
        print(f"the {door} door: it took too long")
        return False
    return done.returncode == 0


def one_door(door, house, arguments):
    document, process = for_door(door), None
    try:
        if door == "cell":
            process = house.cell()
            port = forward_into(process)
        else:
            port = forward_to(house.door({"outside": "agent"}.get(door, door)))
        if door == "guard":
            ids = guard_ids(house, port)
            document = knowing(document, ids, spared=("close", "news"))
        elif door in ("outside", "cell"):
            document = knowing(document, agent_ids(house, port), spared=("release",))
        else:
            document = knowing(document, {"Resource": house.resources()})
        found_nothing = fuzz(door, port, document, arguments, house.place)
        if door == "guard":
            # Ids are learnt from answers, so that by now the first session may have been closed.
            ids = guard_ids(house, port)
            closed = call(port, "POST", f"/v1/sessions/{ids['SessionId'][0]}/close", {"exit_status": 0})
            if closed != (200, None):
                print(f"closing the session: {closed}")
                found_nothing = False
        return found_nothing
    finally:
        if process:
            process.stdin.close()
            process.wait(60)


def main():
    parser = argparse.ArgumentParser(description="fuzzes the doors against their descriptions")
    parser.add_argument("--programs", default=str(ROOT / "target" / "debug"), help="where valetkey and valetkeyd are")
    parser.add_argument("--door", action="append", choices=DOORS, help="this one alone; otherwise all")
    parser.add_argument("--seconds", type=int, default=20, help="for each door")
    parser.add_argument("--examples", type=int, default=60, help="for each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--relay", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.relay:
        relay("/run/valetkey/agent.sock")
        return 0
    house = House(arguments.programs)
    try:
        house.start()
        results = {door: one_door(door, house, arguments) for door in arguments.door or DOORS}
        results["stop"] = house.stop()
    except (OSError, RuntimeError) as error:
        print(f"could not be tried: {error}", file=sys.stderr)
        return 2
    finally:
        house.clear()
    print("\n" + ", ".join(f"{door}: {'as described' if well else 'NOT as described'}" for door, well in results.items()))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
