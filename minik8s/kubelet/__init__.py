"""The node agent: turns the pods bound to one node into running containers, and reports how they fare.

Upstream's counterpart is pkg/kubelet. One `Kubelet` per node registers the Node, keeps its Lease, admits pods and
gives each a `PodWorker`, whose life is a task tree: volumes, sandbox, init containers in order, containers side by
side, probes inside their container's scope, and at the end a termination whose deadline can only move closer. What is
decided (environment, phase, conditions, restarts, back-off, probe verdicts, volume payloads) stands in pure modules
beside it; what touches processes is behind `runtime.protocol.Runtime`.

Promises: phases, conditions, reasons, messages and events are upstream's; a container never outlives its pod; a pod
object that is being deleted goes only after its containers are gone and its last status is written.

Left out on purpose: cgroups (memory limits are held by looking, those of CPU not at all), eviction for measured
pressure on a node (a full disk is a fault that tests declare; a pod that passes its own limits of storage is measured)
and CSI; /etc/hosts and resolv.conf, which unprivileged processes share with the host; the random offset of a probe's
first run, which only spreads load after an agent restart.
"""
