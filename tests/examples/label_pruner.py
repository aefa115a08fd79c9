"""A command line tool on the plain `kubernetes` client: deletes a namespace's ConfigMaps that are marked as done."""

from __future__ import annotations

import sys

from kubernetes import client, config

SELECTOR = "example.com/done=true"


def prune(api: client.CoreV1Api, namespace: str) -> list[str]:
    """Deletes what is marked, and answers the names; what somebody else has deleted meanwhile is no failure."""
    pruned = []
    for found in api.list_namespaced_config_map(namespace, label_selector=SELECTOR).items:
        try:
            api.delete_namespaced_config_map(found.metadata.name, namespace)
        except client.ApiException as error:
            if error.status != 404:
                raise
        else:
            pruned.append(found.metadata.name)
    return pruned


def main(arguments: list[str]) -> int:
    """Finds the cluster as kubectl does, by KUBECONFIG."""
    with config.new_client_from_config() as connection:
        for name in prune(client.CoreV1Api(connection), arguments[0]):
            sys.stdout.write(f"pruned {name}\n")
    return 0
