"""What is true of every kind, without I/O.

Upstream: k8s.io/apimachinery. Nothing here knows a kind by name or imports anything of ours but its own neighbours, so
this is the ground that the rest stands on.

    errors, field             the ApiError tree, and the causes that validation collects
    meta, names, frozen       documents: reading and copying them, naming them, refusing to change them
    quantity, intorstring     the two scalars with arithmetic of their own
    selectors                 label and field selectors
    fieldset, managedfields   who owns which field
    patch/                    JSON patch, merge patch, strategic merge patch, server-side apply

Promises: functions are pure and never change what they are given; bad input raises an `ApiError` or `ValueError` with
upstream's words. Documents are plain JSON dicts; attrs describes only what is ours.
"""
