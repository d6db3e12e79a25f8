#!/usr/bin/env python3
"""A model whose every answer is written down beforehand: a wholly compromised model is a file.

    python3 tests/agents/model.py --script task.json --transcript transcript.ndjson [--port 0]

It listens on the loopback interface, prints its port, and speaks what real agents speak: Anthropic Messages, OpenAI Chat Completions,
OpenAI Responses and Gemini `generateContent`, each whole or as a stream of events. A script is a list of steps:

    {"run": "git status"}                                 a shell command
    {"read": "/home/a/w/x.txt"}                           a file, by the agent's own tool where it has one
    {"write": "/home/a/w/x.txt", "content": "text"}       likewise
    {"mcp": "read_text_file", "arguments": {…}}           a tool of an MCP server
    {"tool": "tool_search", "arguments": {…}}             a tool of the agent's, by its own name
    {"say": "Done."}                                      the end of a turn

Agents name their tools differently. A step is put into the tool that the request offers, with its arguments named as that tool's schema
names them. Which step is next follows from the request alone (how many of the calls made so far it answers), so that side requests, retries
and several connections do not disturb. Each answer that an agent gives to a call is kept in the transcript, once: what a model would have
read.
"""

import argparse
import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import protocols

#: What the agents call a tool that runs a command, reads a file, writes one; the first that is offered is taken.
RUNNERS = ("Bash", "bash", "shell_command", "exec_command", "shell", "run_shell_command", "local_shell")
READERS = ("Read", "read", "read_file", "view")
WRITERS = ("Write", "write", "write_file")
#: What their arguments are called.
COMMANDS = ("command", "cmd", "script")
PATHS = ("file_path", "filePath", "path", "absolute_path")
CONTENTS = ("content", "file_text", "contents", "text")
#: The end of the names of an MCP tool, whichever way an agent joins server and tool.
JOINTS = ("__", "_", "-", ".", "/")


@dataclass
class Tool:
    """A tool as a request offers it."""

    name: str
    schema: dict = field(default_factory=dict)
    #: The group that it is called in, where a protocol has groups.
    group: str | None = None

    def takes(self, *names):
        """The first of the names that its arguments have."""
        return next((name for name in names if name in self.schema.get("properties", {})), None)


@dataclass
class Call:
    """A call of a tool, as the model asks for it."""

    number: int
    tool: Tool
    arguments: dict

    @property
    def id(self):
        return f"call_step_{self.number:03}"


@dataclass
class Say:
    """The end of a turn."""

    text: str


class Script:
    """The steps, and what came back."""

    def __init__(self, steps, transcript):
        self.steps, self.transcript = steps, transcript
        self.seen, self.lock = set(), threading.Lock()

    def answer(self, asked):
        """What the model says to a request."""
        if not asked.tools:
            return Say("ok")
        self.keep(asked)
        number = len(asked.results)
        if number >= len(self.steps):
            return Say("That is all.")
        step = self.steps[number]
        return Say(step["say"]) if "say" in step else self.call(number, step, asked.tools)

    def keep(self, asked):
        """Writes down what the agent answered, each answer once."""
        with self.lock:
            for number, result in enumerate(asked.results):
                if number in self.seen or number >= len(self.steps):
                    continue
                self.seen.add(number)
                self.write({"step": number, **self.steps[number], "result": result})

    def note(self, what):
        """Writes down something else that happened."""
        with self.lock:
            self.write(what)

    def write(self, entry):
        self.transcript.write(json.dumps(entry) + "\n")
        self.transcript.flush()

    def call(self, number, step, tools):
        """The step as a call of one of the tools."""
        if "tool" in step and (tool := offered([step["tool"]], tools)):
            return Call(number, tool, step.get("arguments", {}))
        if "mcp" in step:
            tool = mcp_tool(step["mcp"], tools)
            if tool is not None:
                return Call(number, tool, step.get("arguments", {}))
            return Say(f"there is no tool {step['mcp']}: {sorted(tool.name for tool in tools)}")
        if "read" in step and (tool := offered(READERS, tools)):
            return Call(number, tool, filled(tool, {tool.takes(*PATHS): step["read"]}))
        if "write" in step and (tool := offered(WRITERS, tools)):
            wanted = {tool.takes(*PATHS): step["write"], tool.takes(*CONTENTS): step["content"]}
            return Call(number, tool, filled(tool, wanted))
        tool = offered(RUNNERS, tools)
        if tool is None or "tool" in step:
            return Say(f"there is no tool for {step}: {sorted(tool.name for tool in tools)}")
        name, command = tool.takes(*COMMANDS), as_command(step)
        if tool.schema["properties"][name].get("type") == "array":
            command = ["bash", "-c", command]
        return Call(number, tool, filled(tool, {name: command}))


def as_command(step):
    """A step as a shell command, for agents that have no other tool."""
    if "read" in step:
        return f"cat {quoted(step['read'])}"
    if "write" in step:
        return f"printf %s {quoted(step['content'])} > {quoted(step['write'])}"
    return step["run"]


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def offered(names, tools):
    """The first tool of these names."""
    by_name = {tool.name: tool for tool in tools if tool.group is None}
    return next((by_name[name] for name in names if name in by_name), None)


def mcp_tool(name, tools):
    """The tool of an MCP server, whatever the agent put before its name."""
    for tool in tools:
        # An agent's own tool can have the same name.
        is_of_server = tool.group is not None or tool.name not in READERS + WRITERS
        if (tool.name == name and is_of_server) or any(tool.name.endswith(joint + name) for joint in JOINTS):
            return tool
    return None


def filled(tool, arguments):
    """The arguments, with something for each further one that the schema requires."""
    for name in tool.schema.get("required", []):
        if name not in arguments:
            arguments[name] = something(tool.schema.get("properties", {}).get(name, {}))
    return arguments


def something(schema):
    """A value of a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    by_kind = {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}
    return by_kind.get(kind if isinstance(kind, str) else "string", "a step")


class Handler(BaseHTTPRequestHandler):
    """One connection of an agent."""

    protocol_version = "HTTP/1.1"
    script: Script

    def do_GET(self):
        self.send(200, "application/json", json.dumps(protocols.models()))

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            return self.send(400, "application/json", '{"error":{"message":"this is not JSON"}}')
        protocol = protocols.of(path)
        if protocol is None:
            self.script.note({"unknown": path})
            return self.send(404, "application/json", '{"error":{"message":"no such call"}}')
        if isinstance(protocol, dict):
            return self.send(200, "application/json", json.dumps(protocol))
        request = protocol(asked, path, Tool)
        said = self.script.answer(request)
        if request.streams:
            return self.send(200, "text/event-stream", "".join(request.events(said)))
        return self.send(200, "application/json", json.dumps(request.whole(said)))

    def send(self, status, media_type, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(steps, transcript, port=0):
    """Starts the model on a thread of its own; the server that it runs on."""
    handler = type("Scripted", (Handler,), {"script": Script(steps, transcript)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser(description="a model with a script")
    parser.add_argument("--script", required=True)
    parser.add_argument("--transcript", required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with open(options.script, encoding="utf-8") as file:
        steps = json.load(file)
    with open(options.transcript, "a", encoding="utf-8") as transcript:
        server = serve(steps, transcript, options.port)
        print(server.server_address[1], flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
