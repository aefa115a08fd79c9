"""The scheduler: gives every pod that has no node the best node it fits on.

Upstream counterpart: `pkg/scheduler` (kube-scheduler). Read `framework` first: the extension points and what goes
through them. `plugins` decide, one file per upstream plugin; `cache` knows what stands on every node; `queue` holds
the pods that wait, and why; `cycle` makes one decision; `scheduler` does the talking.

Promises
- A decision is a pure, synchronous function of pod and cache: no copy of the cluster is needed, none is made.
- A pod's cost does not grow with the cluster: nodes are sampled as upstream does it (percentageOfNodesToScore), and
  pods that look alike to every plugin share their verdicts, so that the next of a hundred replicas looks only at the
  nodes that changed since the last.
- What a pod is told (condition, event) are upstream's words. Binding requests overlap; the pod is assumed meanwhile.

Deliberate omissions: volume plugins, dynamic resource allocation, pod groups, extenders, Permit's waiting, and the
built-in default constraints of PodTopologySpread.
"""
