"""The clusters of `unittest`, as its own runner runs them."""

from __future__ import annotations

import os
import re
import unittest
from typing import Any, ClassVar

import pytest

from minik8s import CONFIG_MAPS, NAMESPACES, BlockingCluster
from minik8s.testing.builders import config_map
from minik8s.testing.unittest import ClusterTestCase, IsolatedClusterTestCase

QUIET: dict[str, Any] = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False}


def outcome(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Runs a class of tests."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.testsRun
    return result


def test_blocking() -> None:
    """Each test has its own fork of the base, KUBECONFIG leads to it, and options are the class's."""
    before = os.environ.get("KUBECONFIG")

    class Case(ClusterTestCase):
        cluster_options: ClassVar = {"serve": True, "tls": False}

        @classmethod
        def make_base(cls) -> BlockingCluster:
            return BlockingCluster(**QUIET)

        @classmethod
        def prepare_base(cls, base: BlockingCluster) -> None:
            base.apply(config_map("shared"))

        def test_one(self) -> None:
            assert os.environ["KUBECONFIG"] == str(self.cluster.kubeconfig)
            self.cluster.run(self.cluster.client.delete, CONFIG_MAPS, "shared", namespace="default")

        test_two = test_one

    assert outcome(Case).wasSuccessful()
    assert os.environ.get("KUBECONFIG") == before


def test_async(caplog: pytest.LogCaptureFixture) -> None:
    """An async test has its cluster in its own loop, though setting up and the test are different tasks there.

    That loop is in debug mode; it does not take hours that are passed over for a slow callback.
    """

    class Case(IsolatedClusterTestCase):
        cluster_options: ClassVar = {**QUIET, "clock": "virtual", "runtime": "simulated"}

        async def test_it(self) -> None:
            assert len((await self.cluster.client.list(NAMESPACES)).items) == 4
            await self.cluster.advance(hours=1)

    assert outcome(Case).wasSuccessful()
    slow = re.findall(r"took (\d+)\.\d+ seconds", caplog.text)
    assert not [seconds for seconds in slow if int(seconds) > 2]


def test_a_cluster_that_does_not_start() -> None:
    """An impossible cluster is the test's error, not a hang."""

    class Case(IsolatedClusterTestCase):
        cluster_options: ClassVar = {**QUIET, "serve": True, "host": "192.0.2.1"}

        async def test_it(self) -> None:
            raise AssertionError

    (error,) = outcome(Case).errors
    assert "cannot listen on" in error[1]
