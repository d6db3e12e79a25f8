"""Opens with pyrage what comes in, and gives it out sealed by pyrage: `tests.py IDENTITY RECIPIENT`."""

import sys

import pyrage
from pyrage import x25519

identity = x25519.Identity.from_str(sys.argv[1])
recipient = x25519.Recipient.from_str(sys.argv[2])
assert str(identity.to_public()) == sys.argv[2]
content = pyrage.decrypt(sys.stdin.buffer.read(), [identity])
sys.stdout.buffer.write(pyrage.encrypt(content, [recipient]))
