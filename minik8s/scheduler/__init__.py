"""The scheduler: gives every pod that has no node the best node it fits on.

Upstream counterpart: `pkg/scheduler` (kube-scheduler). Read `framework` first: the extension points and what goes
through them. `plugins` decide, one file per upstream plugin; `configuration` and `profiles` say which of them are asked
when; `cache` knows what stands on every node, `tally` how much in every topology domain, `devices` which devices there
are and whose they are; `queue` holds the pods that wait, and why; `cycle` makes one decision, `podclass` shares it
among pods that look alike; `scheduler` talks, `volumes` and `claims` write what else belongs to a binding. Where
`extenders` have a say, `outsiders` asks them, and `survey` lists the nodes for them.

Promises
- A decision is a pure, synchronous function of pod and cache: no copy of the cluster is needed, none is made. Only for
  pods in which an extender is interested it waits, as it does upstream.
- A pod's cost does not grow with the cluster: nodes are sampled as upstream does it (percentageOfNodesToScore), and
  pods that look alike to every plugin share their verdicts, so that the next of a hundred replicas looks only at the
  nodes that changed since the last. That holds with spreading and pod affinity too.
- What a pod is told (condition, event) are upstream's words. Binding requests overlap; the pod is assumed meanwhile.
- A file that configures kube-scheduler configures this one, or is refused by the name of what cannot be done.
- A plugin that fails costs the pod its attempt, and nobody else anything.

Deliberate omissions: pod groups, scoring by the devices that are left, scoring by storage capacity.
"""
