"""What journald's sealing makes of the kinds of tampering that docs/audit-attacks.md lists: `sudo tests/journal/compare.py`.

Needs root and Debian's systemd-journal-remote, which writes sealed journals without a running systemd. Everything happens in a mount namespace of its own, over an
empty /var/log/journal. Prints the rows of the table.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

REMOTE = "/lib/systemd/systemd-journal-remote"
BOOT = "0123456789abcdef0123456789abcdef"


def setup():
    """New sealing keys, of one-second epochs; the verification key."""
    words = ["journalctl", "--setup-keys", "--force", "--interval=1s"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]


def write(path, word, count=16, seal=True):
    """Entries over some epochs, in a journal that is sealed with the keys of now."""
    words = [REMOTE, f"--seal={'yes' if seal else 'no'}", "--compress=no", "-o", path, "-"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, text=True) as remote:
        for number in range(count):
            real, mono = int(time.time() * 1e6), int(time.monotonic() * 1e6)
            remote.stdin.write(
                f"__REALTIME_TIMESTAMP={real}\n__MONOTONIC_TIMESTAMP={mono}\n_BOOT_ID={BOOT}\n"
                f"MESSAGE={word} number {number} of them\nPRIORITY=6\n\n"
            )
            remote.stdin.flush()
            time.sleep(0.25)


def holds(path, key):
    words = ["journalctl", "--verify", f"--verify-key={key}", "--file", path]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def compare(place, scratch):
    key = setup()
    first_keys = f"{scratch}/first"
    shutil.copy(f"{place}/fss", first_keys)
    journal = f"{place}/remote-a.journal"
    write(journal, "event")
    early, keys_then = f"{scratch}/early.journal", f"{scratch}/then"
    shutil.copy(journal, early)
    shutil.copy(f"{place}/fss", keys_then)
    write(journal, "later")
    if not holds(journal, key):
        sys.exit("a whole journal does not verify here")
    with open(journal, "rb") as file:
        whole = file.read()

    def changed(change):
        path, content = f"{place}/remote-x.journal", bytearray(whole)
        change(content)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def put(word, at, content):
        def change(journal_bytes):
            place_of = journal_bytes.index(word) + at
            journal_bytes[place_of : place_of + len(content)] = content

        return changed(change)

    def anew(name, keys, word, start=None, seal=True):
        path = f"{place}/{name}.journal"
        shutil.copy(keys, f"{place}/fss")
        if start:
            shutil.copy(start, path)
        write(path, word, seal=seal)
        return path

    def tell(what, path, verification_key=key):
        print(f"| {what} | {'**misses it**' if holds(path, verification_key) else 'finds it'} |", flush=True)

    middle = b"event number 5 "
    tell("one bit flipped in an event", put(middle, 0, bytes([middle[0] ^ 1])))
    tell("a word changed for one of the same length", put(middle, 0, b"eVenT"))
    tell("an event overwritten with zeros", put(middle, 0, bytes(12)))
    tell("the last event changed", put(b"later number 15 ", 0, b"L"))
    tell("the file cut in the middle", changed(lambda content: content.__delitem__(slice(len(content) // 2, None))))
    tell("an earlier copy put in the place of the file", early)
    tell("forked: an earlier copy, gone on with the keys of its time", anew("remote-f", keys_then, "forged", early))
    tell("written anew by whoever is able to verify", anew("remote-n", first_keys, "other"))
    tell("written anew without seals", anew("remote-u", first_keys, "plain", seal=False))
    setup()
    shutil.copy(f"{place}/fss", f"{scratch}/mine")
    tell("written anew with another key", anew("remote-v", f"{scratch}/mine", "mine"))


def main():
    if "--inside" not in sys.argv:
        words = ["unshare", "--mount", sys.executable, os.path.abspath(__file__), "--inside"]
        sys.exit(subprocess.run(words, check=False).returncode)
    os.makedirs("/var/log/journal", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/var/log/journal"], check=True)
    with open("/etc/machine-id", encoding="ascii") as file:
        place = f"/var/log/journal/{file.read().strip()}"
    os.makedirs(place)
    with tempfile.TemporaryDirectory() as scratch:
        compare(place, scratch)


main()
