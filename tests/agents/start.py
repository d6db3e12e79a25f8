#!/usr/bin/env python3
"""Measures how long agents take to start: directly, under `valetkey run`, and under `srt` (`@anthropic-ai/sandbox-runtime`), one after the other.

    python3 tests/agents/start.py --programs target/release --path DIR-OF-AGENTS-AND-SRT [--rounds 20]

Measure on a quiet machine, and with programs built in release mode. `srt` wants bubblewrap, socat and ripgrep. What does not start is left out.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

COMMANDS = (["true"], ["codex", "--version"], ["claude", "--version"])
USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"
SETTINGS = {"network": {"allowedDomains": [], "deniedDomains": []}, "filesystem": {"denyRead": [], "allowWrite": ["."], "denyWrite": []}}


def ways(command, valetkey, work, settings):
    """The same command in three ways."""
    return {
        "directly": command,
        "valetkey": [str(valetkey), "run", "--unattended", "--workspace", str(work), "--", *command],
        "srt": ["srt", "--settings", str(settings), "-c", " ".join(command)],
    }


def took_ms(command, environment, work):
    """How long one start takes; nothing if it does not end well."""
    begun = time.monotonic()
    try:
        ended = subprocess.run(command, env=environment, cwd=work, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (time.monotonic() - begun) * 1000 if ended.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description="how long agents take to start")
    parser.add_argument("--programs", required=True, type=Path)
    parser.add_argument("--path", required=True, help="where the agents and srt are")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    valetkey = options.programs.resolve() / "valetkey"
    with tempfile.TemporaryDirectory(prefix="vk-start-", dir="/var/tmp") as root:
        places = {name: Path(root) / name for name in ("work", "home", "state")}
        for place in places.values():
            place.mkdir()
        settings = Path(root) / "srt.json"
        settings.write_text(json.dumps(SETTINGS))
        environment = {
            "PATH": f"{options.path}:{USUAL_PATH}", "HOME": str(places["home"]), "VALETKEY_HOME": str(places["state"]), "LANG": "C.UTF-8",
        }
        try:
            for command in COMMANDS:
                took = {}
                for _ in range(options.rounds):
                    for name, way in ways(command, valetkey, places["work"], settings).items():
                        took.setdefault(name, []).append(took_ms(way, environment, places["work"]))
                for name, times in took.items():
                    if None not in times:
                        print(f"{' '.join(command):18} {name:9} median {statistics.median(times):8.1f} ms, least {min(times):8.1f} ms", flush=True)
        finally:
            subprocess.run([str(valetkey), "stop"], env=environment, capture_output=True)


if __name__ == "__main__":
    main()
