"""API priority and fairness: which requests are let in, which wait, in what order, and which are refused.

    matching    which flow schema a request belongs to           limits     how many seats each priority level has
    queueset    who of those that wait goes next                 retryafter how long the refused should stay away
    levels      the levels in use                                flows      lets requests in (all of the above)
    maintaining keeps what every server has as it has to be      showing    metrics and dumps

Only HTTP requests of users take seats: the cluster's own components call without HTTP and come and go within one step
of the loop. So does nearly everything else; a seat is held while a request waits for its body, for webhooks, for
another server or for a slow client. Requests that last (logs, exec, proxies) take none, watches until their first
events are sent. Upstream: apiserver `pkg/util/flowcontrol`, KEP-1040.

As upstream: shares, lending and borrowing, shuffle sharding, fair dispatch, a quarter of a request's time as the
longest wait, Retry-After by how many were refused. Simpler: a list takes a seat for every hundred objects and no
account of their sizes; a request that finds room charges no queue; a client that leaves while it waits keeps its place.
"""
