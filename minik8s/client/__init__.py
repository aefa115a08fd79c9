"""The eyes: everything that a component, a test or a program needs to read and write a cluster.

Upstream: client-go. `client` has the verbs over a `transport`, either a function call into a server of this process
(`inprocess`) or HTTP to any server (`http`, which finds it by `kubeconfig`). On it stand what controllers live on:
`informer` and `lister` (a cache kept up by a watch), `workqueue`, `events`; and what people live on: `manifests` and
`waiting`.

Promises: both transports give the same documents and the same `ApiError`s, so whatever works against this cluster works
against another; a cache misses nothing between its list and its watch, and says which version it has caught up with;
what a client returns is shared and must not be changed (`machinery.meta.evolve` makes changed copies).

Left out on purpose: credential plugins (they run programs), rate limiting of one's own requests, protobuf bodies,
and a second set of typed methods a kind: a `Resource[T]` argument carries the type.
"""
