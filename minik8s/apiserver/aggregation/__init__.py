"""APIs that other servers serve: an APIService with `spec.service` leads their requests there.

`remote` says which APIs these are and how they are reached, `forwarding` takes requests there, `availability` asks
whether they answer and says so in the APIService's status, `documents` makes their part of discovery. Nothing of it is
imported or runs before there is such an APIService. Upstream: kube-aggregator `pkg/apiserver`.

A namespace that ends waits for the remote APIs that do not answer, as upstream. Left out: their part of /openapi/v2,
and the collection of remote objects whose owners are gone.
"""
