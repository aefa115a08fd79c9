def validate_metadata(obj, old, *, namespaced, name_rule):
    return []
