"""The Service network: every Service address answers, from user space.

Upstream's kube-proxy writes kernel rules; this one listens. ClusterIPs are loopback addresses of the machine, so the
proxy binds `ClusterIP:port`, node ports and local load-balancer addresses and relays TCP and UDP to the endpoints
that the EndpointSlices name. `servicemap` decides what to listen on, `balancer` which endpoint comes next (both pure),
`relay` and `datagrams` move bytes, `networks` says whose sockets they use, `proxier` carries out the map's changes.

Promises: an endpoint gets traffic while it is ready and not terminating (or, when no such endpoint is left, serving and
terminating); a change of endpoints never touches an established TCP connection; a Service without endpoints refuses
connections; an address that cannot be bound is told in an Event on the Service, with a stand-in address; when
`Proxier.run` ends no socket is left.

Deliberately missing: SCTP (told in an Event), health-check node ports, topology hints and `trafficDistribution`
(there is one machine), and the client's own address at the endpoint (a relay connects from this machine). One proxy
serves all nodes of the machine, so a `Local` traffic policy means "on any node of this cluster's machine".
"""
