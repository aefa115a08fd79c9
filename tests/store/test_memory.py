"""The memory store keeps the store's promises."""

from minik8s.store import MemoryStore, Store
from minik8s.testing.store_narrow import PlainCodec
from minik8s.testing.store_suite import StoreSuite


class TestMemoryStore(StoreSuite):
    """All promises of store/protocol.py."""

    def make_store(self, codec: PlainCodec, history: int) -> Store:
        return MemoryStore(codec, history=history)
