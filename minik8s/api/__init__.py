"""The nouns: every kind that is served, what it means, and how it is shown.

Upstream: k8s.io/api for the kinds, pkg/apis and pkg/registry for their rules, pkg/printers for their columns. Read
`resource` first, then `resources`, the list of everything that ships.

    resource, resources    where a kind lives (group, version, plural, subresources), as data
    types                  the shapes of documents for type checkers, generated from the schema
    strategy, strategies/  what a kind does that its type cannot say: defaults, initial status, validation
    validation/            the rules that several kinds share
    columns/               what `kubectl get` shows
    conversion             the few kinds that are served in more than one version
    request                what travels between client and API server
    pods, services, scheduling, cron    what several components ask of a document, answered once

Promises: everything here is pure, documents and a time in, documents, causes or cells out; a kind that is never used
is never imported; texts are upstream's. Left out on purpose: alpha and beta APIs.
"""
