"""The Service network: every Service address answers, from user space.

Upstream's kube-proxy writes kernel rules; this one listens. ClusterIPs are loopback addresses of the machine, so the
proxy binds `ClusterIP:port`, node ports and local load-balancer addresses and relays TCP and UDP to the endpoints
that the EndpointSlices name. `servicemap` and `hostports` decide what to listen on, `balancer` which endpoint comes
next, `networkpolicy` who may talk to whom (all pure); `relay` and `datagrams` move bytes, `health` answers load
balancers, `networks` says whose sockets they use, `guard` asks the policies, `policing` has the pods' network ask about
what does not come by here, `proxier` carries out the map's changes.

Promises: an endpoint gets traffic while it is ready and not terminating (or, when no such endpoint is left, serving and
terminating); a change of endpoints never touches an established TCP connection; a Service without endpoints refuses
connections; an address that cannot be bound is told in an Event on the Service, with a stand-in address; when
`Proxier.run` ends no socket is left.

Deliberately missing: SCTP (told in an Event), and the client's own address at the endpoint (a relay connects from this
machine). One proxy serves all nodes of the
machine. Where pods have networks of their own, each client's node and zone are known, and a `Local` internal policy and
the endpoints' hints mean those; of other clients nothing is known, and `Local` means "on any node of this machine".
"""
