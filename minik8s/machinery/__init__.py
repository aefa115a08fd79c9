"""What is true of every kind, without I/O: errors, metadata, names, quantities, selectors, patches, ownership.

Upstream: apimachinery. Everything here is a pure function or a frozen value; documents are read, never changed. Nothing
knows a particular kind: where a kind's shape matters (patches, managedFields) it comes in as a type (`patch/shape.py`).
Texts of errors are upstream's, because users read them and clients match them. Deliberately absent: conversion between
API versions of a kind; field sets of another version are compared path by path.
"""
