"""The in-tree plugins, one file each under its upstream name, and the default profile that wires them.

Upstream: `pkg/scheduler/framework/plugins`; order and weights from `apis/config/v1/default_plugins.go`.
"""
