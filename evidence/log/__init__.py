"""The log over a store: an append-only Merkle tree of all that was ever stored, which a pack can prove itself against.

    merkle      tree hash, and the check of inclusion and consistency proofs (RFC 9162)
    tree        heads and proofs from few leaves and hashes of whole subtrees that were kept
    entries     what an entry is, and its leaf
    checkpoint  the signed head of the tree (C2SP tlog-checkpoint in a signed note)
    proof       what a pack carries of the log, and its check

Pure: bytes in, bytes out. `store` keeps the log, `seal` signs and checks.
"""
