"""Structured allocation: which devices of the ResourceSlices a pod's ResourceClaims get on a node.

Upstream counterpart: `k8s.io/dynamic-resource-allocation/structured`. No I/O, no clock, no chance: the same slices,
claims and node always give the same devices.

    slices        a ResourceSlice and its devices, parsed once
    usage         what is allocated to whom, kept current by increments
    inventory     all slices, classes and claims as they are known, with what has been decided but not been written
    pools         the devices that one node can reach: pools of the newest generation, complete or not
    requests      what a claim asks for
    constraints   matchAttribute and distinctAttribute
    capacity      parts of a device that several share (consumable capacity)
    counters      devices that are parts of one another (partitionable devices)
    allocator     the search
    results       what is written into a claim
    binding       conditions that a device waits for before its pod may be bound
    extended      extended resources that stand for devices

What is on by default in 1.36 is here: subrequests, admin access, taints, partitionable devices, consumable capacity,
binding conditions, extended resources. What is off there (DeviceTaintRules, list attributes, claims of pod groups,
devices that count against a node's allocatable) the API server drops or does not serve.
"""
