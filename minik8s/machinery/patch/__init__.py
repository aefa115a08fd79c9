"""The four ways to change a part of a document: JSON patch, merge patch, strategic merge patch, server-side apply.

Upstream: evanphx/json-patch, apimachinery `pkg/util/strategicpatch`, structured-merge-diff. Promises: a patch function
takes documents and returns a new one; it never changes its input and shares with it whatever the patch did not touch.
What a list or a map means is read from the kind's type (`shape.py`), never from a kind's name. A patch that cannot be
carried out is a BadRequest or Invalid with upstream's text. Where upstream answers 500 to a malformed strategic patch
we answer 400, because the fault is the client's; an applied configuration that does not fit its type is upstream's 500
without a reason, by which its clients know it. Deliberately absent: making patches (diffs): the client's work.
"""
