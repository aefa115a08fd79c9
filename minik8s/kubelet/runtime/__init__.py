"""Container runtimes: what stands behind the kubelet where the CRI stands upstream.

`protocol` is the seam and names the promises; `minik8s.testing.runtime_suite` checks them for every implementation.

- `subprocess` runs containers as process groups of this machine: `spawner` (the fork server, a program of its own),
  `processes` (our side of it), `rootfs` (directory, mounts, environment), `logs`, `probes`, `addresses`, `usage`.
- `sandbox` runs them in Linux namespaces of their own, without root: `feasibility` (whether this machine allows it),
  `network` (the pods' network and sockets in it), `wayout` (hosts outside),
  `packetfilter` and `nfqueue` (who may connect to whom), `podfiles` (/etc/hosts and the like).
- `simulated` runs nothing: a table says how long things take and how they end. For scale and virtual time.
- `coroutine` runs Python code of the hosting process in a simulated node: `image: python://module:name`; `asgi` is the
  HTTP to it, by the names of Services.
- `images` maps image names (`references`) to local commands, directories and images on disk (`oci`), for both.

Deliberately missing: in the subprocess runtime isolation of files, users and network (a container sees the host's); in
all of them cgroup limits, image downloads, log rotation, and telling stdout from stderr in a log
(one pipe keeps the order instead).
"""
