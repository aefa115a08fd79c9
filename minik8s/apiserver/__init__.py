"""The door: whoever reads or writes the cluster comes through here.

Upstream: kube-apiserver, with apiserver `pkg/endpoints` and `pkg/registry`. A request is understood (`requestinfo`,
`negotiation`, `options`, `body`), `dispatch` sends it to the function that serves it, and the answer is put into bytes
(`encoding`). `dispatch` is the whole server without HTTP: in-process clients call it themselves, `http` is the ASGI
application around it and `server` its socket. The order of a write is drawn in `writing`. Who calls is made out by
`authentication` and `impersonation`; what he may do is asked of `authorization`.

Promises: an in-process call and an HTTP request take the same road, with the same checks and the same errors; what a
caller can do wrong ends as an `ApiError` with upstream's text and never as a 500; a write is one compare-and-swap, a
watch has no gaps; nothing runs for a client that is not being served.

`flowcontrol` lets HTTP requests in, or makes them wait. Left out on purpose: encryption at rest. The nodes are reached
through `context.NodeConnector`: the server imports no kubelet and no client.
"""
