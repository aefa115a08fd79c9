def is_pod_ready(p):
    return False


def is_terminal(p):
    return False
