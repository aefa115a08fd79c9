"""What every kind looks like, and everything that follows from that alone.

Upstream: the Go structs of k8s.io/api with their tags, and the code generated from them (decoders, protobuf,
OpenAPI). Here one text file holds the facts (`types.txt`), `table` turns them into nodes, and small walkers do the
rest:

    scalars       quantities, times, durations, base64: what a client sent -> canonical text
    decode        a parsed document -> a private canonical copy, with the unknown fields it had
    codec         bytes <-> documents: JSON, YAML (`yamlform`), manifests of several documents
    protobuf      messages <-> documents, by field numbers (`wire` is the encoding underneath)
    openapi       component schemas; `descriptions` finds upstream's prose where it is installed
    stubs         the TypedDicts of `minik8s.api.types`, for type checkers

Promises: a walker never changes what it is given; bad input raises `DecodeError` with upstream's words and
nothing else; a type is parsed and compiled when it is first used. Left out on purpose: meaning. Whether a port is in
range, what a missing field defaults to and who may write what belong to `api` and `apiserver`.
"""
