"""Extenders: servers that are asked over HTTP which nodes they would give a pod, as kube-scheduler's are.

    configuration   `extenders` of a KubeSchedulerConfiguration
    wire            what is asked and answered, as JSON
    client          one extender, asked
    decision        a decision in which they have a say

While one is asked no other decision is made, as with upstream, but nothing else waits: informers and bindings go on.
What an extender has been told may be outdated by its answer, so the chosen node is looked at once more. Pods in which
no extender is interested are decided without all this. Upstream: `pkg/scheduler/extender.go`, and
`k8s.io/kube-scheduler/extender` for what is said.
"""
