"""Life cycles from KWOK's Stage manifests (kwok.x-k8s.io/v1alpha1), for nodes and pods of simulated clusters.

    gotemplate, functions   the templates in which stages are written, and what these may call
    query                   the paths by which stages select and read
    stage, manifest         a stage, and how it is read from a manifest
    player                  who waits and plays

A stage says for which objects it is meant, how long it waits and what it changes then; the change makes another stage
match, and so on. It is KWOK's own format, so that what somebody has written for it plays here, at the same speed for
thousands of nodes: no kubelet leads a pod, no task or timer belongs to one. Of the fields `cel` keys, `patches` with an
`impersonation` and other kinds than Node and Pod are left out: they are refused by name. What templates and paths may
say is told in `gotemplate`, `functions` and `query`.
"""
