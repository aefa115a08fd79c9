"""What pods mount: where each volume's files lie, what they contain, and how they are kept up to date.

Upstream's counterparts are pkg/volume and the kubelet's volume manager. `payload` computes contents and touches
nothing; `atomic_writer` swaps a directory's contents in one rename; `hostpath` checks what a hostPath promises;
`manager` brings them together for one pod. A volume is a directory that the runtime shows to the container: no mounts
are made here, so size limits and ownership by fsGroup are left out, and CSI and network volumes are refused.
"""
