"""What pods mount: where each volume's files lie, what they contain, and how they are kept up to date.

Upstream's counterparts are pkg/volume and the kubelet's volume manager. `plan` says what a pod's document asks for and
`payload` computes contents, and neither touches anything; `failures` has the words for what goes wrong. `claims` finds
the directory behind a claim, `hostpath` checks what a hostPath promises, `atomic_writer` swaps all that is in a
directory in one rename, `subpath` finds a part of a volume, `ownership` gives one to fsGroup. `manager` brings them
together for one pod, and `keeper` keeps it all true.

A volume is a directory that the runtime shows to the container, nothing is mounted here. So a volume of medium Memory
has no size of its own, block volumes are refused, as CSI and network volumes are, and so are the projections that need
signers (clusterTrustBundle, podCertificate; upstream has them switched off). Updates come at once, not within a minute.
"""
