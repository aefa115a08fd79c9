"""APIs that other servers serve: an APIService with `spec.service` leads their requests there.

`remote` says which APIs these are and how they are reached, `forwarding` takes requests there, `availability` asks
whether they answer and says so in the APIService's status, `documents` makes their part of discovery. Nothing of it is
imported or runs before there is such an APIService. Upstream: kube-aggregator `pkg/apiserver`.

Left out: their part of /openapi/v2, and what the garbage collector and the namespace controller would have to do about
objects that are stored elsewhere.
"""
