"""Kubernetes' function libraries, one file each, declared as tables that `functions()` joins.

Upstream: k8s.io/apiserver `pkg/cel/library` and the parts of cel-go `ext` that `pkg/cel/environment/base.go` enables.
"""
