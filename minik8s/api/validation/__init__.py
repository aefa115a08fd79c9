"""Rules that several kinds share, as generators of field errors over plain documents.

Upstream counterparts: apimachinery pkg/api/validation, pkg/apis/core/validation. Each rule takes a part of a document
and the path at which it stands, and yields one `StatusCause` per broken rule, never stopping at the first. Documents
are canonical (they have passed `schema.decode`), so types are right and empty optional fields are absent.
"""
