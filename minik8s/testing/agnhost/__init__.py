"""What the image `registry.k8s.io/e2e-test-images/agnhost` runs: the helper of Kubernetes' own end-to-end tests.

A program of its own that needs nothing but the standard library, so that the tests that upstream runs against a cluster
can be run against this one. Commands, flags, texts and exit codes are those of `test/images/agnhost`; what is missing
is refused by name: SCTP, gRPC, TLS without a certificate of one's own.
"""
