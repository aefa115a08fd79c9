"""Connections that stop being HTTP: exec, attach and port-forward over WebSocket and SPDY/3.1.

What is on the wire is decided without I/O (bytes in, events out, as h11 does): `websocket` (frames), `channels` (the
numbered channels in its messages), `spdy` (streams), `portforward` (which stream or channel belongs to which port).
What moves bytes is `stream` (the connection once it has been upgraded), `remotecommand` (exec and attach) and
`forwarding` (port-forward); `handshake` says which of the protocols a client gets.

Upstream: k8s.io/kubelet/pkg/cri/streaming, k8s.io/apiserver/pkg/util/wsstream, moby/spdystream. Left out: sending
SPDY WINDOW_UPDATE frames, since no client of Kubernetes keeps to a window; a stream that nobody reads holds up its
connection instead, as it does upstream.
"""
