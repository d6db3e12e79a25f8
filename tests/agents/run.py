#!/usr/bin/env python3
"""Runs real agents, each through a whole task under `valetkey run`, with a model that tries to get out.

    python3 tests/agents/run.py --programs target/debug [--cache DIR] [--keep] [AGENT…]

Agents are installed from npm and PyPI in the versions of `known.py`, into a directory outside of the tree. The model is `model.py`; the
task and its side-steps are in `task.py`. Each agent reads and edits files, runs a test and git, and uses MCP; then it is held that the work is
done, that every side-step was refused and left nothing behind, that what the model read says so in words, that the log tells of it and is whole,
and that `valetkey undo` puts everything back.

The last line of each agent is as Rust's test harness writes it. One that cannot be installed is told of as `SKIPPED:`. The exit status is 0 when
nothing failed.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import model
from house import FIXED, SECRET, House
from known import AGENTS
from task import SIDE_STEP, steps

#: The longest that an agent may take for the whole task, and one of Valetkey's own commands.
AGENT_SECONDS, OWN_SECONDS = 90, 30
USUAL = ("claude-code", "codex")


class Checks:
    """What holds and what does not."""

    def __init__(self, agent):
        self.agent, self.passed, self.failed = agent, 0, 0

    def that(self, what, holds, why=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"test {self.agent}::{what} ... {'ok' if holds else 'FAILED'}", flush=True)
        if not holds:
            print(f"    {why}", flush=True)

    def end(self, seconds):
        word = "ok" if self.failed == 0 else "FAILED"
        print(f"test result: {word}. {self.passed} passed; {self.failed} failed; 0 ignored; finished in {seconds:.2f}s\n", flush=True)
        return self.failed == 0


def install(agent, cache):
    """Installs an agent, if it is not there already; the directory of its command, or why not."""
    place = cache / f"{agent.name}-{agent.packages[0].rsplit('@', 1)[-1].rsplit('==', 1)[-1]}"
    commands = place / ("node_modules/.bin" if agent.installer == "npm" else "venv/bin")
    done = place / ".installed"
    if done.exists():
        return commands, None
    place.mkdir(parents=True, exist_ok=True)
    if agent.installer == "npm":
        ways = [["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(place), *agent.packages]]
    else:
        ways = [[sys.executable, "-m", "venv", str(place / "venv")], [str(commands / "pip"), "install", "-q", *agent.packages]]
    if agent.after:
        ways.append(agent.after)
    for way in ways:
        try:
            ended = subprocess.run(way, cwd=place, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, str(error)
        if ended.returncode != 0:
            return None, (ended.stderr or ended.stdout).strip()[-300:]
    done.touch()
    return commands, None


def transcript(file):
    """What the model read, by the number of the step."""
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    return {entry["step"]: entry for entry in entries if "step" in entry}


def valetkey(programs, house, *words):
    command = [str(programs / "valetkey"), *words]
    return subprocess.run(command, env=house.environment(), cwd=house.work, capture_output=True, text=True, timeout=OWN_SECONDS)


def perform(agent, programs, commands, house):
    """Runs the agent through the task; what came of it."""
    file = house.root / "transcript.ndjson"
    script = agent.first + steps(house, agent.own, agent.has_mcp)
    with open(file, "w", encoding="utf-8") as kept:
        server = model.serve(script, kept)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for name, text in agent.files.items():
            house.write(name, text.replace("{url}", url))
        before = house.tree()
        more = {name: value.replace("{url}", url) for name, value in agent.environment.items()}
        environment = house.environment(**more)
        environment["PATH"] = f"{commands}:{environment['PATH']}"
        grant = f"tcp:127.0.0.1:{server.server_address[1]}=connect"
        run = [str(programs / "valetkey"), "run", "--undo", "--unattended", "--with-login", "--workspace", ".", "--grant", grant]
        command = [*run, "--agent", agent.name, "--", *agent.command]
        process = subprocess.Popen(
            command, env=environment, cwd=house.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        timer = threading.Timer(AGENT_SECONDS, process.kill)
        timer.start()
        said, _ = process.communicate()
        timer.cancel()
        server.shutdown()
        server.server_close()
    return script, before, transcript(file), process.returncode, said


def events(programs, house):
    ended = valetkey(programs, house, "audit", "query", "-n", "100000", "--json")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def check(agent, programs, house, came):
    """Holds all that is promised of a run."""
    script, before, heard, status, said = came
    checks = Checks(agent.name)
    checks.that("it_ends_as_it_should", status == 0, f"status {status}: {said[-1500:]}")
    missing = [number for number, step in enumerate(script) if "say" not in step and number not in heard]
    checks.that("every_step_is_answered", not missing, f"{[script[number] for number in missing][:1]} of {len(missing)}: {said[-1500:]}")
    wrong = [
        (step, heard.get(number, {}).get("result"))
        for number, step in enumerate(script) if step.get("answers", "") not in str(heard.get(number, {}).get("result"))
    ]
    checks.that("each_answer_is_the_one_that_it_must_be", not wrong, wrong[:2])
    work = house.work
    made = not agent.has_mcp or (work / "made.txt").exists()
    checks.that("the_work_is_done", (work / "app.py").read_text() == FIXED and made, (work / "app.py").read_text())
    told = [entry for entry in heard.values() if SECRET in str(entry["result"])]
    checks.that("no_secret_reached_the_model", not told, told[:1])
    after = house.tree()
    outside = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name) and not name.startswith("work/")}
    steering = {name for name in after if "hooks/pre-commit" in name and not name.endswith(".sample") or name in ("work/CLAUDE.md", "work/AGENTS.md")}
    checks.that("nothing_outside_of_the_work_changed", not outside | steering, outside | steering)
    reached = (house.stranger.count, house.docker.count)
    checks.that("nobody_was_reached_who_was_not_granted", reached == (0, 0), reached)
    side_steps = [heard.get(number, {}).get("result", "") for number, step in enumerate(script) if step.get("is") == SIDE_STEP]
    checks.that("no_side_step_went_unnoticed", side_steps and all(str(result).strip() for result in side_steps), side_steps)
    check_log(agent, programs, house, checks)
    undone = valetkey(programs, house, "undo")
    now = house.tree()
    differ = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    checks.that("undo_puts_everything_back", undone.returncode == 0 and not differ, f"{differ} {undone.stdout} {undone.stderr}")
    return checks


def check_log(agent, programs, house, checks):
    found = events(programs, house)

    def has(kind, resource, decision=None, **attributes):
        return any(
            event["type"] == kind and resource in str(event.get("resource")) and decision in (None, event.get("decision"))
            and all(event.get("attributes", {}).get(name) == value for name, value in attributes.items())
            for event in found
        )

    wanted = {
        "the change": has("operation.performed", "work/app.py"),
        "the connection": has("operation.performed", "tcp:127.0.0.1:", operation="connect"),
        "the stranger": has("request.decided", f":{house.stranger.listener.getsockname()[1]}", "denied"),
        "the key": has("request.decided", ".ssh", "denied"),
        "the shell's start": has("request.decided", ".bashrc"),
        "its end": any(event["type"] == "session.closed" for event in found),
        "who it is": any(event.get("agent_id") == agent.name for event in found),
    }
    absent = [name for name, is_there in wanted.items() if not is_there]
    checks.that("the_log_tells_of_it", not absent, absent)
    verified = valetkey(programs, house, "audit", "verify")
    checks.that("the_log_is_whole", verified.returncode == 0, verified.stderr)


def trial(agent, programs, cache, keep):
    """One agent from its installation to the end."""
    commands, why = install(agent, cache)
    if commands is None:
        # As Rust's harness has it: what finds that it cannot run ends well and is counted apart.
        print(f"SKIPPED: {agent.name} cannot be installed here: {why}\ntest result: ok. 1 passed; 0 failed; 0 ignored\n", flush=True)
        return True
    house, begun = House(), time.monotonic()
    try:
        came = perform(agent, programs, commands, house)
        took = time.monotonic() - begun
        checks = check(agent, programs, house, came)
        if keep:
            print(f"kept: {house.root}")
            (house.root / "said").write_text(came[4])
        return checks.end(took)
    finally:
        valetkey(programs, house, "stop")
        if not keep:
            house.remove()


def main():
    parser = argparse.ArgumentParser(description="real agents with a scripted model")
    parser.add_argument("--programs", required=True, type=Path)
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "valetkey-tests/agents"
    parser.add_argument("--cache", type=Path, default=default)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("agents", nargs="*", default=list(USUAL), metavar="AGENT")
    options = parser.parse_args()
    unknown = [name for name in options.agents if name not in AGENTS]
    if unknown:
        parser.error(f"there are: {', '.join(AGENTS)}")
    programs = options.programs.resolve()
    results = [trial(AGENTS[name], programs, options.cache.resolve(), options.keep) for name in options.agents]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
