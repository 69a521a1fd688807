"""Checks checkpoints and proofs with tlog-scales, which knows nothing of Chancery. Any failure is an exception.

inclusion PROOF RECORD VKEY...              a tlog-proof file and the record it is for; every key must have signed
consistency OLD NEW HASHES VKEY...          two checkpoint files, a file of base64 hashes; every key signed both
"""
import base64
import sys
from pathlib import Path

from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint, ConsistencyProof, InclusionProof


def hashes(text):
    return [base64.b64decode(line, validate=True) for line in text.splitlines()]


def checkpoint(text, vkeys):
    read = Checkpoint.from_text(text)
    for vkey in vkeys:
        read.verify(Vkey.from_string(vkey))
    return read


def inclusion(proof, record, *vkeys):
    head, note = Path(proof).read_text().split("\n\n", 1)
    version, index, path = (head + "\n").split("\n", 2)
    assert version == "c2sp.org/tlog-proof@v1", version
    word, index = index.split(" ")
    assert word == "index", word
    tree = checkpoint(note, vkeys)
    leaf = leaf_hash(Path(record).read_bytes())
    InclusionProof(int(index), tree.size, hashes(path)).check(leaf, tree.root_hash)
    print(f"{tree.origin}: {index} of {tree.size}")


def consistency(old, new, proof, *vkeys):
    first, second = (checkpoint(Path(note).read_text(), vkeys) for note in (old, new))
    assert first.origin == second.origin, (first.origin, second.origin)
    proof = ConsistencyProof(first.size, second.size, hashes(Path(proof).read_text()))
    proof.check(first.root_hash, second.root_hash)
    print(f"{first.origin}: {first.size} to {second.size}")


{"inclusion": inclusion, "consistency": consistency}[sys.argv[1]](*sys.argv[2:])
