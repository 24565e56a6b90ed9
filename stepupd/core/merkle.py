"""Merkle tree hashes (RFC 6962 section 2.1), kept as a frontier.

Law: leaves and nodes are hashed with different prefixes, so that neither passes for the other. A
frontier holds the roots of the perfect subtrees that a tree of its size is made of: at most one
hash per bit of the size, and enough to add leaves and to know the root.

Not done here: inclusion and consistency proofs. Whoever verifies the log has all of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from stepupd.core.errors import InternalError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def hash_leaf(leaf: bytes) -> bytes:
    """Return MTH({leaf})."""
    return sha256(b"\0" + leaf).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node with these two children."""
    return sha256(b"\1" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves. `nodes` are its perfect subtrees' roots, the largest first."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.nodes) != self.size.bit_count():
            raise InternalError("a Merkle frontier has one node for each bit of its size")
        if any(len(node) != HASH_SIZE for node in self.nodes):
            raise InternalError("a Merkle node is a SHA-256")

    @property
    def root(self) -> bytes:
        """The root hash of the whole tree."""
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in self.nodes[-2::-1]:
            root = hash_node(node, root)
        return root

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """Return the tree with these leaves added; they come hashed by `hash_leaf`."""
        size, nodes = self.size, list(self.nodes)
        for leaf_hash in leaf_hashes:
            node, carry = leaf_hash, size
            while carry & 1:
                node = hash_node(nodes.pop(), node)
                carry >>= 1
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))


EMPTY_TREE = Frontier()
