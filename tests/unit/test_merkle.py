"""RFC 6962 hashes, and the frontier that keeps them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import InternalError
from stepupd.core.merkle import EMPTY_ROOT, EMPTY_TREE, Frontier, hash_leaf, hash_node

# The leaves and roots of the Certificate Transparency reference implementation.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hash_tree(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hash_node(hash_tree(leaves[:half]), hash_tree(leaves[half:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots_come_out(size):
    assert EMPTY_TREE.extend(map(hash_leaf, LEAVES[:size])).root.hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing():
    assert EMPTY_TREE.root == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(leaves=st.lists(st.binary(max_size=8), max_size=70), data=st.data())
def test_a_tree_is_what_the_definition_says_however_it_grew(leaves, data):
    hashes = [hash_leaf(leaf) for leaf in leaves]
    cut = data.draw(st.integers(0, len(leaves)))
    grown = EMPTY_TREE.extend(hashes[:cut])
    stored = Frontier(grown.size, grown.nodes).extend(hashes[cut:])
    assert stored.root == hash_tree(leaves)
    assert stored == EMPTY_TREE.extend(hashes)


@pytest.mark.parametrize(
    ("size", "nodes"),
    [(1, ()), (0, (bytes(32),)), (3, (bytes(32),)), (1, (bytes(31),)), (-1, (bytes(32),))],
)
def test_a_frontier_that_no_tree_has_is_refused(size, nodes):
    with pytest.raises(InternalError):
        Frontier(size, nodes)


def test_a_node_does_not_pass_for_a_leaf():
    """The second preimage that RFC 6962's prefixes prevent."""
    left, right = hash_leaf(b"a"), hash_leaf(b"b")
    assert hash_leaf(left + right) != hash_node(left, right)
