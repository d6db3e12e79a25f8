"""A log of another maker asks a witness: feed.py URL VKEY SEED, where SEED is what the log's key is made from.

Prints what the witness made of a first tree, of one that continues it, and of one that does not.
"""

import hashlib
import sys

from aics_tlog import Checkpoint, MerkleTree, format_vkey, sign_checkpoint, vkey_from_ed25519
from aics_witness.feeder import WitnessClient, WitnessRejected
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "other.test/log"


def main():
    url, vkey, seed = sys.argv[1:]
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    if url == "key":
        print(format_vkey(vkey_from_ed25519(ORIGIN, key.public_key())))
        return
    client = WitnessClient(url, vkey)

    def submit(leaves):
        tree = MerkleTree(leaf.encode() for leaf in leaves)
        note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), key, ORIGIN)
        client.submit(note.serialise(), tree.consistency_proof)

    submit("abcde")
    print("first")
    submit("abcdefghi")
    print("continued")
    try:
        submit("abcdXfghijkl")
    except WitnessRejected as refused:
        print("refused", refused.status)


main()
