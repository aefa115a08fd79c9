"""What ships for tests: the pytest plugin, and the suites that implementations of our protocols have to pass.

    plugin                        the `cluster` fixture and its kin, for whoever tests against minik8s
    store_suite, runtime_suite    the promises of `store.protocol` and `kubelet.runtime.protocol`, one check each
    clocks                        time that a test moves, and loops whose time jumps
    server                        a small HTTP server to run in pods; a program of its own

Nothing at run time imports this package. Left out so far: declared faults.
"""
