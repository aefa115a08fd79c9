def builtin_plugins(rng):
    return []
