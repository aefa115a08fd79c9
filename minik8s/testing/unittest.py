"""Clusters for the standard library's `unittest`.

    class TestShop(ClusterTestCase):                    # self.cluster is a BlockingCluster
        cluster_options = {"runtime": "simulated"}

    class TestOperator(IsolatedClusterTestCase):        # self.cluster is a Cluster, in the loop of the async tests
        cluster_options = {"clock": "virtual", "runtime": "simulated", "serve": False}

Each test has a cluster of its own, with KUBECONFIG leading to it. A class that overrides `make_base` prepares one once,
of which every test's is a fork.
"""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from minik8s.blocking import BlockingCluster
from minik8s.cluster import Cluster
from minik8s.testing.environment import administrator
from minik8s.testing.hosting import hosted

__all__ = ["ClusterTestCase", "IsolatedClusterTestCase"]


class _Based(unittest.TestCase):
    """What both kinds share: options and the base."""

    cluster_options: ClassVar[Mapping[str, Any]] = {}
    """Options of `ClusterConfig`; documents are frozen and bugs in controllers are fatal unless it says otherwise."""
    _base: ClassVar[BlockingCluster | None] = None

    @classmethod
    def make_base(cls) -> BlockingCluster | None:
        """A cluster, not entered, that `prepare_base` fills and every test's is a fork of. None: tests begin empty."""
        return None

    @classmethod
    def prepare_base(cls, base: BlockingCluster) -> None:
        """Fills the base, which runs by now: `base.apply(...)`, `base.settle()`."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        base = cls.make_base()
        cls._base = None if base is None else cls.enterClassContext(base)
        if cls._base is not None:
            cls.prepare_base(cls._base)

    @classmethod
    def _options(cls) -> dict[str, Any]:
        return {"freeze": True, "strict": True, **cls.cluster_options}


class ClusterTestCase(_Based):
    """Synchronous tests; `self.cluster` lives in a thread of its own."""

    cluster: BlockingCluster

    def setUp(self) -> None:
        super().setUp()
        base, options = self._base, self._options()
        self.cluster = self.enterContext(BlockingCluster(**options) if base is None else base.fork(**options))
        self.enterContext(administrator(self.cluster.cluster))


class IsolatedClusterTestCase(_Based, unittest.IsolatedAsyncioTestCase):
    """Async tests; `self.cluster` lives in their loop."""

    cluster: Cluster

    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        base, options = self._base, self._options()
        made = Cluster(**options) if base is None else base.portal.call(partial(base.cluster.fork, **options))
        self.cluster = await self.enterAsyncContext(hosted(made))
        self.enterContext(administrator(self.cluster))
