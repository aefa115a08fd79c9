"""Memory: where the cluster's objects live.

Upstream's counterpart is etcd behind apiserver's `storage.Interface`. `protocol.py` names the promises,
`memory.py` keeps them in dictionaries, `log.py` is the history that watches read. The suite that every
implementation has to pass ships in `minik8s.testing.store_suite`. Left out on purpose: leases, transactions
over several keys, and persistence.
"""

from minik8s.store.memory import MemoryStore
from minik8s.store.protocol import (
    Change,
    Compacted,
    Entry,
    FutureRevision,
    Page,
    RevisionMismatch,
    Store,
    StoreError,
    StoreStatistics,
    ValueCodec,
)

__all__ = [
    "Change",
    "Compacted",
    "Entry",
    "FutureRevision",
    "MemoryStore",
    "Page",
    "RevisionMismatch",
    "Store",
    "StoreError",
    "StoreStatistics",
    "ValueCodec",
]
