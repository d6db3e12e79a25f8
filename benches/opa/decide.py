"""Open Policy Agent as a library, on the same bundles and inputs as ours: what it decides, and how long it takes.

Reads one JSON document on standard input and writes one on standard output:

    {"engines": [{"entry": "valetkey.decision", "modules": {NAME: TEXT}, "data": OBJECT}], "inputs": [INPUT], "rounds": N}
    {"decisions": [[DECISION or null, one for each engine], one for each input], "nanoseconds": [N, one for each decision of each round]}

The library is found as the Python package `opa_bindings`, or unpacked in the directory that VALETKEY_OPA_DIR names. Its own wrapper
wants a newer Python than most have, so the shared library is called directly; what is timed is that call alone: the input as JSON text
in, the answer as JSON text out, one after the other for each engine.
"""

import ctypes
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

MISSING = 69  # EX_UNAVAILABLE


def library():
    """The path of the shared library, or none."""
    places = []
    if os.environ.get("VALETKEY_OPA_DIR"):
        places.append(Path(os.environ["VALETKEY_OPA_DIR"]) / "opa_bindings")
    spec = importlib.util.find_spec("opa_bindings")
    if spec and spec.origin:
        places.append(Path(spec.origin).parent)
    return next((place / "libopabridge.so" for place in places if (place / "libopabridge.so").is_file()), None)


class Engine:
    """One bundle, compiled."""

    def __init__(self, bridge, given):
        self.bridge = bridge
        self.handle = bridge.OpaNew()
        self.entry = given["entry"].encode()
        for name, text in given["modules"].items():
            self.checked(bridge.OpaAddPolicy(self.handle, name.encode(), text.encode()))
        self.checked(bridge.OpaAddData(self.handle, b"", json.dumps(given["data"]).encode()))

    def decide(self, text):
        """The raw answer for an input that is JSON text; to be given to `taken`."""
        return self.bridge.OpaEvalDocument(self.handle, self.entry, text, 0, 0)

    def taken(self, pointer):
        """An answer as text, and its memory given back."""
        if not pointer:
            raise RuntimeError("the library answered nothing")
        try:
            return ctypes.string_at(pointer)
        finally:
            self.bridge.OpaFreeString(pointer)

    def checked(self, pointer):
        answer = json.loads(self.taken(pointer))
        if answer.get("error"):
            raise RuntimeError(answer["error"])
        return answer

    def decision(self, text):
        """The decision, or none where it is undefined."""
        found = self.checked(self.decide(text)).get("result") or []
        expressions = found[0].get("expressions") if found else None
        return expressions[0]["value"] if expressions else None


def load(path):
    """The shared library with its calls typed."""
    bridge = ctypes.CDLL(str(path))
    handle, text = ctypes.c_uint64, ctypes.c_char_p
    calls = {
        "OpaNew": (handle, []),
        "OpaFreeString": (None, [ctypes.c_void_p]),
        "OpaAddPolicy": (ctypes.c_void_p, [handle, text, text]),
        "OpaAddData": (ctypes.c_void_p, [handle, text, text]),
        "OpaEvalDocument": (ctypes.c_void_p, [handle, text, text, ctypes.c_int, ctypes.c_int]),
    }
    for name, (result, arguments) in calls.items():
        getattr(bridge, name).restype = result
        getattr(bridge, name).argtypes = arguments
    return bridge


def main():
    path = library()
    if path is None:
        print("the library is not there", file=sys.stderr)
        return MISSING
    bridge = load(path)
    given = json.load(sys.stdin)
    engines = [Engine(bridge, one) for one in given["engines"]]
    inputs = [json.dumps(one).encode() for one in given["inputs"]]
    decisions = [[engine.decision(text) for engine in engines] for text in inputs]
    nanoseconds = []
    for _ in range(given["rounds"]):
        for text in inputs:
            start = time.perf_counter_ns()
            answers = [engine.decide(text) for engine in engines]
            nanoseconds.append(time.perf_counter_ns() - start)
            for engine, answer in zip(engines, answers):
                engine.taken(answer)
    json.dump({"decisions": decisions, "nanoseconds": nanoseconds}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
